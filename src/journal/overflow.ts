// The whole text of a statement whose record has the start of it only: out of the file beside its segment,
// where it stands under the record's number and its own SHA-256. Ignorant of how it came there.

import { hash } from 'node:crypto'
import { jsonLine } from '../audit/json.ts'
import { readLines } from './lines.ts'
import { findOverflow, type Segment } from './segments.ts'

type Fields = Readonly<Record<string, unknown>>

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
  const record = fieldsOf(line)
  const path = findOverflow(directory, segment)
  if (record === undefined || path === undefined) return line
  const texts = await textsOf(path, record['seq'])
  const whole = (fields: Fields): Fields => {
    const text = texts.get(fields['textSha256'])
    return text === undefined ? fields : { ...fields, text }
  }
  const { runs } = record
  if (!Array.isArray(runs)) return jsonLine(whole(record))
  const shown = runs.map((run: unknown) => (isFields(run) ? whole(run) : run))
  return jsonLine({ ...whole(record), runs: shown })
}

/** Of the record of this number, by their SHA-256. */
async function textsOf(path: string, sequence: unknown): Promise<Map<unknown, string>> {
  const texts = new Map<unknown, string>()
  const start = Buffer.from(`{"seq":${sequence},`)
  for await (const piece of readLines(path)) {
    if (piece.type === 'torn') break
    for (const line of piece.lines) {
      if (!line.subarray(0, start.length).equals(start)) continue
      const text = fieldsOf(line.toString())?.['text']
      if (typeof text === 'string') texts.set(hash('sha256', text, 'hex'), text)
    }
  }
  return texts
}

function fieldsOf(line: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return isFields(value) ? value : undefined
  } catch {
    return undefined
  }
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
