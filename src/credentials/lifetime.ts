// When a login ends, when to prolong it, and when to look for another: arithmetic on times alone, by a
// clock that does not jump. Ignorant of who issues and who uses.
// Vault documentation, "Lease, Renew, and Revoke".

import type { Clock } from '../clock.ts'
import type { Engine, Issued } from './engine.ts'

/**
 * `renew`: ask for more time. `replace`: it is for those who have it, new sessions want another.
 * `end`: it is over.
 */
export type Due = 'renew' | 'replace' | 'end' | 'nothing'

/** Ends are told in whole seconds, rounded by whoever tells them. */
const roundingMs = 2_000
/** Whoever asks in whole seconds would lose one by what passes until the question is put. */
const transitMs = 500
const renewAt = 2 / 3
/** Not all leases that were issued together are renewed together. */
const jitter = 0.1
/** The part of its life that must be left for new sessions to begin with it. */
const lastPart = 1 / 6
/** A renewal that moves the end by less is stopped by something else than itself. */
const worthwhilePart = 1 / 10
const leastPauseMs = 1_000
const longestPauseMs = 30_000
/** So long before its end a login that cannot be prolonged is given up. */
const farewellMs = 30_000

export class Lifetime {
  readonly #clock: Clock
  readonly #roles: Engine['roles']
  readonly #issued: Pick<Issued, 'lifeMs' | 'renewable' | 'limit'>
  /** Milliseconds since the epoch: a promise to people, who read it off the wall. */
  #grantEndsAt: number
  /** What it was, while the login has not been prolonged since. */
  #grantEndedAt: number | undefined
  /** These by Clock.elapsed(). */
  #since: number
  #endsAt: number
  #notBefore = 0
  #shortened = false
  #failing = false
  #share = renewAtAbout()

  constructor(
    issued: Pick<Issued, 'lifeMs' | 'renewable' | 'limit'>,
    roles: Engine['roles'],
    grantEndsAt: number,
    clock: Clock,
  ) {
    this.#clock = clock
    this.#roles = roles
    this.#issued = issued
    this.#grantEndsAt = grantEndsAt
    this.#since = clock.elapsed()
    this.#endsAt = this.#since + (issued.lifeMs ?? Number.POSITIVE_INFINITY)
  }

  /** Infinite when it has no end of its own. */
  get remainingMs(): number {
    return Math.max(0, this.#end - this.#clock.elapsed())
  }

  /** Milliseconds since the epoch; undefined when it has no end of its own. */
  get expiresAt(): number | undefined {
    const { remainingMs } = this
    return remainingMs === Number.POSITIVE_INFINITY
      ? undefined
      : Math.round(this.#clock.now() + remainingMs)
  }

  /** What to ask for in a renewal, in milliseconds since the epoch: never more than the grant has. */
  get until(): number {
    const { lifeMs = Number.POSITIVE_INFINITY } = this.#issued
    return Math.min(this.#clock.now() + lifeMs + transitMs, this.#grantEndsAt)
  }

  /** Without sessions a lease is left to run out. */
  due(inUse: boolean): Due {
    const now = this.#clock.elapsed()
    const { remainingMs } = this
    if (this.#roles === 'shared') return remainingMs <= 0 ? 'end' : 'nothing'
    if (remainingMs > 0 && this.#extensible) return now >= this.#notBefore ? 'renew' : 'nothing'
    // What ends with the grant is ended with it.
    if (this.#outlastsGrant(-roundingMs) && !this.#tooLong) return 'nothing'
    if (remainingMs <= 0) return 'end'
    const { lifeMs = Number.POSITIVE_INFINITY, renewable } = this.#issued
    if (!this.#tooLong && remainingMs <= lifeMs * lastPart) return 'replace'
    const late = now >= this.#since + (this.#end - this.#since) * this.#share
    if (late && !renewable) return 'replace'
    const wanted = (late && inUse) || this.#tooLong
    return wanted && now >= this.#notBefore ? 'renew' : 'nothing'
  }

  /** The grant goes on until then, in milliseconds since the epoch; ends only ever move on. */
  extend(grantEndsAt: number): void {
    if (grantEndsAt <= this.#grantEndsAt) return
    // One that has to be renewed on the way to its grant's end is renewed as it would have been.
    if (this.#outlastsGrant(-roundingMs)) this.#grantEndedAt = this.#grantEndsAt
    this.#grantEndsAt = grantEndsAt
  }

  /**
   * It was renewed, and ends at `endsAt`; `asked` is what was asked for (milliseconds since the epoch).
   * Whether it may be renewed again: who gets less than asked for has come to a limit.
   */
  renewed(endsAt: number, asked: number): boolean {
    const before = this.#end
    const now = this.#clock.elapsed()
    const { lifeMs } = this.#issued
    this.#since = now
    if (lifeMs !== undefined) this.#endsAt = now + endsAt - this.#clock.now()
    this.#share = renewAtAbout()
    this.#shortened = true
    this.#failing = false
    if (this.#grantEndedAt !== undefined) {
      // On its way already when the grant was prolonged: it has asked for the old end.
      const overtaken = asked <= this.#grantEndedAt
      if (overtaken) this.#notBefore = now + leastPauseMs
      else this.#grantEndedAt = undefined
      return overtaken || endsAt >= asked - roundingMs
    }
    if (this.#outlastsGrant(-roundingMs)) return true
    if (endsAt < asked - roundingMs) return false
    return this.#end - before > (lifeMs ?? 0) * worthwhilePart
  }

  /** A renewal failed: to be tried again, but not at once. */
  renewFailed(): void {
    this.#failing = true
    const { lifeMs = 0 } = this.#issued
    const pause = Math.min(Math.max(lifeMs / 20, leastPauseMs), longestPauseMs)
    this.#notBefore = this.#clock.elapsed() + pause * (0.5 + Math.random())
  }

  /**
   * It was to end with its grant, which now goes on. Tried for as long as there is time left to tell its
   * sessions that they will not.
   */
  get #extensible(): boolean {
    if (this.#grantEndedAt === undefined || !this.#issued.renewable) return false
    return !this.#failing || this.remainingMs > farewellMs
  }

  /** It would live on after a grant of which nobody ends it; once it can be told so. */
  get #tooLong(): boolean {
    return (
      this.#issued.renewable &&
      this.#roles === 'own' &&
      !this.#shortened &&
      this.#issued.lifeMs !== undefined &&
      this.#outlastsGrant(roundingMs)
    )
  }

  /** The lease's own end, or that of what it hangs on. */
  get #end(): number {
    return Math.min(this.#endsAt, this.#issued.limit?.endsAt ?? Number.POSITIVE_INFINITY)
  }

  #outlastsGrant(byMs: number): boolean {
    return this.#clock.now() + this.remainingMs >= this.#grantEndsAt + byMs
  }
}

function renewAtAbout(): number {
  return renewAt * (1 - jitter / 2 + Math.random() * jitter)
}
