// What was written to a receiver that confirms nothing: it has arrived when the connection lives on for a
// while. Ignorant of connections: somebody looks whether one does.

import type { Position } from '../audit/outbox.ts'
import type { Clock } from '../clock.ts'

/** The last record of a batch that a sink has taken. */
export interface Taken {
  readonly chain: string
  readonly position: Position
}

interface Written extends Taken {
  readonly at: number
  readonly oldest: string | undefined
}

export class Settling {
  readonly #ms: number
  readonly #clock: Clock
  #written: Written[] = []

  constructor(ms: number, clock: Clock) {
    this.#ms = ms
    this.#clock = clock
  }

  /** Whether asking for what has arrived would tell something. */
  get isDue(): boolean {
    const [first] = this.#written
    return first !== undefined && first.at + this.#ms <= this.#clock.elapsed()
  }

  /** `oldest`: the time of the batch's first record. */
  add(taken: Taken, oldest: string | undefined): void {
    this.#written.push({ ...taken, at: this.#clock.elapsed(), oldest })
  }

  /** To be called when the connection was found alive. */
  arrived(): readonly Taken[] {
    const until = this.#clock.elapsed() - this.#ms
    const settled = this.#written.filter(({ at }) => at <= until)
    this.#written = this.#written.slice(settled.length)
    return settled
  }

  /** The connection is gone, and nobody knows what has arrived. The time of the oldest record, if any. */
  forget(): string | undefined {
    const [first] = this.#written
    this.#written = []
    return first?.oldest
  }
}
