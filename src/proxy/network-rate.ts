// How often a network may do something: a token bucket for each, in bounded memory. Cancel keys of protocol
// 3.0 have 32 bits, so trying them all must take longer than anybody has; logins take work. Ignorant of
// what is done.

import type { Clock } from '../clock.ts'
import { networkOf } from './networks.ts'

export interface NetworkRateOptions {
  /** How often in a row a network may. */
  readonly burst: number
  /** After how long it may once more. */
  readonly everyMs: number
  /** How many networks are told apart. */
  readonly networks: number
}

export interface Spent {
  /** It does not count. */
  giveBack(): void
}

interface Bucket {
  left: number
  filledAt: number
}

export class NetworkRate {
  readonly #clock: Clock
  readonly #options: NetworkRateOptions
  /** The one that was here longest ago first. */
  readonly #buckets = new Map<string, Bucket>()
  /** For whoever comes while no bucket is full and none can be added: many addresses are no way round. */
  readonly #newcomers: Bucket

  constructor(clock: Clock, options: NetworkRateOptions) {
    this.#clock = clock
    this.#options = options
    this.#newcomers = { left: options.burst, filledAt: clock.elapsed() }
  }

  /** Once more from this address; undefined when that is too often. */
  spend(address: string): Spent | undefined {
    const bucket = this.#bucketOf(networkOf(address))
    if (bucket.left < 1) return undefined
    bucket.left--
    return {
      giveBack: () => {
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

  /** Whose bucket is full again is like one who was never here. */
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
