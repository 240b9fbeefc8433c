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

/**
 * Waits for the promise, and no longer than that: for a goodbye to somebody who may not be there any more. What
 * it rejects with in time is thrown.
 */
export async function withinMs(ms: number, promise: Promise<unknown> | undefined): Promise<void> {
  const enough = new AbortController()
  const timer = setTimeout(() => enough.abort(), ms)
  try {
    await unlessAborted(enough.signal, promise ?? Promise.resolve())
  } catch (error) {
    if (!enough.signal.aborted) throw error
  } finally {
    clearTimeout(timer)
  }
}
