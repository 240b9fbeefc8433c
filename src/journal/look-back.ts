// The journal from its newest record to its oldest, all chains of the directory together in the order of their
// times, in constant memory. Where it is left off is a cursor, which stays good while segments are compressed
// and deleted: it has numbers and offsets, no files. Ignorant of what is looked for.

import { readHead } from '../audit/line.ts'
import { Failure } from '../errors.ts'
import { isGone, mostVanished } from './chain-reader.ts'
import { TooShort } from './inflate.ts'
import { linesBackwards } from './lines.ts'
import { type Chains, listSegments, type Segment } from './segments.ts'

export interface LookPlace {
  readonly segment: Pick<Segment, 'chain' | 'first'>
  /** The end of the segment's last whole line where it is undefined. */
  readonly offset: number | undefined
}

export interface LookedAt {
  readonly chain: string
  /** The number of the first record in its segment. */
  readonly first: number
  readonly line: Buffer
  readonly time: string
  /** What else there is of its chain is older than anybody wants. */
  enough(): void
}

/** The last line of a chain that was not looked at yet. */
interface Head {
  readonly chain: string
  readonly lines: AsyncGenerator<ChainLine, undefined>
  current: ChainLine | undefined
  time: string
}

interface ChainLine {
  readonly line: Buffer
  readonly first: number
  /** The offset behind it. */
  readonly end: number
}

export class LookBack {
  readonly #heads: readonly Head[]

  private constructor(heads: readonly Head[]) {
    this.#heads = heads
  }

  /**
   * From these places back: one in each chain that is to be read.
   * @throws Failure invalid_parameter for a place that is not in the journal.
   */
  static async from(directory: string, places: readonly LookPlace[]): Promise<LookBack> {
    const heads: Head[] = []
    for (const { segment, offset } of places) {
      const { chain, first } = segment
      const lines = backwards(directory, chain, { first, offset })
      const head: Head = { chain, lines, current: undefined, time: '' }
      heads.push(head)
      await advance(head)
    }
    return new LookBack(heads)
  }

  /** Where to go on; undefined when all was read. */
  get cursor(): string | undefined {
    const places = this.#heads.flatMap(({ chain, current }) =>
      current === undefined ? [] : `${chain}:${current.first}:${current.end}`,
    )
    return places.length === 0 ? undefined : places.join(',')
  }

  /** The newest line that was not looked at yet; undefined when there is none. */
  async next(): Promise<LookedAt | undefined> {
    const head = latest(this.#heads)
    if (head?.current === undefined) return undefined
    const { chain, time, current } = head
    await advance(head)
    const enough = (): void => {
      head.current = undefined
    }
    return { chain, time, first: current.first, line: current.line, enough }
  }

  /** Lets go of the files. */
  async close(): Promise<void> {
    await Promise.all(this.#heads.map(({ lines }) => lines.return(undefined)))
  }
}

async function advance(head: Head): Promise<void> {
  const { value } = await head.lines.next()
  head.current = value ?? undefined
  // A line that is damaged is as old as the one behind it.
  head.time = (value && readHead(value.line)?.time) ?? head.time
}

/** Times of one form and length: the later one is the greater text. */
function latest(heads: readonly Head[]): Head | undefined {
  return heads
    .filter(({ current }) => current !== undefined)
    .reduce<Head | undefined>((a, b) => (a === undefined || b.time > a.time ? b : a), undefined)
}

async function* backwards(
  directory: string,
  chain: string,
  from: { readonly first: number; readonly offset: number | undefined },
): AsyncGenerator<ChainLine, undefined> {
  let { first: upTo, offset } = from
  const listed = (): Segment[] => listSegments(directory).filter((one) => one.chain === chain)
  // Once, not for each segment: a chain can have thousands of small ones.
  let left = listed()
  for (let vanished = 0; ; ) {
    const segment = left.at(-1)
    if (segment === undefined) return undefined
    const { first, path } = segment
    if (first > upTo) {
      left.pop()
      continue
    }
    if (first !== upTo) offset = undefined
    try {
      for await (const { line, end } of linesBackwards(path, offset)) {
        yield { line, first, end }
        upTo = first
        offset = end - line.length - 1
      }
    } catch (error) {
      if (error instanceof TooShort) throw badCursor()
      // Compressed or deleted since the listing: look where it is now.
      if (!isGone(error) || vanished >= mostVanished) throw error
      vanished += 1
      left = listed()
      continue
    }
    vanished = 0
    upTo = first - 1
    offset = undefined
  }
}

/** The newest line of each chain. */
export function newestOf(chains: Chains): readonly LookPlace[] {
  return [...chains.values()].flatMap((segments) =>
    segments.slice(-1).map((segment) => ({ segment, offset: undefined })),
  )
}

/** @throws Failure invalid_parameter for a cursor that is none. */
export function placesOf(cursor: string): readonly LookPlace[] {
  const chains = new Set<string>()
  return cursor.split(',').map((part) => {
    const [, chain, first, offset] = /^([a-z0-9-]{1,64}):(\d{1,15}):(\d{1,15})$/.exec(part) ?? []
    // Each opens a file, and holds a part of it: one chain a thousand times would be all memory.
    if (chain === undefined || chains.has(chain)) throw badCursor()
    chains.add(chain)
    return { segment: { chain, first: Number(first) }, offset: Number(offset) }
  })
}

function badCursor(): Failure {
  return new Failure('invalid_parameter', {
    message: 'the cursor is none that was given out',
    hint: 'Give what the answer before said as next, or none to begin with the newest.',
  })
}
