// One channel's deliveries: a few at a time, each tried until it succeeds or a day has passed, with growing
// pauses. A channel that is dead keeps its own lane busy and nobody else's; what it misses waits in the
// store, not here. Ignorant of how changes get into the outbox.

import type { Clock } from '../clock.ts'
import { type Answer, post } from '../post.ts'
import { type Channel, letterTo } from './channel.ts'
import type { Delivery, DeliveryObserver, Outbox, Surroundings } from './ports.ts'

export interface LaneOptions {
  readonly outbox: Pick<Outbox, 'claim' | 'postpone' | 'remove'>
  readonly surroundings: Surroundings
  readonly observer: DeliveryObserver
  readonly clock: Clock
  /** For one attempt. */
  readonly timeoutMs?: number
  /** After so many attempts. */
  readonly pauseMs?: (tries: number) => number
}

/** What has not been delivered within this time of the change is given up. */
export const giveUpAfterMs = 24 * 60 * 60_000

const mostAtOnce = 4
/** An attempt and the statements around it; a process that dies in between leaves it to the others then. */
const claimedForMs = 30_000
const longestPauseMs = 10 * 60_000

export class Lane {
  readonly #channel: Channel
  readonly #options: LaneOptions
  readonly #workers = new Set<Promise<void>>()
  readonly #stopping = new AbortController()

  constructor(channel: Channel, options: LaneOptions) {
    this.#channel = channel
    this.#options = options
  }

  /** Something may be due: one more works on it, if that is not one too many. */
  wake(): void {
    if (this.#stopping.signal.aborted || this.#workers.size >= mostAtOnce) return
    const worker = this.#work()
      .catch((error: unknown) => this.#options.observer.problem(error))
      .finally(() => this.#workers.delete(worker))
    this.#workers.add(worker)
  }

  /** What is under way is broken off and due at once, for other processes. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await Promise.all(this.#workers)
  }

  /** Until nothing is due. Who finds something calls the next one: there may be more. */
  async #work(): Promise<void> {
    const { outbox, clock } = this.#options
    while (!this.#stopping.signal.aborted) {
      const now = clock.now()
      const delivery = await outbox.claim(this.#channel.name, now, now + claimedForMs)
      if (delivery === undefined) return
      this.wake()
      await this.#attempt(delivery)
    }
  }

  async #attempt(delivery: Delivery): Promise<void> {
    const { outbox, observer, clock } = this.#options
    const { signal } = this.#stopping
    const answer = await this.#send(delivery)
    if (answer.type === 'accepted') {
      await outbox.remove(delivery)
      observer.delivered(delivery.channel)
    } else if (signal.aborted) {
      await outbox.postpone(delivery, clock.now())
    } else {
      await this.#failed(delivery, answer)
    }
  }

  async #send(delivery: Delivery): Promise<Answer> {
    const { observer, clock, surroundings, timeoutMs = 10_000 } = this.#options
    try {
      const letter = letterTo(this.#channel, delivery, surroundings, clock.now())
      return await post(this.#channel, letter, { timeoutMs, signal: this.#stopping.signal })
    } catch (error) {
      // A change that cannot be written down is given up in the end like any other.
      observer.problem(error)
      return {
        type: 'refused',
        status: undefined,
        why: 'it could not be written',
        retryAfterMs: undefined,
      }
    }
  }

  async #failed(
    delivery: Delivery,
    { why, retryAfterMs = 0 }: Extract<Answer, { type: 'refused' }>,
  ): Promise<void> {
    const { outbox, observer, clock, pauseMs = growingPause } = this.#options
    const next = clock.now() + Math.max(pauseMs(delivery.tries), retryAfterMs)
    if (next > delivery.at + giveUpAfterMs) {
      await outbox.remove(delivery)
      observer.givenUp(delivery.channel, delivery.change.type, why)
    } else {
      await outbox.postpone(delivery, next)
      observer.failed(delivery.channel, why)
    }
  }
}

/** 2 s, 4 s, 8 s, up to 10 minutes; half more or less, so that what failed together comes back apart. */
function growingPause(tries: number): number {
  return Math.min(1_000 * 2 ** tries, longestPauseMs) * (0.5 + Math.random())
}
