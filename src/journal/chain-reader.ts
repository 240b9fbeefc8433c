// One chain of the journal as a reader follows it: from a place on, what has been added since, across
// rotation. Knows its place only, so memory does not grow with the journal. Ignorant of records.

import { readSeal } from '../audit/chain.ts'
import { readLines } from './lines.ts'
import { listSegments, type Segment } from './segments.ts'

/** A byte of a segment at which a line begins. */
export interface Place {
  readonly segment: Segment
  readonly offset: number
}

export class ChainReader {
  #segment: Segment
  #offset: number

  constructor({ segment, offset }: Place) {
    this.#segment = segment
    this.#offset = offset
  }

  /** The whole lines that have come since the last call, without line feeds. */
  async *fresh(directory: string): AsyncGenerator<Buffer> {
    for (;;) {
      const { chain, first } = this.#segment
      const next = listSegments(directory).find(
        (segment) => segment.chain === chain && segment.first > first,
      )
      // Read after the listing: once a later segment exists, nothing more is added to this one.
      for await (const piece of readLines(this.#segment.path, this.#offset)) {
        if (piece.type === 'torn') break
        for (const line of piece.lines) {
          this.#offset += line.length + 1
          yield line
        }
      }
      if (next === undefined) return
      this.#segment = next
      this.#offset = 0
    }
  }
}

/**
 * Behind the record of this number in a chain's segments, which are in order. The start of the first
 * segment when all that are left come later; undefined when there is none.
 */
export async function placeBehind(
  segments: readonly Segment[],
  sequence: number,
): Promise<Place | undefined> {
  const segment = segments.findLast(({ first }) => first <= sequence) ?? segments[0]
  if (segment === undefined) return undefined
  let offset = 0
  for await (const piece of readLines(segment.path)) {
    if (piece.type === 'torn') break
    for (const line of piece.lines) {
      if ((readSeal(line)?.sequence ?? 0) > sequence) return { segment, offset }
      offset += line.length + 1
    }
  }
  return { segment, offset }
}
