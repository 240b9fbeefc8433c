// Asking Vault again for what may pass, with growing pauses that no two askers share, for as long as the
// asker has patience. Ignorant of what is asked.

import type { Clock } from '../../clock.ts'
import { mayPass, VaultProblem } from './problem.ts'

interface Terms {
  readonly patienceMs: number
  readonly clock: Clock
  /** From 0 to 1. */
  readonly random: () => number
  readonly signal: AbortSignal | undefined
}

const firstPauseMs = 100
const longestPauseMs = 2_000

/** The last attempt begins within the patience. @throws what it throws, or the reason of the signal. */
export async function patiently<T>(attempt: () => Promise<T>, terms: Terms): Promise<T> {
  const { patienceMs, clock, random, signal } = terms
  const deadline = clock.elapsed() + patienceMs
  for (let round = 0; ; round++) {
    try {
      return await attempt()
    } catch (error) {
      // What may have been obeyed is not asked twice without its asker knowing.
      if (!(error instanceof VaultProblem) || !mayPass(error) || error.unanswered) throw error
      const most = Math.min(firstPauseMs * 2 ** Math.min(round, 10), longestPauseMs)
      const pauseMs = Math.max(most * (0.5 + 0.5 * random()), error.retryAfterMs)
      if (clock.elapsed() + pauseMs > deadline) throw error
      await pause(pauseMs, signal)
    }
  }
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted()
    const giveUp = (): void => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', giveUp)
      resolve()
    }, ms)
    timer.unref()
    signal?.addEventListener('abort', giveUp, { once: true })
  })
}
