// Credentials that were good of late. Whoever shares an address with somebody who guesses, behind a proxy or at
// one office, goes on while that address is not listened to: else thirty bad tokens a minute would keep
// everybody from revoking. Only their hashes are kept, and each is verified again all the same. Ignorant of what
// a credential is.

import { createHash } from 'node:crypto'
import type { Clock } from '../clock.ts'

/** Longer than the pauses of whoever works with it, or of a program that comes once an hour. */
const keepMs = 2 * 60 * 60_000
const mostKept = 10_000

export class KnownCredentials {
  readonly #clock: Pick<Clock, 'elapsed'>
  /** When it was good last, by hash; the longest ago first. */
  readonly #goodAt = new Map<string, number>()

  constructor(clock: Pick<Clock, 'elapsed'>) {
    this.#clock = clock
  }

  wasGood(authorization: string): void {
    const digest = digestOf(authorization)
    const [oldest] = this.#goodAt.size >= mostKept ? this.#goodAt.keys() : []
    if (oldest !== undefined) this.#goodAt.delete(oldest)
    this.#goodAt.delete(digest)
    this.#goodAt.set(digest, this.#clock.elapsed())
  }

  isKnown(authorization: string | undefined): boolean {
    if (authorization === undefined) return false
    const goodAt = this.#goodAt.get(digestOf(authorization))
    return goodAt !== undefined && this.#clock.elapsed() - goodAt < keepMs
  }

  /** It is good no more. */
  forget(authorization: string): void {
    this.#goodAt.delete(digestOf(authorization))
  }
}

function digestOf(authorization: string): string {
  return createHash('sha256').update(authorization).digest('base64')
}
