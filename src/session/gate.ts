// The way from the client to the upstream: each frame is forwarded as it came, once its statement has
// been judged and recorded, or replaced by one that fails. Frames that carry no meaning here stream
// through. docs/architecture.md, "One statement's way", steps 3 to 8.

import { grantEnded } from '../access/grant.ts'
import type { JournalWaiter, Receipt } from '../audit/journal.ts'
import type { StatementProtocol } from '../audit/record.ts'
import { Failure } from '../errors.ts'
import type { Deny, Judgement } from '../policy/decision.ts'
import type { Statement } from '../sql/facts.ts'
import type { FrameHandler } from '../wire/frames.ts'
import {
  decodeBindHead,
  decodeEmpty,
  decodeExecute,
  decodeParse,
  decodeQuery,
  decodeTarget,
  encodeFrontend,
  frontend,
} from '../wire/frontend.ts'
import type { Deniable } from './denial.ts'
import { failingSubstitute } from './denial.ts'
import type { Execution, Portal, Prepared } from './execution.ts'
import type { Change, Names } from './names.ts'
import { Outbox } from './outbox.ts'
import type { Expectation } from './pipeline.ts'
import { nothingToRecord } from './port.ts'
import type { SessionState } from './state.ts'

/** What a session's names may keep; a client that never closes its statements must not fill our memory. */
const maxNameWeight = 64 * 1024 * 1024

export class Gate implements FrameHandler, JournalWaiter {
  readonly #state: SessionState
  readonly #outbox = new Outbox()
  /** Whether the rest of the frame last begun is forwarded or dropped. */
  #dropping = false
  #terminated = false
  /** What must come true before the next frame is taken. */
  #waitsFor: (() => boolean) | undefined
  /**
   * Syncs that came inside COPY and have nothing behind them yet. The server ignores a Sync that it
   * reads as COPY data, and answers one that it reads after the COPY has failed: which of the two is
   * certain when data follows, or the error comes.
   */
  #heldSyncs = 0
  /** Counts Syncs and Queries: what an error makes the server skip never goes beyond one. */
  #group = 0

  constructor(state: SessionState) {
    this.#state = state
  }

  /** The client has said Terminate; nothing it says behind that counts. */
  get terminated(): boolean {
    return this.#terminated
  }

  /** Whether a frame that was not taken would be taken now. */
  get ready(): boolean {
    return this.#waitsFor === undefined || this.#waitsFor()
  }

