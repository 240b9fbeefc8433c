// A lane for each kind of question to Vault, in which only so many are under way at a time: questions about
// a database that does not answer hang for as long as they may, and however many there are of them, they
// must not hold up those about others. Ignorant of what is asked.

import { VaultProblem } from './problem.ts'

interface Lane {
  underWay: number
  /** Of those who wait for their turn, in order. */
  readonly waiting: Set<() => void>
}

const width = 8
const mostWaiting = 1_000

export class Lanes {
  readonly #lanes = new Map<string, Lane>()

  /** @throws VaultProblem `throttled` when its turn does not come in time, or the reason of the signal. */
  async run<T>(
    name: string,
    waitMs: number,
    signal: AbortSignal | undefined,
    work: () => Promise<T>,
  ): Promise<T> {
    const lane = this.#lanes.get(name) ?? { underWay: 0, waiting: new Set() }
    this.#lanes.set(name, lane)
    if (lane.underWay < width) lane.underWay++
    else await turn(lane, name, waitMs, signal)
    try {
      return await work()
    } finally {
      // The place goes from hand to hand: nobody who comes now gets in between.
      const [next] = lane.waiting
      if (next !== undefined) next()
      else lane.underWay--
      if (lane.underWay === 0) this.#lanes.delete(name)
    }
  }
}

function turn(
  { waiting }: Lane,
  name: string,
  waitMs: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted()
    const settle = (how: () => void): void => {
      waiting.delete(enter)
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
      how()
    }
    const enter = (): void => settle(resolve)
    const abort = (): void => settle(() => reject(signal?.reason))
    const giveUp = (): void => settle(() => reject(crowded(name)))
    const timer = setTimeout(giveUp, waiting.size < mostWaiting ? waitMs : 0)
    timer.unref()
    waiting.add(enter)
    signal?.addEventListener('abort', abort, { once: true })
  })
}

function crowded(name: string): VaultProblem {
  return new VaultProblem('throttled', `${name}: not asked, since ${width} such questions hang`)
}
