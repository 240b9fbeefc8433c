// The journal as the control plane reads it: newest first page by page, or what comes from now on; all
// chains of the directory, in constant memory, and for a page no more than so many bytes of it. Ignorant
// of who may read. What it hands out is not verified: `audit verify` is for that.

import { readSeal } from '../audit/chain.ts'
import {
  type AuditEvent,
  type AuditFilter,
  type AuditReading,
  auditReading,
} from '../audit/filter.ts'
import { Failure } from '../errors.ts'
import { ChainReader, type Place, placeBehind } from './chain-reader.ts'
import { pause } from './follow.ts'
import { lastLines, linesBackwards } from './lines.ts'
import { listSegments, type Segment } from './segments.ts'

export interface AuditPage {
  readonly items: readonly AuditEvent[]
  /** Where to go on; undefined: that was all. A page may be empty and not the last. */
  readonly next: string | undefined
}

/** An event, and the place behind it: what a stream that broke off goes on from. */
export interface StreamedEvent {
  readonly id: string
  readonly event: AuditEvent
}

export interface JournalReaderOptions {
  readonly directory: string
  /** How much of the journal is looked through for one page. */
  readonly scanBytes?: number
  /** How much of it one page holds: a statement's text can have a megabyte. */
  readonly pageBytes?: number
  readonly pollMs?: number
}

type Chains = ReadonlyMap<string, readonly Segment[]>

export class JournalReader {
  readonly #directory: string
  readonly #scanBytes: number
  readonly #pageBytes: number
  readonly #pollMs: number

  constructor(options: JournalReaderOptions) {
    this.#directory = options.directory
    this.#scanBytes = options.scanBytes ?? 32 * 1024 * 1024
    this.#pageBytes = options.pageBytes ?? 4 * 1024 * 1024
    this.#pollMs = options.pollMs ?? 300
  }

