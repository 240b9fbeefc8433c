// What has happened and cannot be written for now: outcomes, ends of sessions, all that nobody could be
// refused for. Kept in order with the time it had, up to a bound; beyond it, counted. Ignorant of why.

import type { Entry } from './batch.ts'

/** In characters. A full disk must not become a full memory. */
const mostKept = 8 * 1024 * 1024
/** So much is tried at once: while the disk is full each try is for nothing. */
const portion = 64 * 1024
/** About what an entry takes besides its text. */
const overhead = 128

export class Backlog {
  #entries: Entry[] = []
  #size = 0
  #lost = 0

  get length(): number {
    return this.#entries.length
  }

  /** How many were not kept since `forgive`. */
  get lost(): number {
    return this.#lost
  }

  keep(entry: Entry): void {
    const size = sizeOf(entry)
    // Once one is lost, so is all that comes after it: the record of the loss then stands where it was.
    if (this.#lost > 0 || this.#size + size > mostKept) {
      this.#lost += 1
      return
    }
    this.#entries.push(entry)
    this.#size += size
  }

  /** The oldest of them, as many as should be tried together. */
  oldest(): readonly Entry[] {
    let end = 0
    for (let size = 0; end < this.#entries.length && size < portion; end += 1) {
      const entry = this.#entries[end]
      if (entry !== undefined) size += sizeOf(entry)
    }
    return this.#entries.slice(0, end)
  }

  /** The oldest `count` are stored. */
  drop(count: number): void {
    for (const entry of this.#entries.splice(0, count)) this.#size -= sizeOf(entry)
  }

  /** What was lost is on record. */
  forgive(): void {
    this.#lost = 0
  }
}

function sizeOf({ fields, overflow = [] }: Entry): number {
  return overflow.reduce((sum, { text }) => sum + text.length, fields.length + overhead)
}
