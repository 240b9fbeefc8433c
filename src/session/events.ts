// The audit events of a session's statements: an intent before anything is forwarded, an outcome when
// it has ended. Knows what an execution is and how much of it its role has recorded, and nothing of
// bytes.

import type { Beside, Journal, JournalWaiter } from '../audit/journal.ts'
import type { Parameters } from '../audit/parameters-record.ts'
import { type SessionContext, type Tripwire, tripwireRecord } from '../audit/record.ts'
import { modeOfCaller, recordedText } from '../audit/recorded-text.ts'
import type { Recording } from '../audit/recording.ts'
import type { Run } from '../audit/runs-record.ts'
import {
  isLong,
  type OutcomeResult,
  outcomeRecord,
  type Statement,
  type StatementProtocol,
  statementRecord,
} from '../audit/statement-record.ts'
import type { OverflowText } from '../audit/storage.ts'
import type { Clock } from '../clock.ts'
import type { Failure } from '../errors.ts'
import type { Deny, Judgement } from '../policy/decision.ts'
import type { TransactionStatus } from '../wire/backend.ts'
import type { Execution } from './execution.ts'
import type { SessionPort } from './port.ts'

/** The message that a statement came by. */
export interface Arrival {
  readonly protocol: StatementProtocol
  /** Of the whole message. */
  readonly bytesIn: number
  /** Clock.elapsed() when judging began. */
  readonly since: number
  readonly parameters?: Parameters
}

const transactions = { I: 'idle', T: 'open', E: 'failed' } as const
const durable: Beside = { durable: true }

export class StatementEvents {
  readonly #journal: Journal
  readonly #context: SessionContext
  readonly #recording: Recording
  readonly #clock: Clock
  readonly #port: SessionPort
  readonly #status: () => TransactionStatus
  #statements = 0
  /** Of each long text, the number of the first statement that recorded it. */
  #longTexts = new WeakMap<Judgement, number>()

  constructor(deps: {
    readonly journal: Journal
    readonly context: SessionContext
    readonly recording: Recording
    readonly clock: Clock
    readonly port: SessionPort
    /** The session's, as the server last said. */
    readonly status: () => TransactionStatus
  }) {
    this.#journal = deps.journal
    this.#context = deps.context
    this.#recording = deps.recording
    this.#clock = deps.clock
    this.#port = deps.port
    this.#status = deps.status
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
    arrival: Arrival,
    runs: readonly Judgement[],
    waiter: JournalWaiter,
  ): Execution {
    const number = ++this.#statements
    const repeats = this.#firstWith(judgement, number)
    const ran = runs.length === 0 ? none : this.#ran(runs, number)
    const startedAt = this.#clock.elapsed()
    this.#record(number, judgement, arrival, { repeats, runs: ran }, waiter)
    return {
      number,
      tags: judgement.tags,
      changesCatalog: judgement.changesCatalog || runs.some(({ changesCatalog }) => changesCatalog),
      messages: this.#messagesOf(judgement, runs, arrival.protocol),
      policyMs: startedAt - arrival.since,
      startedAt,
      storedAt: undefined,
      rows: 0,
      seen: 0,
      bytesIn: 0,
      bytes: 0,
      commands: 0,
      tag: undefined,
      fetched: false,
      ended: false,
    }
  }

  denied(judgement: Judgement, decision: Deny, arrival: Arrival, waiter: JournalWaiter): void {
    const number = ++this.#statements
    this.#record(number, judgement, arrival, { decision }, waiter)
    this.#port.statementDenied(judgement.tags, decision)
  }

  /** So many that were accepted have no record, and nothing may refer to them. */
  refused(count: number, failure: Failure): void {
    this.#longTexts = new WeakMap()
    this.#port.statementsRefused(count, failure)
  }

