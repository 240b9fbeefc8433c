// Frames that wait to go upstream until what must be recorded is stored. Order is kept: what needs no
// record waits behind what does. When the journal refuses, each waiting statement is turned into its
// failing substitute, so that the client gets its error in place and nothing unrecorded runs.

import type { Failure } from '../errors.ts'
import type { Deniable } from './denial.ts'
import { failingSubstitute } from './denial.ts'
import type { Expectation } from './pipeline.ts'
import { Ranges } from './ranges.ts'

/** A frame that must not leave before its record is stored. */
export interface Recorded {
  readonly kind: Deniable
  /** The name that a substitute must carry. */
  readonly name: string
  readonly expectation: Expectation
}

interface Item {
  readonly bytes: Buffer
  readonly start: number
  readonly end: number
  readonly recorded: Recorded | undefined
}

export class Outbox {
  #items: Item[] = []
  readonly #ranges = new Ranges()
  #waiting = false

  /** True while something in it waits for its record. */
  get waiting(): boolean {
    return this.#waiting
  }

  add(bytes: Buffer, start: number, end: number, recorded?: Recorded): void {
    if (recorded === undefined && !this.#waiting) {
      this.#ranges.add(bytes, start, end)
      return
    }
    this.#waiting = true
    this.#items.push({ bytes, start, end, recorded })
  }

  /** Everything, once it may go. */
  take(): readonly Buffer[] {
    for (const item of this.#items) this.#ranges.add(item.bytes, item.start, item.end)
    return this.#empty()
  }

  /** Everything, with each recorded frame replaced by one that fails and is answered by `failure`. */
  takeRefused(failure: Failure): readonly Buffer[] {
    for (const item of this.#items) {
      if (item.recorded === undefined) {
        this.#ranges.add(item.bytes, item.start, item.end)
        continue
      }
      const { kind, name, expectation } = item.recorded
      expectation.denial ??= failure
      expectation.execution = undefined
      const substitute = failingSubstitute(kind, name)
      this.#ranges.add(substitute, 0, substitute.length)
    }
    return this.#empty()
  }

  #empty(): readonly Buffer[] {
    if (this.#items.length > 0) this.#items = []
    this.#waiting = false
    return this.#ranges.take()
  }
}
