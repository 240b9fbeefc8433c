// One chain of the journal as a reader follows it: from a place on, what has been added since, across
// rotation. The place is a number and an offset, not a file: segments are compressed and deleted while
// somebody reads them. Memory does not grow with the journal. Ignorant of records.

import { readSeal } from '../audit/chain.ts'
import { lastLines, readLines } from './lines.ts'
import { listSegments, type Segment } from './segments.ts'

/** A file that goes away as often in one look is no segment that is being compressed. */
export const mostVanished = 5

/** A byte of a segment at which a line begins. */
export interface Place {
  readonly segment: Pick<Segment, 'chain' | 'first'>
  readonly offset: number
}

export class ChainReader {
  readonly #chain: string
  #first: number
  #offset: number
  /** The end of a compressed segment was reached: nothing is ever added to it. */
  #read = false

  constructor({ segment, offset }: Place) {
    this.#chain = segment.chain
    this.#first = segment.first
    this.#offset = offset
  }

  /** Behind the last line that was handed out. */
  get place(): Place {
    return { segment: { chain: this.#chain, first: this.#first }, offset: this.#offset }
  }

  /**
   * The whole lines that have come since the last call, without line feeds. Of what was deleted before it
   * was read, the reader hears nothing: it goes on with the oldest that is left.
   */
  async *fresh(directory: string): AsyncGenerator<Buffer> {
    for (let vanished = 0, at = this.#first; ; at = this.#first) {
      try {
        yield* this.#through(listSegments(directory).filter(({ chain }) => chain === this.#chain))
        return
      } catch (error) {
        // Compressed or deleted since the listing: look where it is now.
        vanished = this.#first === at ? vanished + 1 : 1
        if (!isGone(error) || vanished > mostVanished) throw error
      }
    }
  }

  /** Read after the listing: of those in it nothing is added to any but the last. */
  async *#through(chain: readonly Segment[]): AsyncGenerator<Buffer> {
    for (const segment of chain) {
      if (segment.first < this.#first) continue
      if (segment.first > this.#first) {
        this.#first = segment.first
        this.#offset = 0
        this.#read = false
      }
      if (this.#read) continue
      yield* this.#rest(segment)
      this.#read = segment.compressed
    }
  }

  async *#rest({ path }: Segment): AsyncGenerator<Buffer> {
    for await (const piece of readLines(path, this.#offset)) {
      if (piece.type === 'torn') return
      for (const line of piece.lines) {
        this.#offset += line.length + 1
        yield line
      }
    }
  }
}

/** The file was there when the directory was listed, and is not any more. */
export function isGone(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
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

/** Behind the last record of a chain. */
export function endOf(
  segments: readonly Segment[],
): (Place & { readonly sequence: number }) | undefined {
  const segment = segments.at(-1)
  if (segment === undefined) return undefined
  const { lines, end } = lastLines(segment.path, 1)
  const [line] = lines
  // A segment that has just been made is empty.
  const sequence = line === undefined ? segment.first - 1 : (readSeal(line)?.sequence ?? 0)
  return { segment, offset: end, sequence }
}
