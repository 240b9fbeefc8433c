// The time of a record: RFC 3339 with microseconds. The wall clock says which millisecond it is, the clock
// that does not jump how far into it, so two records of one millisecond can be told apart in time.
// Ignorant of records. Format: RFC 3339, section 5.6.

import type { Clock } from '../clock.ts'

/** The last microsecond of a millisecond, in milliseconds. */
const lastMicrosecond = 0.999
/** What stands behind the milliseconds. Every record has one: none of them is formatted twice. */
const endings = Array.from({ length: 1_000 }, (_, at) => `${String(at).padStart(3, '0')}Z`)

export class Timestamps {
  readonly #clock: Clock
  /** What the wall clock said when the other one said 0. */
  #origin: number
  #millisecond = Number.NaN
  #text = ''

  constructor(clock: Clock) {
    this.#clock = clock
    this.#origin = clock.now() - clock.elapsed()
  }

  /** Never outside the millisecond that the wall clock says: where that jumps, this does too. */
  now(): string {
    const wall = this.#clock.now()
    const elapsed = this.#clock.elapsed()
    const fine = this.#origin + elapsed - wall
    const within = Math.min(Math.max(fine, 0), lastMicrosecond)
    if (within !== fine) this.#origin = wall + within - elapsed
    if (wall !== this.#millisecond) {
      this.#millisecond = wall
      this.#text = new Date(wall).toISOString().slice(0, -1)
    }
    return `${this.#text}${endings[Math.floor(within * 1000)]}`
  }
}
