// Frames that wait to go upstream until what must be recorded is stored. Order is kept: what needs no
// record waits behind what does. A pipeline goes on while the disk is waited for, so only what a receipt
// covers may go. When the journal refuses, each waiting statement is turned into its failing substitute,
// so that the client gets its error in place and nothing unrecorded runs.

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
  /** `Journal.appended` when its record was appended: a receipt up to there lets it go. */
  readonly record: number
}

interface Item {
  readonly bytes: Buffer
  readonly start: number
  readonly end: number
  /** `rest`: more of the frame before it. */
  readonly recorded: Recorded | 'rest' | undefined
}

export class Outbox {
  #items: Item[] = []
  readonly #ranges = new Ranges()
  #waiting = false

  /** True while something in it waits for its record. */
  get waiting(): boolean {
    return this.#waiting
  }

  add(bytes: Buffer, start: number, end: number, recorded?: Recorded | 'rest'): void {
    if ((recorded === undefined || recorded === 'rest') && !this.#waiting) {
      this.#ranges.add(bytes, start, end)
      return
    }
    this.#waiting = true
    this.#items.push({ bytes, start, end, recorded })
  }

  /** Everything, while nothing waits. */
  takeUnrecorded(): readonly Buffer[] {
    return this.#ranges.take()
  }

  /** Everything before the first frame whose record came after `upTo`; the others' was stored `at`. */
  take(upTo: number, at: number): readonly Buffer[] {
    for (const { bytes, start, end, recorded } of this.#covered(upTo)) {
      const execution = recorded === 'rest' ? undefined : recorded?.expectation.execution
      if (execution !== undefined) execution.storedAt = at
      this.#ranges.add(bytes, start, end)
    }
    return this.#ranges.take()
  }

  /**
   * The same, with each recorded frame replaced by one that fails and is answered by `failure`.
   * `replaced`: how many. `replacedLast` when the last frame was: what is still to come of it must not go out.
   */
  takeRefused(
    failure: Failure,
    upTo: number,
  ): {
    readonly buffers: readonly Buffer[]
    readonly replaced: number
    readonly replacedLast: boolean
  } {
    let replaced = 0
    let replacedLast = false
    for (const { bytes, start, end, recorded } of this.#covered(upTo)) {
      if (recorded === 'rest' && replacedLast) continue
      replacedLast = recorded !== undefined && recorded !== 'rest'
      if (recorded === undefined || recorded === 'rest') {
        this.#ranges.add(bytes, start, end)
        continue
      }
      const { kind, name, expectation } = recorded
      replaced++
      expectation.denial ??= failure
      // There is no intent, so there must be no outcome.
      if (expectation.execution !== undefined) expectation.execution.ended = true
      const substitute = failingSubstitute(kind, name)
      this.#ranges.add(substitute, 0, substitute.length)
    }
    return {
      buffers: this.#ranges.take(),
      replaced,
      replacedLast: replacedLast && !this.#waiting,
    }
  }

  /** Takes them out. */
  #covered(upTo: number): readonly Item[] {
    const items = this.#items
    const later = items.findIndex(
      ({ recorded }) => recorded !== undefined && recorded !== 'rest' && recorded.record > upTo,
    )
    this.#waiting = later >= 0
    this.#items = later < 0 ? [] : items.slice(later)
    return later < 0 ? items : items.slice(0, later)
  }
}
