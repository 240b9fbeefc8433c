// Reads the end of a journal and what is added to it, in all its chains or in one, across rotation: for
// `audit tail`. Ignorant of who may read.

import type { AuditFilter } from '../audit/filter.ts'
import { pause } from '../waiting.ts'
import { ChainReader, endOf } from './chain-reader.ts'
import { newestOf } from './look-back.ts'
import { type FoundRecord, passing, searchFrom } from './query.ts'
import { chainsOf, findSegments, listSegments } from './segments.ts'

export interface TailOptions {
  readonly filter: AuditFilter
  /** Go on with records as they are written, until the signal. */
  readonly follow: boolean
  /** How many of those that are there already. */
  readonly lines: number
}

const pollMs = 200

/** Oldest first. Throws a Failure (not_found) without a journal. */
export async function* tailDirectory(
  directory: string,
  { filter, follow, lines }: TailOptions,
  signal: AbortSignal,
): AsyncGenerator<FoundRecord> {
  const chains = chainsOf(findSegments(directory), filter)
  // Where what is there ends, in each chain, is where what comes begins.
  const ends = follow ? [...chains.values()].flatMap((one) => endOf(one) ?? []) : newestOf(chains)
  const shown: FoundRecord[] = []
  for await (const found of searchFrom(directory, ends, { filter, limit: lines }, signal)) {
    shown.push(found)
  }
  yield* shown.reverse()
  if (!follow) return

  const passes = passing(filter)
  const readers = new Map<string, ChainReader>()
  for (const { segment, offset = 0 } of ends) {
    readers.set(segment.chain, new ChainReader({ segment, offset }))
  }
  while (!signal.aborted) {
    for (const [chain, [segment]] of chainsOf(listSegments(directory), filter)) {
      if (segment === undefined) continue
      // A chain that has begun since is news from its start.
      const reader = readers.get(chain) ?? new ChainReader({ segment, offset: 0 })
      readers.set(chain, reader)
      for await (const line of reader.fresh(directory)) {
        if (passes(chain, line)) yield { chain, line: line.toString() }
      }
    }
    await pause(pollMs, signal)
  }
}
