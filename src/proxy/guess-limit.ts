// How often a network may be wrong: a token bucket for each, in bounded memory. Cancel keys of protocol
// 3.0 have 32 bits, so trying them all must take longer than anybody has. Ignorant of what is guessed.

import type { Clock } from '../clock.ts'
import { networkOf } from './networks.ts'

export interface GuessLimitOptions {
  /** How many wrong guesses in a row a network has. */
  readonly burst: number
  /** After how long it has one more. */
  readonly everyMs: number
  /** How many networks are told apart. */
  readonly networks: number
}

export interface Guess {
  /** It was right, and does not count. */
  right(): void
}

interface Bucket {
  left: number
  filledAt: number
}

export class GuessLimit {
  readonly #clock: Clock
  readonly #options: GuessLimitOptions
  /** The one that guessed longest ago first. */
  readonly #buckets = new Map<string, Bucket>()
  /** For whoever comes while all the others are full of guesses: many addresses are no way round. */
  readonly #newcomers: Bucket

  constructor(clock: Clock, options: GuessLimitOptions) {
    this.#clock = clock
    this.#options = options
    this.#newcomers = { left: options.burst, filledAt: clock.elapsed() }
  }

  /** One more guess from this address; undefined when it must not be looked at. */
  guess(address: string): Guess | undefined {
    const bucket = this.#bucketOf(networkOf(address))
    if (bucket.left < 1) return undefined
    bucket.left--
    return {
      right: () => {
        bucket.left = Math.min(this.#options.burst, bucket.left + 1)
      },
    }
  }

  #bucketOf(network: string): Bucket {
    const known = this.#buckets.get(network)
    if (known !== undefined) this.#buckets.delete(network)
    else if (!this.#hasRoom()) return this.#filled(this.#newcomers)
    const bucket = known ?? { left: this.#options.burst, filledAt: this.#clock.elapsed() }
    this.#buckets.set(network, bucket)
    return this.#filled(bucket)
  }

  /** Who has all guesses again is like one who was never here. */
  #hasRoom(): boolean {
    if (this.#buckets.size < this.#options.networks) return true
    for (const [network, bucket] of this.#buckets) {
      if (this.#filled(bucket).left < this.#options.burst) return false
      this.#buckets.delete(network)
      return true
    }
    return false
  }

  #filled(bucket: Bucket): Bucket {
    const { burst, everyMs } = this.#options
    const now = this.#clock.elapsed()
    bucket.left = Math.min(burst, bucket.left + (now - bucket.filledAt) / everyMs)
    bucket.filledAt = now
    return bucket
  }
}
