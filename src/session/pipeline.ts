// The queue of answers that the upstream owes: every message forwarded pushes what it will be
// answered with, every answer takes the head. The queue is the whole truth about a pipeline: what is
// running, what an error skips, which statement a row belongs to. Knows no bytes and no SQL.
// PostgreSQL documentation, "Extended Query" and "Pipelining"; postgres.c, ignore_till_sync.

import type { Failure } from '../errors.ts'
import type { Execution, Portal, Prepared } from './execution.ts'
import type { Change } from './names.ts'

export interface Expectation {
  /** `copyEnd` is a CopyDone or CopyFail: it is answered with nothing, but ends what COPY swallows. */
  readonly kind:
    | 'query'
    | 'parse'
    | 'bind'
    | 'describe'
    | 'execute'
    | 'close'
    | 'call'
    | 'sync'
    | 'copyEnd'
  /** Why the upstream was given something that fails in its place; its error is answered with this. */
  denial: Failure | undefined
  /** The run that the answers belong to; none where nothing runs. */
  execution: Execution | undefined
  /** What the message makes of a statement's name (parse, query, close). */
  readonly statementChange: Change<Prepared> | undefined
  /** What it makes of a portal's name (bind, query, close). */
  readonly portalChange: Change<Portal> | undefined
  /** What SQL's PREPARE and DEALLOCATE make of names, one for each statement of the query string. */
  readonly sqlChanges: readonly (Change<Prepared> | undefined)[]
}

export class Pipeline {
  readonly #queue: Expectation[] = []
  /** Index of the head; the array is compacted when the queue runs empty. */
  #head = 0
  /** After an error in extended mode, until the next Sync, the server reads and ignores. */
  #skipping = false
  /** The server reads COPY data for the head and has not been told the end of it. */
  #copyingIn = false
  readonly #dropped: (expectation: Expectation) => void

  /** `dropped` is told of each message that the server ignores after an error. */
  constructor(dropped: (expectation: Expectation) => void) {
    this.#dropped = dropped
  }

  /** True while nothing is owed: what an idle timeout and a late cancel ask for. */
  get idle(): boolean {
    return this.head === undefined && !this.#skipping
  }

  /** Answers owed: what a client that never reads can make grow. */
  get length(): number {
    return this.#queue.length - this.#head
  }

  get copyingIn(): boolean {
    return this.#copyingIn
  }

  /** The message whose answer comes next. */
  get head(): Expectation | undefined {
    // A CopyDone that met no COPY is ignored by the server.
    while (this.#queue[this.#head]?.kind === 'copyEnd') this.#shift()
    return this.#queue[this.#head]
  }

  /** A message is forwarded. */
  sent(expectation: Expectation): void {
    const { kind } = expectation
    if (this.#copyingIn) {
      // In copy-in mode the server ignores Sync; CopyDone and CopyFail end the mode.
      if (kind === 'copyEnd') this.#copyingIn = false
      if (kind === 'copyEnd' || kind === 'sync') return
    }
    if (this.#skipping && kind !== 'sync') {
      this.#dropped(expectation)
      return
    }
    this.#skipping = false
    this.#queue.push(expectation)
  }

  /** The head has its answer. */
  take(): void {
    this.#shift()
  }

  /**
   * CopyInResponse: from here to the end of the data the server ignores Sync. Clients that always
   * send Sync behind Execute have sent one already, and it will never be answered.
   */
  copyIn(): void {
    const from = this.#head + 1
    while (from < this.#queue.length) {
      const next = this.#queue[from]
      if (next === undefined) break
      this.#queue.splice(from, 1)
      if (next.kind === 'copyEnd') return
      if (next.kind !== 'sync') {
        // Any other message inside COPY is read, ignored and answered by an error for the COPY.
        this.#dropped(next)
        return
      }
    }
    this.#copyingIn = true
  }

  /**
   * ErrorResponse. In simple mode ReadyForQuery follows and takes the head. In extended mode
   * everything up to the next Sync is skipped, a Query in between too.
   */
  failed(): void {
    this.#copyingIn = false
    const kind = this.head?.kind
    if (kind === undefined || kind === 'query' || kind === 'call' || kind === 'sync') return
    this.#shift()
    while (this.#head < this.#queue.length) {
      const next = this.#queue[this.#head]
      if (next === undefined || next.kind === 'sync') return
      this.#shift()
      this.#dropped(next)
    }
    this.#skipping = true
  }

  /** Empties the queue at the session's end; the caller closes the books on what it held. */
  drain(): readonly Expectation[] {
    const owed = this.#queue.slice(this.#head)
    this.#queue.length = 0
    this.#head = 0
    return owed
  }

  #shift(): void {
    this.#head++
    if (this.#head === this.#queue.length) {
      this.#queue.length = 0
      this.#head = 0
    } else if (this.#head > 1024) {
      // A pipeline that never runs empty must not keep what was answered.
      this.#queue.splice(0, this.#head)
      this.#head = 0
    }
  }
}
