// The first half of the end of a run: it says that it wants no more work, goes on for those who have not
// noticed yet, and lets what runs come to its end. Stopping the parts is the second (serving.ts). Decides nothing.

import type { Stopping } from '../cli/operations.ts'
import { pause } from '../waiting.ts'
import type { Run } from './run.ts'

/** Resolves when the run is asked to stop. */
export async function askedToStop({ asked }: Stopping): Promise<void> {
  if (asked.aborted) return
  await new Promise((resolve) => asked.addEventListener('abort', resolve, { once: true }))
}

/**
 * `drain` closes the doors and lets sessions end by themselves until its signal; it tells how many are left.
 * Resolves when nothing is waited for any more.
 */
export async function windDown(
  { config, log, metrics, phase }: Run,
  { atOnce }: Stopping,
  drain: (signal: AbortSignal) => Promise<number>,
): Promise<void> {
  const { delayMs, drainTimeoutMs } = config.shutdown
  phase.current = 'draining'
  metrics.draining()
  log.info({ delayMs, drainTimeoutMs }, 'stopping: no longer ready')
  await pause(delayMs, atOnce)
  const left = await drain(AbortSignal.any([atOnce, AbortSignal.timeout(drainTimeoutMs)]))
  if (left === 0) log.info({}, 'drained: no session is left')
  else log.warn({ left, drainTimeoutMs }, 'sessions that still run are ended')
}
