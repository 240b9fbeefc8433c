// Which allowed statements have no outcome on record: still running, or lost when their process died. In
// bounded memory, whatever a journal holds: beyond the bound they are counted and not named. Ignorant of
// lines.

import type { NamedStatements } from './verdict.ts'

/** More than any number of sessions has on the way at once. */
const mostRunning = 100_000
const mostLost = 10_000

export class Unfinished {
  readonly #running = new Set<string>()
  /** Those that no longer fitted. */
  #unnamed = 0
  readonly #lost: string[] = []
  #lostCount = 0

  allowed(id: string): void {
    if (this.#running.size < mostRunning) this.#running.add(id)
    else this.#unnamed += 1
  }

  ended(id: string): void {
    // Of a statement in a segment that was retired, an outcome alone is left.
    if (!this.#running.delete(id) && this.#unnamed > 0) this.#unnamed -= 1
  }

  /** The process that wrote them has ended. */
  over(): void {
    const { count, ids } = this.running
    this.#lostCount += count
    for (const id of ids) {
      if (this.#lost.length === mostLost) break
      this.#lost.push(id)
    }
    this.#running.clear()
    this.#unnamed = 0
  }

  get running(): NamedStatements {
    return { count: this.#running.size + this.#unnamed, ids: [...this.#running].slice(0, mostLost) }
  }

  get lost(): NamedStatements {
    return { count: this.#lostCount, ids: this.#lost }
  }
}
