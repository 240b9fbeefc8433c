// The texts that were too long for their records, looked for in the file beside the segment: each cut
// record's text has to be there and be the one that the record names by its SHA-256. Reads that file along
// with the segment, once, because its lines come in the order of the records. Ignorant of the chain.

import { hash } from 'node:crypto'
import { basename } from 'node:path'
import { fieldsOf, isObject } from '../audit/line.ts'
import type { Finding } from '../audit/verdict.ts'
import { readLines } from './lines.ts'

/** The hashes by which a record names texts that are in the overflow file. */
export function textsBeside(line: Buffer): readonly string[] {
  // Inside of a string its quotes would be escaped.
  if (!line.includes(textHash)) return []
  const record = fieldsOf(line)
  // The first format cut texts and kept them nowhere.
  if (record['v'] === undefined) return []
  const runs: readonly unknown[] = Array.isArray(record['runs']) ? record['runs'] : []
  return [record, ...runs.filter(isObject)].flatMap(({ textSha256, textIn }) =>
    typeof textSha256 === 'string' && textIn === undefined ? [textSha256] : [],
  )
}

const textHash = Buffer.from('"textSha256":"')

/** Texts that JSON may have made six times longer than the longest statement. */
const longestLine = 400 * 1024 * 1024

interface Entry {
  /** Counted from 1. */
  readonly line: number
  readonly sequence: number
  readonly sha256: string
  readonly isTrue: boolean
}

/** `line` is of the overflow file; undefined where that says nothing of the text. */
type OverflowProblem = Finding & { readonly file: string; readonly line: number | undefined }

export class OverflowCheck {
  readonly #file: string
  readonly #entries: AsyncGenerator<Entry | { readonly damaged: number }, undefined>
  #ahead: Entry | undefined
  #damaged: number | undefined

  /** `plain`: where it is, or was before it was compressed; `path`: where it is, if it is. */
  constructor(plain: string, path: string | undefined) {
    this.#file = basename(path ?? plain)
    this.#entries = entries(path)
  }

  /** Records are asked for in their order. Undefined when the texts are there, and true. */
  async problem(sequence: number, hashes: readonly string[]): Promise<OverflowProblem | undefined> {
    const wanted = new Set(hashes)
    for (let entry = await this.#peek(); entry; entry = await this.#peek()) {
      if (entry.sequence > sequence) break
      this.#ahead = undefined
      // A process may have died between writing a text and its record: of what nobody names, nobody asks.
      if (entry.sequence < sequence || !wanted.delete(entry.sha256)) continue
      if (!entry.isTrue) {
        return this.#found(entry.line, `the text of record ${sequence} was changed`)
      }
    }
    if (wanted.size === 0) return undefined
    return this.#found(this.#damaged, `a text of record ${sequence} is missing in ${this.#file}`)
  }

  async close(): Promise<void> {
    await this.#entries.return(undefined)
  }

  async #peek(): Promise<Entry | undefined> {
    while (this.#ahead === undefined) {
      const { value } = await this.#entries.next()
      if (value === undefined) return undefined
      if ('damaged' in value) this.#damaged = value.damaged
      else this.#ahead = value
    }
    return this.#ahead
  }

  #found(line: number | undefined, message: string): OverflowProblem {
    return { kind: 'overflow', file: this.#file, line, message }
  }
}

async function* entries(
  path: string | undefined,
): AsyncGenerator<Entry | { readonly damaged: number }, undefined> {
  if (path === undefined) return undefined
  let line = 0
  for await (const piece of readLines(path, 0, longestLine)) {
    if (piece.type === 'torn') return undefined
    for (const bytes of piece.lines) {
      line += 1
      const { seq, sha256, text } = fieldsOf(bytes)
      if (typeof seq !== 'number' || typeof sha256 !== 'string' || typeof text !== 'string') {
        yield { damaged: line }
        continue
      }
      yield { line, sequence: seq, sha256, isTrue: hash('sha256', text, 'hex') === sha256 }
    }
  }
  return undefined
}
