// The whole text of a statement whose record has the start of it only: out of the file beside its segment,
// where it stands under its SHA-256, once for all records of the segment that name it. Ignorant of how it came there.

import { hash } from 'node:crypto'
import { jsonLine } from '../audit/json.ts'
import { type Fields, fieldsOf, isObject, readFields } from '../audit/line.ts'
import { readLines } from './lines.ts'
import { findOverflow, type Segment } from './segments.ts'

/**
 * The record with every text in whole that is kept beside it. What is not there, or not what the record
 * says it was, stays cut: its length and hash stand in the record.
 */
export async function withWholeTexts(
  directory: string,
  segment: Pick<Segment, 'chain' | 'first'>,
  line: string,
): Promise<string> {
  if (!line.includes('"textSha256"')) return line
  const record = readFields(line)
  const path = findOverflow(directory, segment)
  if (record === undefined || path === undefined) return line
  const texts = await textsOf(path, line)
  const whole = (fields: Fields): Fields => {
    const text = texts.get(fields['textSha256'])
    return text === undefined ? fields : { ...fields, text }
  }
  const { runs } = record
  if (!Array.isArray(runs)) return jsonLine(whole(record))
  const shown = runs.map((run: unknown) => (isObject(run) ? whole(run) : run))
  return jsonLine({ ...whole(record), runs: shown })
}

/** Those whose SHA-256 a record's line names, by that. */
async function textsOf(path: string, record: string): Promise<Map<unknown, string>> {
  const texts = new Map<unknown, string>()
  for await (const piece of readLines(path)) {
    if (piece.type === 'torn') break
    for (const line of piece.lines) {
      const sha256 = /^\{"seq":\d+,"sha256":"([0-9a-f]{64})"/.exec(
        line.toString('latin1', 0, 128),
      )?.[1]
      if (sha256 === undefined || !record.includes(sha256)) continue
      const { text } = fieldsOf(line)
      if (typeof text === 'string') texts.set(hash('sha256', text, 'hex'), text)
    }
  }
  return texts
}
