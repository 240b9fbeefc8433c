// A circuit breaker: after some failures in a row nothing is tried for a while, so that what is dead
// holds nobody up; then one attempt finds out whether it lives. Ignorant of what is tried.

import type { Clock } from '../../clock.ts'

export interface BreakerOptions {
  readonly clock: Clock
  /** How many failures in a row open it. */
  readonly after: number
  /** How long it stays open at first; twice as long after every probe that failed. */
  readonly firstPauseMs: number
  readonly longestPauseMs: number
  /** What an error shows: that it is dead, that it lives and answers, or nothing of it. */
  readonly shows: (error: unknown) => 'dead' | 'alive' | 'nothing'
  /** What is thrown while it is open; `last` is the failure before. */
  readonly refusal: (last: unknown) => Error
  readonly onChange?: (isOpen: boolean) => void
}

export class Breaker {
  readonly #options: BreakerOptions
  #failures = 0
  #pauseMs: number
  /** By the clock; undefined while it is closed. */
  #openUntil: number | undefined
  #last: unknown
  #isProbing = false

  constructor(options: BreakerOptions) {
    this.#options = options
    this.#pauseMs = options.firstPauseMs
  }

  get isOpen(): boolean {
    return this.#openUntil !== undefined
  }

  /** What it was opened for is there no more. */
  reset(): void {
    this.#close()
  }

  /** @throws what `work` throws, or at once the refusal, while open. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    const { clock, shows, refusal } = this.#options
    const isProbe = this.#openUntil !== undefined
    if (this.#openUntil !== undefined) {
      if (this.#isProbing || clock.elapsed() < this.#openUntil) throw refusal(this.#last)
      this.#isProbing = true
    }
    try {
      const result = await work()
      this.#close()
      return result
    } catch (error) {
      const shown = shows(error)
      if (shown === 'dead') this.#failed(error, isProbe)
      else if (shown === 'alive') this.#close()
      throw error
    } finally {
      if (isProbe) this.#isProbing = false
    }
  }

  #failed(error: unknown, isProbe: boolean): void {
    const { clock, after, longestPauseMs, onChange } = this.#options
    this.#last = error
    // Of those that were under way when it opened nothing new is learned.
    if (this.#openUntil !== undefined && !isProbe) return
    if (isProbe) this.#pauseMs = Math.min(this.#pauseMs * 2, longestPauseMs)
    this.#failures += 1
    if (this.#failures < after) return
    this.#openUntil = clock.elapsed() + this.#pauseMs
    if (!isProbe) onChange?.(true)
  }

  #close(): void {
    this.#failures = 0
    this.#pauseMs = this.#options.firstPauseMs
    if (this.#openUntil === undefined) return
    this.#openUntil = undefined
    this.#options.onChange?.(false)
  }
}
