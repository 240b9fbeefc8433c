// The journal as sinks read it: each chain from a position on, no further than what is stored for good. A
// position that is not there any more is gone back behind rather than passed over: a record that comes
// twice is known by its id, one that never comes is missed by nobody. Ignorant of where records are sent.

import { statSync } from 'node:fs'
import { chainIdOf, readSeal } from '../audit/chain.ts'
import { readHead } from '../audit/line.ts'
import type { Backlog, Outbox, Outgoing, Position, Reading } from '../audit/outbox.ts'
import type { Clock } from '../clock.ts'
import { ChainReader, isGone, type Place } from './chain-reader.ts'
import { lastLines, linesBackwards } from './lines.ts'
import { listSegments, type Segment } from './segments.ts'

export interface OutboxOptions {
  readonly directory: string
  readonly clock: Clock
  /**
   * The last record of a chain that is stored. A write that fails is taken back, and until then its lines
   * can be read. Infinity for a chain of another process.
   */
  readonly stored: (chain: string) => number
  /** How often one looks for new chains, and into those of other processes. */
  readonly everyMs?: number
}

export class JournalOutbox implements Outbox {
  readonly #options: OutboxOptions
  #chains: readonly string[] = []
  #lookedAt = Number.NEGATIVE_INFINITY

  constructor(options: OutboxOptions) {
    this.#options = options
  }

  chains(): readonly string[] {
    const { directory, clock, everyMs = 1_000 } = this.#options
    if (clock.elapsed() - this.#lookedAt >= everyMs) {
      this.#chains = [...new Set(listSegments(directory).map(({ chain }) => chain))]
      this.#lookedAt = clock.elapsed()
    }
    return this.#chains
  }

