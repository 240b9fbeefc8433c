// What a statement runs that its own text only names: the prepared statements of its EXECUTE, the cursors
// of its FETCH. A query string of 5 KB can name four hundred of them. Ignorant of what names stand for.

import { hash } from 'node:crypto'
import type { Judgement } from '../policy/decision.ts'
import { fitting, textFields } from './json.ts'
import { perJudgement } from './per-judgement.ts'
import { recordedText } from './recorded-text.ts'
import type { Recording } from './recording.ts'
import type { OverflowText } from './storage.ts'

/** What a prepared statement that an EXECUTE names stands for, or a cursor that a FETCH does. */
export interface Run {
  readonly judgement: Judgement
  /** The number of the session's first statement with this long text. */
  readonly repeats: number | undefined
}

interface Runs {
  readonly field: string
  readonly overflow: readonly OverflowText[]
  /** One of them has a secret in its text. */
  readonly redacted: boolean
}

/** Of one of them, in bytes as quoted; of one that stands in an earlier record; and of all in a record. */
const textLimit = 2048
const repeatedLimit = 64
const allLimit = 8 * 1024

/**
 * Behind a statement record. Of more than fit, the list goes beside it as a text of its own: JSON, and
 * complete.
 */
export function runsField(id: string, mode: Recording['text'], runs: readonly Run[]): Runs {
  const overflow: OverflowText[] = []
  const all: string[] = []
  let redacted = false
  for (const { judgement, repeats } of runs) {
    const known = knownOf(judgement, mode)
    redacted ||= known.redacted
    if (repeats === undefined) {
      all.push(`{${known.first}}`)
      if (known.overflow !== undefined) overflow.push(known.overflow)
    } else all.push(`{${known.again},"textIn":"${id}.${repeats}"}`)
  }
  const kept = fitting(all, allLimit)
  const field = `,"runs":[${kept.join(',')}]`
  if (kept.length === all.length) return { field, overflow, redacted }
  const text = `[${all.join(',')}]`
  const sha256 = hash('sha256', text, 'hex')
  return {
    field: `${field},"runCount":${all.length},"runsSha256":"${sha256}"`,
    overflow: [...overflow, { text, sha256 }],
    redacted,
  }
}

interface Known {
  readonly first: string
  readonly overflow: OverflowText | undefined
  /** Where an earlier record of the session has its text. */
  readonly again: string
  readonly redacted: boolean
}

const knownOf = perJudgement((judgement, mode): Known => {
  const { text, fingerprint, redacted } = recordedText(judgement, mode)
  const shape = fingerprint === undefined ? [] : [`"fingerprint":"${fingerprint}"`]
  if (text === undefined) {
    return { first: shape.join(), overflow: undefined, again: shape.join(), redacted }
  }
  const { fields, overflow } = textFields(text, textLimit)
  return {
    first: [fields, ...shape].join(','),
    overflow,
    again: [textFields(text, repeatedLimit).fields, ...shape].join(','),
    redacted,
  }
})
