// The audit's stream, for as long as somebody follows it: what breaks off is taken up again behind the last
// record that came, with a longer pause each time in vain. Ignorant of what is done with the records.

import type { Api, StreamedRecord } from './api.ts'
import { isPassing } from './failure.ts'

export interface Following {
  readonly signal: AbortSignal
  readonly pause: (milliseconds: number, signal?: AbortSignal) => Promise<void>
  /** The server is away, and is asked again. */
  readonly onAway: () => void
}

const shortestPauseMs = 500
const longestPauseMs = 10_000

/** Rejects when the first attempt does, and later when the server says no for good. */
export async function* followAudit(
  api: Api,
  filter: Readonly<Record<string, string>>,
  { signal, pause, onAway }: Following,
): AsyncGenerator<StreamedRecord> {
  let place: string | undefined
  for (let wait = shortestPauseMs; !signal.aborted; wait = Math.min(wait * 2, longestPauseMs)) {
    try {
      for await (const record of api.auditStream(filter, place, signal)) {
        place = record.place
        wait = shortestPauseMs
        yield record
      }
    } catch (error) {
      if (place === undefined || !isPassing(error)) throw error
      onAway()
    }
    await pause(wait, signal)
  }
}
