// The journal as the control plane reads it: newest first page by page, or what comes from now on; all
// chains of the directory, in constant memory, and for a page no more than so many bytes of it. Ignorant
// of who may read. What it hands out is not verified: `audit verify` is for that.

import { readSeal } from '../audit/chain.ts'
import { type AuditEvent, type AuditFilter, auditReading } from '../audit/filter.ts'
import { Failure } from '../errors.ts'
import { pause } from '../waiting.ts'
import { ChainReader, endOf, isGone, placeBehind } from './chain-reader.ts'
import { LookBack, newestOf, placesOf } from './look-back.ts'
import { type Chains, chainsOf, isWanted, listSegments, type Segment } from './segments.ts'

export interface AuditPage {
  readonly items: readonly AuditEvent[]
  /** Where to go on; undefined: that was all. A page may be empty and not the last. */
  readonly next: string | undefined
}

/** An event, and the place behind it: what a stream that broke off goes on from. */
export interface StreamedEvent {
  readonly id: string
  /** Absent from the first one, which says where the stream begins. */
  readonly event?: AuditEvent
}

export interface JournalReaderOptions {
  readonly directory: string
  /** How much of the journal is looked through for one page. */
  readonly scanBytes?: number
  /** How much of it one page holds: a statement's text can have a megabyte. */
  readonly pageBytes?: number
  readonly pollMs?: number
}

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
    const places =
      cursor === undefined
        ? newestOf(this.#chains(filter))
        : placesOf(cursor).filter(({ segment }) => isWanted(segment, filter))
    const look = await LookBack.from(this.#directory, places)
    try {
      const items: AuditEvent[] = []
      let scanned = 0
      let kept = 0
      while (items.length < limit && scanned < this.#scanBytes && kept < this.#pageBytes) {
        const found = await look.next()
        if (found === undefined) return { items, next: undefined }
        const { chain, line, time } = found
        scanned += line.length
        const event = reading(chain, line)
        if (event !== undefined) {
          items.push(event)
          kept += line.length
        }
        if (filter.since !== undefined && Date.parse(time) < filter.since) found.enough()
      }
      return { items, next: look.cursor }
    } finally {
      await look.close()
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
      for (const [chain, segments] of this.#chains(filter)) {
        const end = endOf(segments)
        if (end === undefined) continue
        positions.set(chain, end.sequence)
        readers.set(chain, new ChainReader(end))
      }
    }
    return this.#follow(filter, positions, readers, signal)
  }

  async *#follow(
    filter: AuditFilter,
    positions: Map<string, number>,
    readers: Map<string, ChainReader>,
    signal: AbortSignal,
  ): AsyncGenerator<StreamedEvent, undefined> {
    const reading = auditReading(filter)
    if (positions.size > 0) yield { id: idOf(positions) }
    const isOver = (): boolean => signal.aborted
    while (!isOver()) {
      for (const [chain, segments] of this.#chains(filter)) {
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

  #chains(filter: AuditFilter): Chains {
    return chainsOf(listSegments(this.#directory), filter)
  }
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

/** A chain without a position has begun since: all of it is news. */
async function readerBehind(
  segments: readonly Segment[],
  position = 0,
): Promise<ChainReader | undefined> {
  try {
    const place = await placeBehind(segments, position)
    return place && new ChainReader(place)
  } catch (error) {
    // Compressed or deleted since the listing: the next look finds it where it is now.
    if (isGone(error)) return undefined
    throw error
  }
}
