// How a worker has its chain sent to the sinks: it says how far the chain is stored, the supervisor's thread
// reads the files, and the supervisor says how far every sink has them. Decides nothing.

import type { Journal } from '../audit/journal.ts'
import type { Ships } from './journal.ts'
import type { FromWorker } from './worker-words.ts'

/** How late the supervisor may hear that a record is stored. */
const markMs = 50
/** So often it hears at least that this process lives. */
const beatMs = 1_000

export class ShippedBySupervisor implements Ships {
  readonly #say: (words: FromWorker) => Promise<void>
  #journal: Journal | undefined
  #said: number | undefined
  #unsaidFor = 0
  #upTo = 0

  /** Says from now on that this process lives, to its end. */
  constructor(say: (words: FromWorker) => Promise<void>) {
    this.#say = say
    void this.#sayHere()
    setInterval(() => {
      this.#unsaidFor += markMs
      if (this.#unsaidFor >= beatMs || this.#said !== this.#stored) void this.#sayHere()
    }, markMs).unref()
  }

  start(journal: Journal): void {
    this.#journal = journal
  }

  /** The last word is where the chain ends. */
  async stop(): Promise<void> {
    await this.#sayHere()
  }

  /** Nothing, until the supervisor has said so. */
  shippedUpTo(): number {
    return this.#upTo
  }

  shipped(upTo: number): void {
    this.#upTo = upTo
  }

  get #stored(): number | undefined {
    return this.#journal?.tip.sequence
  }

  async #sayHere(): Promise<void> {
    this.#said = this.#stored
    this.#unsaidFor = 0
    await this.#say({ type: 'here', stored: this.#said })
  }
}
