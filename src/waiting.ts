// Waiting that is given up when a signal says so: for a time, or for a library that knows no signal. Ignorant of
// what is waited for.

import { setTimeout as sleep } from 'node:timers/promises'

/** Resolves after the time, or when the signal is aborted: whoever waits looks which. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, { signal })
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

/**
 * What the promise comes to, or the signal's reason once that is aborted. What it comes to afterwards is
 * dropped: whoever began it sees to it that it ends, and holds nothing.
 */
export async function unlessAborted<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  let onAbort = (): void => undefined
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason)
  })
  signal.addEventListener('abort', onAbort, { once: true })
  if (signal.aborted) onAbort()
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
