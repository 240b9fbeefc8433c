// What one session knows after login: the names, the pipeline of owed answers, the audit events of its
// statements. Both directions work on it: the gate announces, the replies confirm. Does no IO.

import type { Authorization } from '../access/authorization.ts'
import type { Journal } from '../audit/journal.ts'
import type { SessionContext } from '../audit/record.ts'
import type { Recording } from '../audit/recording.ts'
import type { Clock } from '../clock.ts'
import type { Catalog } from '../policy/catalog.ts'
import type { Policy } from '../policy/policy.ts'
import type { Remit } from '../policy/remit.ts'
import type { TransactionStatus } from '../wire/backend.ts'
import { StatementEvents } from './events.ts'
import type { Portal, Prepared } from './execution.ts'
import { Names } from './names.ts'
import type { Expectation, NameChanges } from './pipeline.ts'
import { Pipeline } from './pipeline.ts'
import type { SessionPort } from './port.ts'

/** By what statements are judged, and as whose. */
export interface Rules {
  readonly policy: Policy
  /** The grant's role, less what is kept from this session. The same object until the rules change. */
  readonly remit: Remit
}

export interface SessionOptions {
  readonly authorization: Authorization
  /** Who, where, as what: goes into each audit record. */
  readonly context: SessionContext
  /** How much of its statements is recorded. */
  readonly recording: Recording
  /**
   * As they are now: they may be replaced while the session lives. Asked for each statement. Throws the
   * Failure to end the session with, when it cannot go on by them.
   */
  readonly rules: () => Rules
  /** What is known of the target's catalog now. */
  readonly catalog: () => Catalog
  readonly journal: Journal
  readonly clock: Clock
  readonly port: SessionPort
  /** Largest query string that is kept to be judged, in bytes. */
  readonly maxStatementBytes: number
  /** Settings that the upstream must go on reporting as they are (names and values in lower case). */
  readonly pinned: ReadonlyMap<string, readonly string[]>
}

/** About what a name costs without its text; and the types of its parameters. */
const nameWeight = 256
const typesWeight = 512

export class SessionState {
  readonly options: SessionOptions
  readonly statements = new Names<Prepared>(
    ({ judgement }) => nameWeight + judgement.text.length + (this.recordsValues ? typesWeight : 0),
  )
  readonly portals = new Names<Portal>(
    ({ prepared }) => nameWeight + prepared.judgement.text.length,
  )
  readonly pipeline: Pipeline
  readonly events: StatementEvents
  /** Counts what ReadyForQuery answers: what an error makes the server skip never goes beyond one. */
  group = 0
  /** The client's next message came in the middle of a COPY and has failed it. */
  intruder = false
  /** No transaction is begun any more: the session ends when the one that runs is over. */
  draining = false
  /** Something has run, since no transaction was open, that may have changed the target's catalog. */
  catalogTouched = false
  /** As the upstream's last ReadyForQuery said. */
  status: TransactionStatus = 'I'
  /** Clock.elapsed() of that ReadyForQuery. */
  readyAt: number
  /** Clock.elapsed() when the transaction that runs began; a statement outside a block is one too. */
  transactionAt: number | undefined

  constructor(options: SessionOptions) {
    this.options = options
    this.readyAt = options.clock.elapsed()
    this.events = new StatementEvents({ ...options, status: () => this.status })
    this.pipeline = new Pipeline((expectation) => this.dropped(expectation))
  }

  /** By what the next statement is judged. */
  get rules(): Rules {
    return this.options.rules()
  }

  /** Values that come beside a text are recorded too. */
  get recordsValues(): boolean {
    return this.options.recording.parameters === 'full'
  }

  /** The client's messages have been read: if they run something, its transaction begins with them. */
  began(): void {
    if (!this.pipeline.idle) this.transactionAt ??= this.options.clock.elapsed()
  }

  /** ReadyForQuery. What is still owed then is another transaction's. */
  ready(status: TransactionStatus): void {
    this.status = status
    this.readyAt = this.options.clock.elapsed()
    if (status === 'I') this.transactionAt = this.pipeline.idle ? undefined : this.readyAt
  }

  /**
   * Whether whatever the client was sent an answer for is committed, or failed, and nothing else is under
   * way: to end now loses nothing but what hangs on the session itself.
   */
  get atRest(): boolean {
    return this.pipeline.idle && !this.pipeline.midGroup && this.status === 'I'
  }

  /** Closes the books on whatever has not been answered. */
  close(): void {
    for (const { execution } of this.pipeline.drain()) {
      if (execution === undefined) continue
      // The server may have run it, or run it yet: its answer is heard by nobody.
      this.catalogTouched ||= execution.changesCatalog
      this.events.ended(execution, 'unknown')
    }
    this.portalsGone(() => true)
    this.catalogVisible()
  }

  /** Others may see by now what the session has made of the target's catalog. */
  catalogVisible(): void {
    if (this.catalogTouched) this.options.port.catalogChanged()
    this.catalogTouched = false
  }

  /** Portals that are no more: closed, or their transaction is over. */
  portalsGone(which: (portal: Portal) => boolean): void {
    for (const portal of this.portals.forget(which)) this.#portalGone(portal)
  }

  #portalGone({ execution }: Portal): void {
    if (execution === undefined) return
    this.events.ended(execution, execution.fetched ? 'suspended' : 'unexecuted')
  }

  /** The server ignores the message: what it would have made never comes to be. */
  dropped(expectation: Expectation): void {
    this.forget(expectation)
    if (expectation.execution !== undefined) this.events.ended(expectation.execution, 'skipped')
  }

  /** The server has done what the message, or the statement, asked: what it made of names is fact. */
  confirm({ statementChange, portalChange }: NameChanges): void {
    if (statementChange !== undefined) this.statements.confirm(statementChange)
    if (portalChange === undefined) return
    const old = this.portals.replacedBy(portalChange)
    if (old !== undefined) this.#portalGone(old)
    this.portals.confirm(portalChange)
  }

  /** Drops what the message announced and the server did not do. */
  forget(expectation: Expectation): void {
    this.#drop(expectation)
    for (const changes of expectation.sqlChanges) if (changes !== undefined) this.#drop(changes)
  }

  #drop({ statementChange, portalChange }: NameChanges): void {
    if (statementChange !== undefined) this.statements.drop(statementChange)
    if (portalChange !== undefined) this.portals.drop(portalChange)
  }
}
