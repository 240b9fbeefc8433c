// The texts that were too long for their records, looked for in the file beside the segment: each has to be
// there and be the one that the record names by its SHA-256. That file is read along with the segment, once,
// because its lines come in the order of the records. A text stands there for all later records that name
// it. In constant memory. Ignorant of the chain.

import { hash } from 'node:crypto'
import { statSync } from 'node:fs'
import { basename } from 'node:path'
import { fieldsOf, isObject } from '../audit/line.ts'
import type { Finding } from '../audit/verdict.ts'
import { isGone } from './chain-reader.ts'
import { readLines } from './lines.ts'
import { rememberedTexts } from './open-segment.ts'
import { findOverflow, overflowPath, type Segment } from './segments.ts'

/** What of a record is in the overflow file, by SHA-256. */
export interface TextsBeside {
  readonly texts: readonly string[]
  /** The list of all that it runs, which names texts itself. */
  readonly list: string | undefined
}

/** Undefined where nothing is. */
export function textsBeside(line: Buffer): TextsBeside | undefined {
  // Inside of a string the quotes would be escaped.
  if (!line.includes(textHash) && !line.includes(listHash)) return undefined
  const record = fieldsOf(line)
  const { v, runs, runsSha256 } = record
  // The first format cut texts and kept them nowhere.
  if (v === undefined) return undefined
  return {
    texts: [...named([record]), ...named(runs)],
    list: typeof runsSha256 === 'string' ? runsSha256 : undefined,
  }
}

const textHash = Buffer.from('"textSha256":"')
const listHash = Buffer.from('"runsSha256":"')

/** Of texts that were cut and are not with an earlier record. */
function named(cut: unknown): readonly string[] {
  const each: readonly unknown[] = Array.isArray(cut) ? cut : []
  return each
    .filter(isObject)
    .flatMap(({ textSha256, textIn }) =>
      typeof textSha256 === 'string' && textIn === undefined ? [textSha256] : [],
    )
}

/** Texts that JSON may have made six times longer than the longest statement. */
const longestLine = 400 * 1024 * 1024

interface Entry {
  /** Counted from 1. */
  readonly line: number
  readonly isTrue: boolean
}

interface ReadEntry extends Entry {
  readonly sequence: number
  readonly sha256: string
  readonly text: string
}

type Entries = AsyncGenerator<ReadEntry | { readonly damaged: number }, undefined>

/** `line` is of the overflow file; undefined where that says nothing of the text. */
type OverflowProblem = Finding & { readonly file: string; readonly line: number | undefined }

export class OverflowCheck {
  readonly #directory: string
  readonly #segment: Segment
  #file: string
  #entries: Entries | undefined
  #ahead: ReadEntry | undefined
  #damaged: number | undefined
  /** Of earlier records, the oldest first. */
  readonly #known = new Map<string, Entry>()

  constructor(directory: string, segment: Segment) {
    this.#directory = directory
    this.#segment = segment
    this.#file = basename(overflowPath(directory, segment.chain, segment.first))
  }

  /** To be called before the segment is read: later they may be compressed, or deleted together. */
  async open(): Promise<void> {
    for (let tries = 1; this.#entries === undefined; tries += 1) {
      const path = findOverflow(this.#directory, this.#segment)
      if (path === undefined) return
      this.#file = basename(path)
      try {
        // Just begun.
        if (statSync(path).size === 0) return
        this.#entries = entriesOf(path)
        await this.#peek()
      } catch (error) {
        this.#entries = undefined
        // Compressed between the two.
        if (!isGone(error) || tries > 1) throw error
      }
    }
  }

  /** Records are asked for in their order. Undefined when the texts are there, and true. */
  async problem(
    sequence: number,
    { texts, list }: TextsBeside,
  ): Promise<OverflowProblem | undefined> {
    // That of the open segment may have been begun since.
    await this.open()
    const missing = new Set<string>()
    const own = new Map<string, Entry>()
    let changed: Entry | undefined
    const want = (sha256: string): void => {
      const entry = own.get(sha256) ?? this.#known.get(sha256)
      if (entry === undefined) missing.add(sha256)
      else if (!entry.isTrue) changed ??= entry
    }
    for (const sha256 of texts) want(sha256)
    if (list !== undefined) want(list)
    // No further: behind the last one its writer may just be writing.
    while (missing.size > 0) {
      const entry = await this.#peek()
      if (entry === undefined || entry.sequence > sequence) break
      this.#ahead = undefined
      const { sha256, line, isTrue, text } = entry
      own.set(sha256, { line, isTrue })
      if (missing.delete(sha256)) want(sha256)
      // Behind all that it names.
      if (sha256 === list && isTrue) for (const one of namedIn(text)) want(one)
    }
    this.#remember(own)
    if (changed !== undefined) {
      return this.#found(changed.line, `a text of record ${sequence} was changed`)
    }
    if (missing.size === 0) return undefined
    return this.#found(this.#damaged, `a text of record ${sequence} is missing in ${this.#file}`)
  }

  async close(): Promise<void> {
    await this.#entries?.return(undefined)
  }

  /** At least what the writer remembers. */
  #remember(own: ReadonlyMap<string, Entry>): void {
    for (const [sha256, entry] of own) {
      this.#known.delete(sha256)
      this.#known.set(sha256, entry)
    }
    for (const sha256 of this.#known.keys()) {
      if (this.#known.size <= rememberedTexts) return
      this.#known.delete(sha256)
    }
  }

  async #peek(): Promise<ReadEntry | undefined> {
    while (this.#ahead === undefined) {
      const { value } = (await this.#entries?.next()) ?? {}
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

function namedIn(list: string): readonly string[] {
  try {
    return named(JSON.parse(list))
  } catch {
    return []
  }
}

async function* entriesOf(path: string): Entries {
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
      const isTrue = hash('sha256', text, 'hex') === sha256
      yield { line, sequence: seq, sha256, text, isTrue }
    }
  }
  return undefined
}