  begin(type: number, size: number, bytes: Buffer, start: number, end: number): boolean {
    if (!this.ready) return false
    this.#waitsFor = undefined
    // Nothing behind Terminate counts.
    this.#dropping = this.#terminated || this.#state.intruder
    this.#state.intruder = false
    if (this.#dropping) return true
    if (this.#state.pipeline.copyingIn) return this.#inCopy(type, bytes, start, end)
    switch (type) {
      case frontend.query:
        return this.#query(size, bytes, start, end)
      case frontend.parse:
        this.#parse(size, bytes, start, end)
        return true
      case frontend.bind:
        return this.#bind(size, bytes, start, end)
      case frontend.execute:
        return this.#execute(bytes, start, end)
      case frontend.describe:
        decodeTarget(bytes, start, end)
        this.#forward(expect('describe'), bytes, start, end)
        return true
      case frontend.close:
        this.#close(bytes, start, end)
        return true
      case frontend.functionCall:
        this.#functionCall()
        return true
      case frontend.sync:
        decodeEmpty(bytes, start, end)
        this.#group++
        this.#forward(expect('sync'), bytes, start, end)
        return true
      case frontend.terminate:
        this.#terminate(bytes, start, end)
        return true
      default:
        // Flush; CopyData, CopyDone and CopyFail outside COPY, which the server ignores.
        this.#outbox.add(bytes, start, end)
        return true
    }
  }

  rest(bytes: Buffer, start: number, end: number): void {
    if (!this.#dropping) this.#outbox.add(bytes, start, end, 'rest')
  }

  /** The upstream has answered: what hung on that is sent. */
  answered(): void {
    if (this.#heldSyncs === 0 || this.#state.pipeline.copyingIn) return
    for (; this.#heldSyncs > 0; this.#heldSyncs--) {
      this.#group++
      this.#forward(expect('sync'), syncFrame, 0, syncFrame.length)
    }
    this.flush()
  }

  /** Sends what need not wait. Call at the end of a chunk. */
  flush(): void {
    if (this.#outbox.waiting) return
    const buffers = this.#outbox.take()
    if (buffers.length > 0) this.#state.options.port.toUpstream(buffers, nothingToRecord)
  }

  /** The journal has stored everything that the outbox waits for. */
  stored(receipt: Receipt): void {
    this.#state.options.port.toUpstream(this.#outbox.take(), receipt)
  }

  refused(failure: Failure): void {
    const { buffers, replacedLast } = this.#outbox.takeRefused(failure)
    if (replacedLast) this.#dropping = true
    this.#state.options.port.toUpstream(buffers, nothingToRecord)
  }

  /** Inside COPY FROM STDIN the server understands only a few messages. */
  #inCopy(type: number, bytes: Buffer, start: number, end: number): boolean {
    if (type === frontend.sync) {
      decodeEmpty(bytes, start, end)
      this.#heldSyncs++
      return true
    }
    this.#heldSyncs = 0
    switch (type) {
      case frontend.flush:
      case frontend.copyData:
        this.#outbox.add(bytes, start, end)
        return true
      case frontend.copyDone:
      case frontend.copyFail:
        this.#outbox.add(bytes, start, end)
        this.#state.pipeline.copyEnded()
        // A query string may have another COPY: its answer says what the next message is read as. By
        // the extended protocol there is but one, and its answer waits for Sync.
        if (this.#state.pipeline.head?.kind === 'query') this.#waitsFor = this.#settled
        return true
      case frontend.terminate:
        this.#terminate(bytes, start, end)
        return true
      default:
        return this.#failCopy(type)
    }
  }

  /**
   * PostgreSQL fails the COPY over any other message and drops it; but when the COPY has failed already,
   * the message runs. CopyFail does the same and is ignored in the second case: its answer tells.
   */
  #failCopy(type: number): boolean {
    const hex = type.toString(16).toUpperCase().padStart(2, '0')
    const message = `unexpected message type 0x${hex} during COPY from stdin`
    const frame = encodeFrontend({ type: 'copyFail', message })
    const { pipeline } = this.#state
    if (pipeline.head !== undefined) {
      pipeline.head.copyFailure = new Failure('protocol_violation', { message })
    }
    this.#outbox.add(frame, 0, frame.length)
    pipeline.copyEnded()
    this.#waitsFor = this.#settled
    return false
  }

  readonly #settled = (): boolean => this.#state.pipeline.settled

  #terminate(bytes: Buffer, start: number, end: number): void {
    decodeEmpty(bytes, start, end)
    this.#outbox.add(bytes, start, end)
    this.#terminated = true
    this.#state.options.port.terminated()
  }

  #query(size: number, bytes: Buffer, start: number, end: number): boolean {
    const { statements, portals } = this.#state
    const judgement = this.#judge(size, bytes, start, end, decodeQuery)
    if (!this.#certain(statements, judgement.executes)) return false
    const group = ++this.#group
    const denied = this.#refusal(judgement)
    // A Query destroys the unnamed statement and portal, whatever becomes of it.
    const expectation = expect('query', {
      statementChange: statements.announce('', undefined, group),
      portalChange: portals.announce('', undefined, group),
      sqlChanges: denied === undefined ? this.#sqlChanges(judgement) : none,
    })
    // What its statements make of names is certain only when they have run.
    this.#group++
    if (denied === undefined) {
      this.#run(expectation, this.#accept(judgement, 'simple'), 'query', '', bytes, start, end)
      this.#waitForCopy(judgement)
    } else this.#deny(expectation, 'query', '', judgement, denied, 'simple')
    return true
  }

  #parse(size: number, bytes: Buffer, start: number, end: number): void {
    const { statements } = this.#state
    const { policy, authorization, catalog } = this.#state.options
    let name = ''
    let types: readonly number[] = []
    const judged = this.#judge(size, bytes, start, end, (frame, from, to) => {
      const message = decodeParse(frame, from, to)
      name = message.name
      types = message.parameterTypes
      return message.text
    })
    const judgement = policy.withParameters(authorization.grant.role, judged, types, catalog())
    const denied = this.#denial(judgement)
    const prepared = denied === undefined ? { judgement } : undefined
    const expectation = expect('parse', {
      statementChange: statements.announce(name, prepared, this.#group),
    })
    if (denied !== undefined) this.#deny(expectation, 'parse', name, judgement, denied, 'extended')
    else if (statements.weight > maxNameWeight) {
      this.#fail(expectation, 'parse', name, tooManyNames())
    } else this.#forward(expectation, bytes, start, end)
  }

  /** Whether it is certain what the names mean; if not, the frame waits until it is. */
  #certain(known: Names<Prepared> | Names<Portal>, names: readonly string[]): boolean {
    const certain = (): boolean => names.every((name) => !known.unsettled(name, this.#group))
    if (certain()) return true
    this.#waitsFor = certain
    return false
  }

  #bind(size: number, bytes: Buffer, start: number, end: number): boolean {
    const { statements, portals } = this.#state
    const { portal: name, statement } = decodeBindHead(bytes, start, end, end - start === size)
    if (!this.#certain(statements, [statement])) return false
    const prepared = statements.get(statement)
    if (!this.#certain(statements, prepared?.judgement.executes ?? [])) return false
    if (prepared === undefined) {
      this.#fail(this.#unbound(name), 'bind', name, undefinedStatement(statement))
      return true
    }
    if (portals.weight > maxNameWeight) {
      this.#fail(this.#unbound(name), 'bind', name, tooManyNames())
      return true
    }
    const { judgement } = prepared
    const denied = this.#refusal(judgement)
    if (denied !== undefined) {
      this.#deny(this.#unbound(name), 'bind', name, judgement, denied, 'extended')
      return true
    }
    // Recorded here and not at Execute: to plan, the server runs what is declared IMMUTABLE.
    const execution = this.#accept(judgement, 'extended')
    const portal = { prepared, execution }
    const portalChange = portals.announce(name, portal, this.#group)
    this.#run(expect('bind', { portalChange }), execution, 'bind', name, bytes, start, end)
    return true
  }

  /** A Bind that will fail: the name will stand for nothing. */
  #unbound(portal: string): Expectation {
    return expect('bind', {
      portalChange: this.#state.portals.announce(portal, undefined, this.#group),
    })
  }

  #execute(bytes: Buffer, start: number, end: number): boolean {
    const { portal: name } = decodeExecute(bytes, start, end)
    if (!this.#certain(this.#state.portals, [name])) return false
    const portal = this.#state.portals.get(name)
    if (portal === undefined) {
      const failure = new Failure('undefined_portal', {
        message: `portal "${name}" does not exist`,
      })
      this.#fail(expect('execute'), 'execute', '', failure)
      return true
    }
    const { judgement } = portal.prepared
    // The grant may have ended, or a name that EXECUTE uses may have gone, since Bind.
    const denied = this.#refusal(judgement)
    if (denied !== undefined) {
      this.#deny(expect('execute'), 'execute', '', judgement, denied, 'extended')
      return true
    }
    const expectation = expect('execute', { sqlChanges: this.#sqlChanges(judgement) })
    if (portal.execution.ended) {
      portal.execution = this.#accept(judgement, 'extended')
      this.#run(expectation, portal.execution, 'execute', '', bytes, start, end)
    } else {
      expectation.execution = portal.execution
      this.#forward(expectation, bytes, start, end)
    }
    this.#waitForCopy(judgement)
    return true
  }

  #close(bytes: Buffer, start: number, end: number): void {
    const { statements, portals } = this.#state
    const { target, name } = decodeTarget(bytes, start, end)
    const expectation =
      target === 'statement'
        ? expect('close', { statementChange: statements.announce(name, undefined, this.#group) })
        : expect('close', { portalChange: portals.announce(name, undefined, this.#group) })
    this.#forward(expectation, bytes, start, end)
  }

  /** Runs any function by its OID, with no SQL to judge. */
  #functionCall(): void {
    const { options } = this.#state
    const judgement = options.policy.functionCall(options.authorization.grant.role)
    this.#deny(expect('call'), 'call', '', judgement, judgement.decision, 'functionCall')
  }

  /** The judgement on the frame's query string; on one too large to be read, that it is. */
  #judge(
    size: number,
    bytes: Buffer,
    start: number,
    end: number,
    decode: (bytes: Buffer, start: number, end: number) => Buffer,
  ): Judgement {
    const { policy, authorization, catalog } = this.#state.options
    const { role } = authorization.grant
    if (end - start < size) return policy.tooLarge(role, size)
    return policy.judge(role, decode(bytes, start, end), catalog())
  }

  /** The decision to deny by, if the role may not run the statement. Throws when the grant is over. */
  #denial({ decision }: Judgement): Deny | undefined {
    if (decision.outcome === 'deny') return decision
    const { authorization, clock } = this.#state.options
    if (!authorization.inForceAt(clock.now())) throw grantEnded()
    return undefined
  }

  /** The same for a statement that is to run now: what its EXECUTE names must be known besides. */
  #refusal(judgement: Judgement): Deny | undefined {
    const { statements, options } = this.#state
    const unknown = judgement.executes.find((name) => statements.get(name) === undefined)
    return (
      this.#denial(judgement) ??
      (unknown === undefined
        ? undefined
        : options.policy.unknownPrepared(options.authorization.grant.role, unknown))
    )
  }

  /** What the statements of an allowed query string make of prepared statements' names. */
  #sqlChanges(judgement: Judgement): readonly (Change<Prepared> | undefined)[] {
    const { analysis } = judgement
    if (analysis.type !== 'parsed') return none
    if (!analysis.statements.some(({ prepares, deallocates }) => prepares ?? deallocates))
      return none
    return analysis.statements.map(({ prepares, deallocates }) => {
      if (prepares !== undefined) {
        const prepared = preparedBySql(judgement, prepares)
        return this.#state.statements.announce(prepares.name, prepared, this.#group)
      }
      if (deallocates === undefined || deallocates === '*') return undefined
      return this.#state.statements.announce(deallocates, undefined, this.#group)
    })
  }

  /** Forwards a frame that runs SQL, when the record of its execution is stored. */
  #run(
    expectation: Expectation,
    execution: Execution,
    kind: Deniable,
    name: string,
    bytes: Buffer,
    start: number,
    end: number,
  ): void {
    expectation.execution = execution
    this.#outbox.add(bytes, start, end, { kind, name, expectation })
    this.#state.pipeline.sent(expectation)
  }

  /**
   * Behind a COPY FROM STDIN nothing is sent until the server has said whether it reads data: what it
   * does with a Sync or a Query depends on that, and who guesses records as skipped what has run.
   */
  #waitForCopy({ analysis }: Judgement): void {
    if (analysis.type !== 'parsed') return
    const copies = analysis.statements.some(({ actions }) =>
      actions.some(({ command }) => command === 'COPY FROM'),
    )
    if (copies) this.#waitsFor = this.#settled
  }

  /** The intent, with the prepared statements that EXECUTE names. */
  #accept(judgement: Judgement, protocol: StatementProtocol): Execution {
    const runs: Judgement[] = []
    for (const name of judgement.executes) {
      const prepared = this.#state.statements.get(name)
      if (prepared !== undefined) runs.push(prepared.judgement)
    }
    return this.#state.events.accepted(judgement, protocol, runs, this)
  }

  /** Denies with a record. */
  #deny(
    expectation: Expectation,
    kind: Deniable,
    name: string,
    judgement: Judgement,
    decision: Deny,
    protocol: StatementProtocol,
  ): void {
    this.#state.events.denied(judgement, decision, protocol, this)
    this.#substitute(expectation, kind, name, decision.failure, true)
  }

  /** Refuses a message that names nothing runnable; there is no statement to record. */
  #fail(expectation: Expectation, kind: Deniable, name: string, failure: Failure): void {
    this.#substitute(expectation, kind, name, failure, false)
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
    this.#outbox.add(frame, 0, frame.length, recorded ? { kind, name, expectation } : undefined)
    this.#state.pipeline.sent(expectation)
  }