  /** @throws Failure invalid_parameter for a cursor that is none. */
  async events(
    filter: AuditFilter,
    { limit, cursor }: { readonly limit: number; readonly cursor: string | undefined },
  ): Promise<AuditPage> {
    const reading = auditReading(filter)
    const heads = await openHeads(this.#chains(), cursor)
    try {
      const items: AuditEvent[] = []
      let scanned = 0
      let kept = 0
      while (items.length < limit && scanned < this.#scanBytes && kept < this.#pageBytes) {
        const head = latest(heads)
        if (head === undefined) return { items, next: undefined }
        const { line } = head
        scanned += line.length
        const event = reading(head.chain, line)
        if (event !== undefined) {
          items.push(event)
          kept += line.length
        }
        if (filter.since !== undefined && Date.parse(head.time) < filter.since) head.over = true
        else await advance(head)
      }
      const next = heads.filter(({ over }) => !over).map(({ at }) => at)
      return { items, next: next.length === 0 ? undefined : next.join(',') }
    } finally {
      await Promise.all(heads.map(({ lines }) => lines.return(undefined)))
    }
  }

  /**
   * What comes from now on, or behind `from`, the id of an event; until the signal.
   * @throws Failure invalid_parameter for an id that is none.
   */
  stream(
    filter: AuditFilter,
    from: string | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<StreamedEvent, undefined> {
    // The place is taken now, not when somebody asks for the first event.
    const positions = from === undefined ? new Map<string, number>() : positionsOf(from)
    const readers = new Map<string, ChainReader>()
    if (from === undefined) {
      for (const [chain, segments] of this.#chains()) {
        const end = endOf(segments)
        if (end === undefined) continue
        positions.set(chain, end.sequence)
        readers.set(chain, new ChainReader(end))
      }
    }
    return this.#follow(auditReading(filter), positions, readers, signal)
  }

  async *#follow(
    reading: AuditReading,
    positions: Map<string, number>,
    readers: Map<string, ChainReader>,
    signal: AbortSignal,
  ): AsyncGenerator<StreamedEvent, undefined> {
    const isOver = (): boolean => signal.aborted
    while (!isOver()) {
      for (const [chain, segments] of this.#chains()) {
        const reader = readers.get(chain) ?? (await readerBehind(segments, positions.get(chain)))
        if (reader === undefined) continue
        readers.set(chain, reader)
        for await (const line of reader.fresh(this.#directory)) {
          if (isOver()) return
          positions.set(chain, readSeal(line)?.sequence ?? positions.get(chain) ?? 0)
          const event = reading(chain, line)
          if (event !== undefined) yield { id: idOf(positions), event }
        }
      }
      await pause(this.#pollMs, signal)
    }
  }

  #chains(): Chains {
    const chains = new Map<string, Segment[]>()
    for (const segment of listSegments(this.#directory)) {
      const segments = chains.get(segment.chain)
      if (segments === undefined) chains.set(segment.chain, [segment])
      else segments.push(segment)
    }
    return chains
  }
}

/** The last line of a chain that was not looked at yet. */
interface Head {
  readonly chain: string
  readonly lines: AsyncGenerator<ChainLine, undefined>
  line: Buffer
  time: string
  /** Of the line: chain, first record of its segment, offset behind it. */
  at: string
  over: boolean
}

interface ChainLine {
  readonly line: Buffer
  readonly at: string
}

async function openHeads(chains: Chains, cursor: string | undefined): Promise<readonly Head[]> {
  const places = cursor === undefined ? undefined : placesOf(cursor)
  const heads: Head[] = []
  for (const [chain, segments] of chains) {
    const place = places?.get(chain)
    // A chain that the cursor does not name is one that was read to its start.
    if (places !== undefined && place === undefined) continue
    const lines = backwards(segments, place)
    const head: Head = { chain, lines, line: Buffer.alloc(0), time: '', at: '', over: false }
    heads.push(head)
    await advance(head)
  }
  return heads
}

async function advance(head: Head): Promise<void> {
  const { value } = await head.lines.next()
  if (value === undefined) {
    head.over = true
    return
  }
  const { line, at } = value
  head.line = line
  head.at = at
  head.time = /"time":"([^"]*)"/.exec(line.toString('latin1', 0, 160))?.[1] ?? ''
}

/** Times of one form and length: the later one is the greater text. */
function latest(heads: readonly Head[]): Head | undefined {
  return heads
    .filter(({ over }) => !over)
    .reduce<Head | undefined>((a, b) => (a === undefined || b.time > a.time ? b : a), undefined)
}

async function* backwards(
  segments: readonly Segment[],
  from: { readonly first: number; readonly offset: number } | undefined,
): AsyncGenerator<ChainLine, undefined> {
  for (const { chain, first, path } of segments.toReversed()) {
    if (from !== undefined && first > from.first) continue
    const whole = lastLines(path, 0).end
    const end = first === from?.first ? from.offset : whole
    if (end > whole) throw badCursor()
    for await (const placed of linesBackwards(path, end)) {
      yield { line: placed.line, at: `${chain}:${first}:${placed.end}` }
    }
  }
  return undefined
}

function placesOf(cursor: string): Map<string, { first: number; offset: number }> {
  const places = new Map<string, { first: number; offset: number }>()
  for (const part of cursor.split(',')) {
    const [, chain, first, offset] = /^([a-z0-9-]{1,64}):(\d{1,15}):(\d{1,15})$/.exec(part) ?? []
    if (chain === undefined) throw badCursor()
    places.set(chain, { first: Number(first), offset: Number(offset) })
  }
  return places
}

function badCursor(): Failure {
  return new Failure('invalid_parameter', {
    message: 'the cursor is none that was given out',
    hint: 'Give what the answer before said as next, or none to begin with the newest.',
  })
}

function idOf(positions: ReadonlyMap<string, number>): string {
  return [...positions].map(([chain, sequence]) => `${chain}:${sequence}`).join(',')
}

function positionsOf(id: string): Map<string, number> {
  const positions = new Map<string, number>()
  for (const part of id.split(',')) {
    const [, chain, sequence] = /^([a-z0-9-]{1,64}):(\d{1,15})$/.exec(part) ?? []
    if (chain === undefined) {
      throw new Failure('invalid_parameter', {
        message: 'Last-Event-ID is not the id of an event',
        hint: 'Leave it out to begin with what comes from now on.',
      })
    }
    positions.set(chain, Number(sequence))
  }
  return positions
}

/** Behind the last record of a chain. */
function endOf(segments: readonly Segment[]): (Place & { readonly sequence: number }) | undefined {
  const segment = segments.at(-1)
  if (segment === undefined) return undefined
  const { lines, end } = lastLines(segment.path, 1)
  const [line] = lines
  // A segment that has just been made is empty.
  const sequence = line === undefined ? segment.first - 1 : (readSeal(line)?.sequence ?? 0)
  return { segment, offset: end, sequence }
}

/** A chain without a position has begun since: all of it is news. */
async function readerBehind(
  segments: readonly Segment[],
  position = 0,
): Promise<ChainReader | undefined> {
  const place = await placeBehind(segments, position)
  return place && new ChainReader(place)
}
