// Who waits for the disk. One flush runs at a time; all that is written meanwhile shares the next, so a
// slow disk makes groups larger and holds up nobody who does not wait for it. Each waiter is told in the
// order of its records. Ignorant of files and of receipts.

import type { Failure } from '../errors.ts'

/** What a waiter is told: that its records up to `upTo` are stored, or that they are not to be relied on. */
export interface Notice<Waiter> {
  readonly waiter: Waiter
  readonly upTo: number
  readonly failure: Failure | undefined
}

interface Round<Waiter> {
  readonly notices: Notice<Waiter>[]
  readonly waiters: Set<Waiter>
}

export class GroupCommit<Waiter> {
  readonly #sync: () => Promise<void>
  readonly #done: (notices: readonly Notice<Waiter>[], error: unknown) => void
  /** What the flush that runs will prove, and what came since it began. */
  #running: Round<Waiter> | undefined
  #next: Round<Waiter> = { notices: [], waiters: new Set() }

  /** `done` hears what each round came to; its `error` is undefined when all is on the disk. */
  constructor(
    sync: () => Promise<void>,
    done: (notices: readonly Notice<Waiter>[], error: unknown) => void,
  ) {
    this.#sync = sync
    this.#done = done
  }

  /** It waits already: what else it is told must wait behind that. */
  holds(waiter: Waiter): boolean {
    return this.#next.waiters.has(waiter) || this.#running?.waiters.has(waiter) === true
  }

  add(notice: Notice<Waiter>): void {
    this.#next.notices.push(notice)
    this.#next.waiters.add(notice.waiter)
  }

  /** Call when everything that was added is written. */
  start(): void {
    if (this.#running !== undefined || this.#next.notices.length === 0) return
    this.#running = this.#next
    this.#next = { notices: [], waiters: new Set() }
    this.#sync().then(
      () => this.#finish(undefined),
      (error: unknown) => this.#finish(error),
    )
  }

  #finish(error: unknown): void {
    const notices = [...(this.#running?.notices ?? [])]
    this.#running = undefined
    if (error !== undefined) {
      // What was written since went into the same file, which nothing vouches for any more.
      notices.push(...this.#next.notices)
      this.#next = { notices: [], waiters: new Set() }
    }
    try {
      this.#done(notices, error)
    } finally {
      this.start()
    }
  }
}
