// The audit events of a session's statements: an intent before anything is forwarded, an outcome when
// it has ended. Knows what an execution is and nothing of bytes.

import type { Journal, JournalWaiter } from '../audit/journal.ts'
import type { OutcomeResult, SessionContext, StatementProtocol, Tripwire } from '../audit/record.ts'
import {
  longText,
  outcomeRecord,
  runsField,
  statementRecord,
  tripwireRecord,
} from '../audit/record.ts'
import type { Clock } from '../clock.ts'
import type { Deny, Judgement } from '../policy/decision.ts'
import type { Execution } from './execution.ts'
import type { SessionPort } from './port.ts'

export class StatementEvents {
  readonly #journal: Journal
  readonly #context: SessionContext
  readonly #clock: Clock
  readonly #port: SessionPort
  #statements = 0
  /** Of each long text, the number of the first statement that recorded it. */
  readonly #longTexts = new WeakMap<Judgement, number>()

  constructor(deps: {
    readonly journal: Journal
    readonly context: SessionContext
    readonly clock: Clock
    readonly port: SessionPort
  }) {
    this.#journal = deps.journal
    this.#context = deps.context
    this.#clock = deps.clock
    this.#port = deps.port
  }

  /** Statements accepted or denied so far. */
  get count(): number {
    return this.#statements
  }

  /**
   * Appends the intent; `waiter` is told when it is stored. `runs` are the prepared statements and
   * cursors that the statement's own text only names.
   */
  accepted(
    judgement: Judgement,
    protocol: StatementProtocol,
    runs: readonly Judgement[],
    waiter: JournalWaiter,
  ): Execution {
    const number = ++this.#statements
    const repeats = this.#firstWith(judgement, number)
    // Many names can stand for one text.
    const texts = new Map(runs.map((run) => [run.text, run]))
    const ran = [...texts.values()].map((run) => ({
      judgement: run,
      repeats: this.#firstWith(run, number),
    }))
    const record = statementRecord(
      this.#context,
      number,
      protocol,
      judgement,
      judgement.decision,
      repeats,
    )
    this.#journal.append(record + runsField(this.#context, ran), waiter)
    return {
      number,
      tags: judgement.tags,
      changesCatalog: [judgement, ...runs].some(({ changesCatalog }) => changesCatalog),
      startedAt: this.#clock.elapsed(),
      rows: 0,
      seen: 0,
      bytes: 0,
      commands: 0,
      tag: undefined,
      fetched: false,
      ended: false,
    }
  }

  denied(
    judgement: Judgement,
    decision: Deny,
    protocol: StatementProtocol,
    waiter: JournalWaiter,
  ): void {
    const number = ++this.#statements
    this.#journal.append(
      statementRecord(this.#context, number, protocol, judgement, decision),
      waiter,
    )
    this.#port.statementDenied(judgement.tags)
  }

  /** The upstream has reported a pinned setting with another value. */
  tripped(tripwire: Tripwire): void {
    this.#journal.append(tripwireRecord(this.#context, tripwire, this.#statements))
    this.#port.tripped(tripwire)
  }

  /** Once for each execution; a portal's Executes may all be answered as the end of one. */
  ended(execution: Execution, result: OutcomeResult, sqlstate?: string): void {
    if (execution.ended) return
    execution.ended = true
    const durationMs = this.#clock.elapsed() - execution.startedAt
    this.#journal.append(
      outcomeRecord(this.#context, execution.number, {
        result,
        command: execution.tag?.replace(/[ 0-9]+$/, ''),
        rows: execution.rows + execution.seen,
        bytes: execution.bytes,
        durationMs,
        sqlstate,
      }),
    )
    this.#port.statementEnded(execution.tags, durationMs)
  }

  /** The number of the earlier statement whose record has this long text whole. */
  #firstWith(judgement: Judgement, number: number): number | undefined {
    if (judgement.text.length <= longText) return undefined
    const first = this.#longTexts.get(judgement)
    if (first === undefined) this.#longTexts.set(judgement, number)
    return first
  }
}