  /** The upstream has reported a pinned setting with another value. */
  tripped(tripwire: Tripwire): void {
    this.#journal.append(tripwireRecord(this.#context, tripwire, this.#statements))
    this.#port.tripped(tripwire)
  }

  /** Once for each execution; a portal's Executes may all be answered as the end of one. */
  ended(execution: Execution, result: OutcomeResult, error?: ServerError): void {
    if (execution.ended) return
    execution.ended = true
    const { startedAt, storedAt, policyMs } = execution
    const now = this.#clock.elapsed()
    const durationMs = now - startedAt
    const auditMs = storedAt === undefined ? undefined : storedAt - startedAt
    const record = outcomeRecord(this.#context, execution.number, {
      result,
      command: execution.tag?.replace(/[ 0-9]+$/, ''),
      rows: execution.rows + execution.seen,
      bytesIn: execution.bytesIn,
      bytes: execution.bytes,
      durationMs,
      policyMs,
      auditMs,
      upstreamMs: storedAt === undefined ? undefined : now - storedAt,
      sqlstate: error?.sqlstate,
      message: error && shown(error, execution.messages),
    })
    this.#journal.append(record, undefined, this.#beside(none))
    const took = { durationMs, policyMs, auditMs }
    this.#port.statementEnded(execution.tags, took, error?.sqlstate)
  }

  #record(
    number: number,
    judgement: Judgement,
    { protocol, bytesIn, parameters }: Arrival,
    own: Partial<Pick<Statement, 'decision' | 'repeats' | 'runs'>>,
    waiter: JournalWaiter,
  ): void {
    const { fields, overflow } = statementRecord(this.#context, this.#recording.text, {
      number,
      protocol,
      judgement,
      decision: own.decision ?? judgement.decision,
      transaction: transactions[this.#status()],
      bytesIn,
      parameters,
      repeats: own.repeats,
      runs: own.runs ?? none,
    })
    this.#journal.append(fields, waiter, this.#beside(overflow))
  }

  #beside(overflow: readonly OverflowText[]): Beside | undefined {
    const batch = this.#recording.fsync === 'batch'
    if (overflow.length === 0) return batch ? durable : undefined
    return { durable: batch, overflow }
  }

  /** Many names can stand for one text. */
  #ran(runs: readonly Judgement[], number: number): readonly Run[] {
    const texts = new Map(runs.map((run) => [run.text, run]))
    return [...texts.values()].map((judgement) => ({
      judgement,
      repeats: this.#firstWith(judgement, number),
    }))
  }

  /** The number of the earlier statement whose record has this long text whole. */
  #firstWith(judgement: Judgement, number: number): number | undefined {
    if (!isLong(judgement, this.#recording.text)) return undefined
    const first = this.#longTexts.get(judgement)
    if (first === undefined) this.#longTexts.set(judgement, number)
    return first
  }

  /** Asked before anything fails: an execution keeps no judgement. */
  #messagesOf(
    judgement: Judgement,
    runs: readonly Judgement[],
    protocol: StatementProtocol,
  ): Execution['messages'] {
    const { text, parameters } = this.#recording
    const hidden = (each: Judgement): boolean => recordedText(each, text).redacted
    // Of a text that is not shown in full PostgreSQL could quote what is left out.
    if (modeOfCaller(judgement, runs, text) !== 'full') return 'none'
    if (hidden(judgement) || runs.some(hidden)) return 'none'
    return parameters === 'none' && protocol !== 'simple' ? 'shape' : 'all'
  }
}

/** What an ErrorResponse says. */
interface ServerError {
  readonly sqlstate: string | undefined
  readonly message: string | undefined
}

const none: readonly never[] = []

/** Class 22, data exceptions: `invalid input syntax for type integer: "..."`. */
function shown(
  { sqlstate, message }: ServerError,
  messages: Execution['messages'],
): string | undefined {
  if (messages === 'none') return undefined
  return messages === 'shape' && sqlstate?.startsWith('22') === true ? undefined : message
}
