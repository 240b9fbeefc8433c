// Waiting between two looks at the files: notifications of changes are not to be had on every file system.
// Ignorant of what is looked for.

import { setTimeout as sleep } from 'node:timers/promises'

/** Resolves after the time, or when it is over. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, { signal })
  } catch (error) {
    if (!signal.aborted) throw error
  }
}
