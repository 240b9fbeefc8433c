// A journal's directory searched from its newest record to its oldest, for `audit query`. What it hands out
// is not verified: `audit verify` is for that. Ignorant of who may read.

import { type AuditFilter, auditReading } from '../audit/filter.ts'
import { LookBack, type LookPlace, newestOf } from './look-back.ts'
import { withWholeTexts } from './overflow.ts'
import { chainsOf, findSegments } from './segments.ts'

export interface FoundRecord {
  readonly chain: string
  /** As it stands in the journal, or with the whole of its texts. */
  readonly line: string
}

export interface QueryOptions {
  readonly filter: AuditFilter
  readonly limit: number
  /** Fill in texts that are kept beside the segments. */
  readonly whole?: boolean
  /** Hears now and then how far back the search has come. */
  readonly onProgress?: (at: SearchedTo) => void
}

interface SearchedTo {
  /** RFC 3339. */
  readonly time: string
  readonly records: number
}

const tellEvery = 20_000

/** Newest first, until the signal. Throws a Failure (not_found) without a journal. */
export async function* queryDirectory(
  directory: string,
  options: QueryOptions,
  signal: AbortSignal,
): AsyncGenerator<FoundRecord> {
  const newest = newestOf(chainsOf(findSegments(directory), options.filter))
  yield* searchFrom(directory, newest, options, signal)
}

/** The same from these places on back. */
export async function* searchFrom(
  directory: string,
  places: readonly LookPlace[],
  { filter, limit, whole, onProgress }: QueryOptions,
  signal: AbortSignal,
): AsyncGenerator<FoundRecord> {
  const passes = passing(filter)
  const look = await LookBack.from(directory, places)
  let left = limit
  try {
    for (let records = 1; left > 0 && !signal.aborted; records += 1) {
      const at = await look.next()
      if (at === undefined) return
      const { chain, first, line, time } = at
      if (records % tellEvery === 0) onProgress?.({ time, records })
      if (passes(chain, line)) {
        const text = line.toString()
        const segment = { chain, first }
        yield {
          chain,
          line: whole === true ? await withWholeTexts(directory, segment, text) : text,
        }
        left -= 1
      }
      if (filter.since !== undefined && Date.parse(time) < filter.since) at.enough()
    }
  } finally {
    await look.close()
  }
}

/** Without a filter every line is shown, one that is no record too: a reader must not leave anything out. */
export function passing(filter: AuditFilter): (chain: string, line: Buffer) => boolean {
  const { chain: _, ...rest } = filter
  if (Object.keys(rest).length === 0) return () => true
  const reading = auditReading(filter)
  return (chain, line) => reading(chain, line) !== undefined
}
