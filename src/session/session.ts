// One connection's protocol state after login, and the two directions that work on it. Owns the
// names, the pipeline of owed answers and the audit events of its statements; does no IO: bytes come
// in by fromClient and fromUpstream and leave by the port.

import type { Authorization } from '../access/authorization.ts'
import type { Journal } from '../audit/journal.ts'
import type { SessionContext } from '../audit/record.ts'
import type { Clock } from '../clock.ts'
import type { Failure } from '../errors.ts'
import type { Policy } from '../policy/policy.ts'
import type { TransactionStatus } from '../wire/backend.ts'
import { upstreamFrames } from '../wire/backend.ts'
import { FrameReader } from '../wire/frames.ts'
import { sessionFrames } from '../wire/frontend.ts'
import { StatementEvents } from './events.ts'
import type { Portal, Prepared } from './execution.ts'
import { Gate } from './gate.ts'
import { Names } from './names.ts'
import type { Expectation } from './pipeline.ts'
import { Pipeline } from './pipeline.ts'
import type { SessionPort } from './port.ts'
import { Replies } from './replies.ts'

export interface SessionOptions {
  readonly authorization: Authorization
  /** Who, where, as what: goes into each audit record. */
  readonly context: SessionContext
  readonly policy: Policy
  readonly journal: Journal
  readonly clock: Clock
  readonly port: SessionPort
  /** Largest query string that is parsed, in bytes. */
  readonly maxStatementBytes: number
  /** Settings that the upstream must go on reporting with these values (lower-case names). */
  readonly pinned: ReadonlyMap<string, string>
}

export class Session {
  readonly options: SessionOptions
  readonly statements = new Names<Prepared>()
  readonly portals = new Names<Portal>()
  readonly pipeline: Pipeline
  readonly events: StatementEvents
  /** As the upstream's last ReadyForQuery said. */
  status: TransactionStatus = 'I'
  readonly #gate: Gate
  readonly #clientFrames: FrameReader
  readonly #upstreamFrames: FrameReader
  readonly #replies: Replies

  constructor(options: SessionOptions) {
    this.options = options
    this.events = new StatementEvents(options)
    this.pipeline = new Pipeline((expectation) => this.dropped(expectation))
    this.#gate = new Gate(this)
    this.#replies = new Replies(this)
    // A Parse holds a name and parameter types besides its text; the text's own limit is policy's.
    const maxFrame = options.maxStatementBytes + 64 * 1024
    this.#clientFrames = new FrameReader(sessionFrames(maxFrame), this.#gate)
    this.#upstreamFrames = new FrameReader(upstreamFrames, this.#replies)
  }

  /** Bytes from the client. Throws a Failure when they are not the protocol. */
  fromClient(chunk: Buffer): void {
    this.#clientFrames.push(chunk)
    this.#gate.flush()
  }

  /** Bytes from the upstream. Throws a Failure when they are not the protocol. */
  fromUpstream(chunk: Buffer): void {
    this.#upstreamFrames.push(chunk)
    this.#replies.flush()
  }

  /** Nothing is owed: what a late cancel and a draining shutdown ask for. */
  get idle(): boolean {
    return this.pipeline.idle
  }

  /** Whether an ErrorResponse of ours may be put in the stream to the client now. */
  get clientAtBoundary(): boolean {
    return this.#upstreamFrames.atBoundary
  }

  /** The upstream has said by itself why it ends the connection. */
  get upstreamSaidFatal(): boolean {
    return this.#replies.saidFatal
  }

  /** Reads nothing more from the client, e.g. after Terminate. */
  stopReading(): void {
    this.#clientFrames.stop()
  }

  /** Closes the books on whatever has not been answered. Call once, when the session is over. */
  close(): void {
    this.#clientFrames.stop()
    this.#upstreamFrames.stop()
    for (const { execution, portal } of this.pipeline.drain()) {
      if (portal !== undefined) portal.suspended = undefined
      if (execution !== undefined) this.events.ended(execution, 'unknown')
    }
    this.portalsGone()
  }

  /** The transaction is over, and its portals with it. */
  portalsGone(): void {
    for (const portal of this.portals.values()) this.portalGone(portal)
    this.portals.clear()
  }

  portalGone(portal: Portal): void {
    if (portal.suspended === undefined) return
    this.events.ended(portal.suspended, 'suspended')
    portal.suspended = undefined
  }

  /** Ends the session for a reason of ours. */
  end(failure: Failure): void {
    this.options.port.end(failure)
  }

  /** The server ignores the message: what it would have made never comes to be. */
  dropped(expectation: Expectation): void {
    this.forget(expectation)
    const { execution, portal } = expectation
    if (execution !== undefined && portal?.suspended !== execution) {
      this.events.ended(execution, 'skipped')
    }
  }

  /** The server has done what the message asked: what it made of names is fact now. */
  confirm({ statementChange, portalChange }: Expectation): void {
    if (statementChange !== undefined) this.statements.confirm(statementChange)
    if (portalChange === undefined) return
    const old = this.portals.fact(portalChange.name)
    if (old !== undefined) this.portalGone(old)
    this.portals.confirm(portalChange)
  }

  /** Drops what the message announced and the server did not do. */
  forget(expectation: Expectation): void {
    if (expectation.statementChange !== undefined) this.statements.drop(expectation.statementChange)
    if (expectation.portalChange !== undefined) this.portals.drop(expectation.portalChange)
    for (const change of expectation.sqlChanges) {
      if (change !== undefined) this.statements.drop(change)
    }
  }
}