  async read(chain: string, from: Position | undefined): Promise<ChainOutbox | undefined> {
    const segments = this.#segments(chain)
    const [oldest] = segments
    if (oldest === undefined) return undefined
    if (from === undefined) {
      return new ChainOutbox(this.#options, { segment: oldest, offset: 0 }, 0, undefined)
    }
    const { sequence, segment, offset } = from
    if (await isThere(segments, from)) {
      const place = { segment: { chain, first: segment }, offset }
      return new ChainOutbox(this.#options, place, sequence, undefined)
    }
    const { note, segment: other } = insteadOf(from, segments, oldest)
    return new ChainOutbox(this.#options, { segment: other, offset: 0 }, other.first - 1, note)
  }

  backlog(chain: string, from: Position | undefined): Backlog {
    const segments = this.#segments(chain)
    const sent = from?.sequence ?? (segments[0]?.first ?? 1) - 1
    const records = Math.max(0, this.#tip(chain, segments) - sent)
    if (records === 0) return { records, bytes: 0 }
    const bytes = segments
      .filter(({ first }) => first >= (from?.segment ?? 0))
      .map((segment) => {
        const size = sizeOf(segment)
        const isBegun = segment.first === from?.segment && !segment.compressed
        return isBegun ? Math.max(0, size - from.offset) : size
      })
    return { records, bytes: bytes.reduce((sum, size) => sum + size, 0) }
  }

  #tip(chain: string, segments: readonly Segment[]): number {
    const stored = this.#options.stored(chain)
    return Number.isFinite(stored) ? stored : tipOf(segments).sequence
  }

  #segments(chain: string): readonly Segment[] {
    return listSegments(this.#options.directory).filter((segment) => segment.chain === chain)
  }
}

class ChainOutbox implements Reading {
  readonly note: string | undefined
  readonly #options: OutboxOptions
  readonly #chain: string
  #reader: ChainReader
  /** The last record that was handed out. */
  #sequence: number
  #quietSince = Number.NEGATIVE_INFINITY

  constructor(options: OutboxOptions, place: Place, sequence: number, note: string | undefined) {
    this.note = note
    this.#options = options
    this.#chain = place.segment.chain
    this.#reader = new ChainReader(place)
    this.#sequence = sequence
  }

  async *fresh(): AsyncGenerator<Outgoing, undefined> {
    const { directory, stored } = this.#options
    // Asked before anything is read: what was read earlier than it was stored may not be what was stored.
    const last = stored(this.#chain)
    if (this.#sequence >= last || this.#isQuiet(last)) return
    let before = this.#reader.place
    for await (const line of this.#reader.fresh(directory)) {
      const found = outgoing(this.#chain, line, this.#reader.place)
      if (found !== undefined) {
        if (found.behind.sequence > last) {
          this.#reader = new ChainReader(before)
          return
        }
        this.#sequence = found.behind.sequence
        yield found
      }
      before = this.#reader.place
    }
    this.#quietSince = this.#options.clock.elapsed()
  }

  /** Of another process' chain nobody says that there is news: it is looked at now and then. */
  #isQuiet(last: number): boolean {
    const { clock, everyMs = 1_000 } = this.#options
    return !Number.isFinite(last) && clock.elapsed() - this.#quietSince < everyMs
  }
}

/** Whether the record that was sent last still stands where it stood. */
async function isThere(segments: readonly Segment[], from: Position): Promise<boolean> {
  const segment = segments.find(({ first }) => first === from.segment)
  if (segment === undefined) return false
  try {
    for await (const { line } of linesBackwards(segment.path, from.offset)) {
      return readSeal(line)?.hash === from.hash
    }
  } catch (error) {
    // Just compressed: to be looked at again. Shorter than it was, or damaged: gone back behind.
    if (isGone(error)) throw error
  }
  return false
}

/**
 * Every start of the proxy begins a segment, so what was written in the place of what is gone begins with
 * one: with the one that holds this number, or with the last.
 */
function insteadOf(
  from: Position,
  segments: readonly Segment[],
  oldest: Segment,
): { readonly note: string; readonly segment: Segment } {
  const { chain } = oldest
  const at = `record ${from.sequence} of the chain ${chain}, the last one sent,`
  const tip = tipOf(segments)
  if (chainIdOf(tip.event) !== chainIdOf(from.event)) {
    return {
      note: `${at} belongs to another journal than this one: all of this one is sent`,
      segment: oldest,
    }
  }
  const segment = segments.findLast(({ first }) => first <= from.sequence)
  if (segment === undefined) {
    return {
      note: `${at} is not there any more: sending goes on with record ${oldest.first}`,
      segment: oldest,
    }
  }
  const why = from.sequence > tip.sequence ? 'is behind the end of the journal' : 'is another now'
  return {
    note: `${at} ${why}, as after a copy was put back: sending goes on with record ${segment.first}, and some are sent again`,
    segment,
  }
}

/** Undefined for what is no record: `audit verify` names it, and no receiver could do anything with it. */
function outgoing(chain: string, line: Buffer, { segment, offset }: Place): Outgoing | undefined {
  const seal = readSeal(line)
  const head = readHead(line)
  if (seal === undefined || head === undefined) return undefined
  const { sequence, hash } = seal
  const { time, type } = head
  // Records from before they had ids are known by their hash.
  const event = head.event ?? hash
  return {
    shipment: { chain, sequence, event, time, type, line },
    behind: { sequence, event, hash, segment: segment.first, offset },
  }
}

/** The last record there is, as far as it is one. */
function tipOf(segments: readonly Segment[]): {
  readonly sequence: number
  readonly event: string
} {
  for (const segment of segments.toReversed()) {
    const [line] = lastLines(segment.path, 1).lines
    const found = line && outgoing(segment.chain, line, { segment, offset: 0 })
    if (found !== undefined) return found.behind
  }
  return { sequence: 0, event: '' }
}

function sizeOf({ path }: Segment): number {
  try {
    return statSync(path).size
  } catch (error) {
    if (isGone(error)) return 0
    throw error
  }
}
