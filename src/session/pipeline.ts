// The queue of answers that the upstream owes: every message forwarded pushes what it will be
// answered with, every answer takes the head. The queue is the whole truth about a pipeline: what is
// running, what an error skips, which statement a row belongs to. Knows no bytes and no SQL.
// PostgreSQL documentation, "Extended Query" and "Pipelining"; postgres.c, ignore_till_sync.

import type { Failure } from '../errors.ts'
import type { Execution, Portal, Prepared } from './execution.ts'
import type { Change } from './names.ts'

/** What a message, or one statement of a query string, makes of names. */
export interface NameChanges {
  /** Of a prepared statement's: Parse, Query, Close; PREPARE, DEALLOCATE. */
  readonly statementChange: Change<Prepared> | undefined
  /** Of a portal's: Bind, Query, Close; DECLARE, CLOSE. */
  readonly portalChange: Change<Portal> | undefined
}

export interface Expectation extends NameChanges {
  readonly kind: 'query' | 'parse' | 'bind' | 'describe' | 'execute' | 'close' | 'call' | 'sync'
  /** Why the upstream was given something that fails in its place; its error is answered with this. */
  denial: Failure | undefined
  /** What the COPY's error says when it is the answer to a CopyFail of ours. */
  copyFailure: Failure | undefined
  /** What a Describe asks about, where the types of its parameters are wanted. */
  readonly described: Prepared | undefined
  /** The run that the answers belong to; none where nothing runs. */
  execution: Execution | undefined
  /** What the SQL in it makes of names, one for each statement; empty when no statement does. */
  readonly sqlChanges: readonly (NameChanges | undefined)[]
}

export function expectation(
  kind: Expectation['kind'],
  changes?: Partial<
    Pick<Expectation, 'described' | 'statementChange' | 'portalChange' | 'sqlChanges'>
  >,
): Expectation {
  return {
    kind,
    denial: undefined,
    copyFailure: undefined,
    described: changes?.described,
    execution: undefined,
    statementChange: changes?.statementChange,
    portalChange: changes?.portalChange,
    sqlChanges: changes?.sqlChanges ?? noChanges,
  }
}

const noChanges: readonly never[] = []

/** What is answered with ReadyForQuery, and ends a Sync group. */
function endsGroup({ kind }: Expectation): boolean {
  return kind === 'query' || kind === 'call' || kind === 'sync'
}

export class Pipeline {
  readonly #queue: Expectation[] = []
  /** Index of the head; the array is compacted when the queue runs empty. */
  #head = 0
  /** ReadyForQuery owed. */
  #ends = 0
  /** After an error in extended mode, until the next Sync, the server reads and ignores. */
  #skipping = false
  /** The server reads COPY data for the head and has not been told the end of it. */
  #copyingIn = false
  /** The last message sent does not end its Sync group. */
  #midGroup = false
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

  /** Whether an earlier Sync group is still to be answered by ReadyForQuery. */
  get owesReady(): boolean {
    return this.#ends > 0
  }

  /**
   * Whether a Sync is still to come for what was sent: until it has been answered nothing of that is
   * committed, though each message may have had its answer (Flush).
   */
  get midGroup(): boolean {
    return this.#midGroup || this.#skipping
  }

  /** Whether the server is reading COPY data, as far as it and the client have said. */
  get copyingIn(): boolean {
    return this.#copyingIn
  }

  /**
   * Whether it is known what the server does with the next message: it owes nothing, or reads COPY
   * data, or skips to Sync.
   */
  get settled(): boolean {
    return this.length === 0 || this.#copyingIn || this.#skipping
  }

  /** The message whose answer comes next. */
  get head(): Expectation | undefined {
    return this.#queue[this.#head]
  }

  /** A message is forwarded. */
  sent(expectation: Expectation): void {
    this.#midGroup = !endsGroup(expectation)
    if (this.#skipping && expectation.kind !== 'sync') {
      this.#dropped(expectation)
      return
    }
    this.#skipping = false
    if (endsGroup(expectation)) this.#ends++
    this.#queue.push(expectation)
  }

  /** The head has its answer. */
  take(): void {
    if (this.head !== undefined && endsGroup(this.head)) this.#ends--
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

  /** CopyInResponse. */
  copyIn(): void {
    this.#copyingIn = true
  }

  /** The client has sent CopyDone or CopyFail, or the server has ended the COPY. */
  copyEnded(): void {
    this.#copyingIn = false
  }

  /**
   * ErrorResponse. In simple mode ReadyForQuery follows and takes the head. In extended mode
   * everything up to the next Sync is skipped, a Query in between too.
   */
  failed(): void {
    this.#copyingIn = false
    if (this.head === undefined || endsGroup(this.head)) return
    this.take()
    while (this.#head < this.#queue.length) {
      const next = this.#queue[this.#head]
      if (next === undefined || next.kind === 'sync') return
      this.take()
      this.#dropped(next)
    }
    this.#skipping = true
  }

  /** Empties the queue at the session's end; the caller closes the books on what it held. */
  drain(): readonly Expectation[] {
    const owed = this.#queue.slice(this.#head)
    this.#queue.length = 0
    this.#head = 0
    this.#ends = 0
    return owed
  }
}
