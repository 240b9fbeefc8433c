// Connections that have no session: those that have not said yet who they are, and those that were
// refused and are still hearing why. When the house is full the next one takes such a place: silent
// sockets cannot keep people out. Ignorant of sockets and of what is said.

import type { Clock } from '../clock.ts'

/** So long nobody loses the place to another: an ordinary login takes less. */
const graceMs = 1_000

export interface Guest {
  /** Ends the connection at once; its place counts as free from now on. */
  dismiss(): void
}

export class Anteroom {
  readonly #clock: Clock
  /** Since when. In order of arrival. */
  readonly #waiting = new Map<Guest, number>()
  readonly #refused = new Set<Guest>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Somebody has connected and is waited for. */
  enter(guest: Guest): void {
    this.#waiting.set(guest, this.#clock.elapsed())
  }

  /** It has been answered with an error, and the connection stays only for that to be read. */
  refuse(guest: Guest): void {
    this.#waiting.delete(guest)
    this.#refused.add(guest)
  }

  /** It is being logged in, or is gone. */
  leave(guest: Guest): void {
    this.#waiting.delete(guest)
    this.#refused.delete(guest)
  }

  /** Dismisses one that was refused, else the one that has kept us waiting longest. False: nobody. */
  makeRoom(): boolean {
    const guest = this.#refused.values().next().value ?? this.#overstayed()
    if (guest === undefined) return false
    this.leave(guest)
    guest.dismiss()
    return true
  }

  /** Dismisses all who are still waited for. */
  clear(): void {
    for (const guest of [...this.#waiting.keys()]) {
      this.leave(guest)
      guest.dismiss()
    }
  }

  #overstayed(): Guest | undefined {
    const [guest, since] = this.#waiting.entries().next().value ?? []
    if (guest === undefined || since === undefined) return undefined
    return this.#clock.elapsed() - since >= graceMs ? guest : undefined
  }
}
