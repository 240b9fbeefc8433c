// Who waits for the disk. One flush runs at a time; all that is written meanwhile shares the next, so a
// slow disk makes groups larger and holds up nobody who does not wait for it. Each waiter is told in the
// order of its records. Ignorant of files and of receipts.

import type { Failure } from '../errors.ts'
import type { JournalWaiter } from './journal.ts'

/** What a waiter is told: that its records up to `upTo` are stored, or that they are not to be relied on. */
export interface Notice {
  readonly waiter: JournalWaiter
  readonly upTo: number
  readonly failure: Failure | undefined
}

interface Round {
  readonly notices: Notice[]
  readonly waiters: Set<JournalWaiter>
}

const newRound = (): Round => ({ notices: [], waiters: new Set() })

export class GroupCommit {
  readonly #sync: () => Promise<void>
  readonly #done: (notices: readonly Notice[], error: unknown) => void
  /** What the flush that runs will prove, and what came since it began. */
  #running: Round | undefined
  #next = newRound()

  /** `done` hears what each round came to; its `error` is undefined when all is on the disk. */
  constructor(
    sync: () => Promise<void>,
    done: (notices: readonly Notice[], error: unknown) => void,
  ) {
    this.#sync = sync
    this.#done = done
  }

  /** It waits already: what else it is told must wait behind that. */
  holds(waiter: JournalWaiter): boolean {
    return this.#next.waiters.has(waiter) || this.#running?.waiters.has(waiter) === true
  }

  add(notice: Notice): void {
    this.#next.notices.push(notice)
    this.#next.waiters.add(notice.waiter)
  }

  /** Call when everything that was added is written. */
  start(): void {
    if (this.#running !== undefined || this.#next.notices.length === 0) return
    this.#running = this.#next
    this.#next = newRound()
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
      this.#next = newRound()
    }
    try {
      this.#done(notices, error)
    } finally {
      this.start()
    }
  }
}