  #forward(expectation: Expectation, bytes: Buffer, start: number, end: number): void {
    this.#outbox.add(bytes, start, end)
    this.#state.pipeline.sent(expectation)
  }
}

function expect(
  kind: Expectation['kind'],
  more?: Partial<Pick<Expectation, 'statementChange' | 'portalChange' | 'sqlChanges'>>,
): Expectation {
  return {
    kind,
    denial: undefined,
    copyFailure: undefined,
    execution: undefined,
    statementChange: more?.statementChange,
    portalChange: more?.portalChange,
    sqlChanges: more?.sqlChanges ?? none,
  }
}

const none: readonly never[] = []

const syncFrame = encodeFrontend({ type: 'sync' })

/** What the name of a SQL-level PREPARE stands for: its inner statement, judged as part of the whole. */
function preparedBySql(outer: Judgement, prepares: NonNullable<Statement['prepares']>): Prepared {
  const { statement } = prepares
  return {
    judgement: {
      ...outer,
      text: statement.text,
      analysis: { type: 'parsed', statements: [statement] },
      tags: [statement.tag],
      class: statement.class,
      executes: [],
    },
  }
}

function undefinedStatement(name: string): Failure {
  return new Failure('undefined_statement', {
    message:
      name === ''
        ? 'unnamed prepared statement does not exist'
        : `prepared statement "${name}" does not exist`,
  })
}

function tooManyNames(): Failure {
  return new Failure('statement_too_large', {
    message: 'too many prepared statements or portals in this session',
    hint: 'Close the ones that are no longer used.',
  })
}
