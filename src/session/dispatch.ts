// Carries out what the gate decides on a frame: it goes as it came, or when its record is stored, or one
// that fails goes in its place. Notes the answer that each will have. Ignorant of why.

import type { JournalWaiter, Receipt } from '../audit/journal.ts'
import type { Failure } from '../errors.ts'
import type { Deny, Judgement } from '../policy/decision.ts'
import type { Deniable } from './denial.ts'
import { failingSubstitute } from './denial.ts'
import type { Arrival } from './events.ts'
import type { Execution } from './execution.ts'
import { Outbox, type Recorded } from './outbox.ts'
import type { Expectation } from './pipeline.ts'
import { nothingToRecord } from './port.ts'
import type { SessionState } from './state.ts'

/** A frame, or as much of it as is at hand. */
export interface Frame {
  readonly bytes: Buffer
  readonly start: number
  readonly end: number
}

export function wholeFrame(bytes: Buffer): Frame {
  return { bytes, start: 0, end: bytes.length }
}

export class Dispatch implements JournalWaiter {
  readonly #state: SessionState
  readonly #outbox = new Outbox()
  /** Whether the rest of the frame last begun is dropped. */
  #dropping = false

  constructor(state: SessionState) {
    this.#state = state
  }

  /** Another frame begins. */
  begin(dropped: boolean): void {
    this.#dropping = dropped
  }

  /** More of the frame last begun. */
  rest(bytes: Buffer, start: number, end: number): void {
    if (!this.#dropping) this.#outbox.add(bytes, start, end, 'rest')
  }

  /** A frame that has no answer. */
  pass({ bytes, start, end }: Frame): void {
    this.#outbox.add(bytes, start, end)
  }

  /** A frame that runs nothing which is not recorded yet. */
  forward(expectation: Expectation, { bytes, start, end }: Frame): void {
    this.#outbox.add(bytes, start, end)
    this.#state.pipeline.sent(expectation)
  }

  /** Appends the record of a run. `runs` is what its EXECUTE and FETCH run. */
  accept(judgement: Judgement, arrival: Arrival, runs: readonly Judgement[]): Execution {
    return this.#state.events.accepted(judgement, arrival, runs, this)
  }

  /** A frame that runs SQL: it goes when the record of `execution` is stored. */
  run(
    expectation: Expectation,
    execution: Execution,
    kind: Deniable,
    name: string,
    { bytes, start, end }: Frame,
  ): void {
    expectation.execution = execution
    this.#outbox.add(bytes, start, end, this.#recorded(kind, name, expectation))
    this.#state.pipeline.sent(expectation)
  }

  /** Denies with a record. */
  deny(
    expectation: Expectation,
    kind: Deniable,
    name: string,
    judgement: Judgement,
    decision: Deny,
    arrival: Arrival,
  ): void {
    this.#state.events.denied(judgement, decision, arrival, this)
    this.#substitute(expectation, kind, name, decision.failure, true)
  }

  /** Refuses a message that names nothing runnable; there is no statement to record. */
  fail(expectation: Expectation, kind: Deniable, name: string, failure: Failure): void {
    this.#substitute(expectation, kind, name, failure, false)
  }

  /** Sends what need not wait. Call at the end of a chunk. */
  flush(): void {
    if (this.#outbox.waiting) return
    const buffers = this.#outbox.takeUnrecorded()
    if (buffers.length > 0) this.#state.options.port.toUpstream(buffers, nothingToRecord)
  }

  stored(receipt: Receipt): void {
    const at = this.#state.options.clock.elapsed()
    this.#state.options.port.toUpstream(this.#outbox.take(receipt.upTo, at), receipt)
  }

  refused(failure: Failure, upTo: number): void {
    const { buffers, replaced, replacedLast } = this.#outbox.takeRefused(failure, upTo)
    if (replacedLast) this.#dropping = true
    this.#state.events.refused(replaced, failure)
    this.#state.options.port.toUpstream(buffers, nothingToRecord)
  }

  #substitute(
    expectation: Expectation,
    kind: Deniable,
    name: string,
    failure: Failure,
    recorded: boolean,
  ): void {
    this.#dropping = true
    expectation.denial = failure
    const frame = failingSubstitute(kind, name)
    this.#outbox.add(
      frame,
      0,
      frame.length,
      recorded ? this.#recorded(kind, name, expectation) : undefined,
    )
    this.#state.pipeline.sent(expectation)
  }

  /** Its record has just been appended. */
  #recorded(kind: Deniable, name: string, expectation: Expectation): Recorded {
    return { kind, name, expectation, record: this.#state.options.journal.appended }
  }
}
