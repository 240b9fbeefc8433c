// What has been started, and how each part of it is stopped: the last one first, whatever happens meanwhile.
// Ignorant of what the parts are.

import type { Log } from '../telemetry/log.ts'
import type { Run, Stop } from './run.ts'

export interface Stops {
  readonly started: Run['started']
  /** Stops what has been started. Never rejects; what does not stop cleanly is in the log. */
  readonly stopAll: () => Promise<void>
}

export function stopsInOrder(log: Log): Stops {
  const stops: { readonly part: string; readonly stop: Stop }[] = []
  return {
    started: (part, stop) => {
      stops.push({ part, stop })
    },
    stopAll: async () => {
      for (let last = stops.pop(); last !== undefined; last = stops.pop()) {
        try {
          await last.stop()
        } catch (error) {
          log.error({ part: last.part, err: error }, 'a part did not stop cleanly')
        }
      }
    },
  }
}
