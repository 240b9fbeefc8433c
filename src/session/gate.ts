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
  frontend,
} from '../wire/frontend.ts'
import type { Deniable } from './denial.ts'
import { failingSubstitute } from './denial.ts'
import type { Execution, Prepared } from './execution.ts'
import type { Change } from './names.ts'
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

  constructor(state: SessionState) {
    this.#state = state
  }

  /** The client has said Terminate; nothing it says behind that counts. */
  get terminated(): boolean {
    return this.#terminated
  }

  begin(type: number, size: number, bytes: Buffer, start: number, end: number): void {
    if (this.#terminated) {
      this.#dropping = true
      return
    }
    this.#dropping = false
    if (this.#state.pipeline.copyingIn) allowInCopy(type)
    switch (type) {
      case frontend.query:
        this.#query(size, bytes, start, end)
        break
      case frontend.parse:
        this.#parse(size, bytes, start, end)
        break
      case frontend.bind:
        this.#bind(size, bytes, start, end)
        break
      case frontend.execute:
        this.#execute(bytes, start, end)
        break
      case frontend.describe:
        decodeTarget(bytes, start, end)
        this.#forward(expect('describe'), bytes, start, end)
        break
      case frontend.close:
        this.#close(bytes, start, end)
        break
      case frontend.functionCall:
        this.#functionCall()
        break
      case frontend.sync:
        decodeEmpty(bytes, start, end)
        this.#forward(expect('sync'), bytes, start, end)
        break
      case frontend.copyDone:
      case frontend.copyFail:
        if (type === frontend.copyDone) decodeEmpty(bytes, start, end)
        this.#forward(expect('copyEnd'), bytes, start, end)
        break
      case frontend.terminate:
        decodeEmpty(bytes, start, end)
        this.#outbox.add(bytes, start, end)
        this.#terminated = true
        this.#state.options.port.terminated()
        break
      default:
        // CopyData and Flush: nothing is expected, nothing runs.
        this.#outbox.add(bytes, start, end)
    }
  }

  rest(bytes: Buffer, start: number, end: number): void {
    if (!this.#dropping) this.#outbox.add(bytes, start, end, 'rest')
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

  #query(size: number, bytes: Buffer, start: number, end: number): void {
    const { statements, portals } = this.#state
    const judgement = this.#judge(size, bytes, start, end, decodeQuery)
    // A Query destroys the unnamed statement and portal, whatever becomes of it.
    const expectation = expect('query', {
      statementChange: statements.announce('', undefined),
      portalChange: portals.announce('', undefined),
      sqlChanges: this.#sqlChanges(judgement),
    })
    const denied = this.#refusal(judgement)
    if (denied === undefined) {
      const execution = this.#state.events.accepted(judgement, 'simple', this)
      this.#run(expectation, execution, 'query', '', bytes, start, end)
    } else this.#deny(expectation, 'query', '', judgement, denied, 'simple')
  }

  #parse(size: number, bytes: Buffer, start: number, end: number): void {
    const { statements } = this.#state
    let name = ''
    const judgement = this.#judge(size, bytes, start, end, (frame, from, to) => {
      const message = decodeParse(frame, from, to)
      name = message.name
      return message.text
    })
    const denied = this.#refusal(judgement)
    const expectation = expect('parse', {
      statementChange: statements.announce(name, denied === undefined ? { judgement } : undefined),
    })
    if (denied !== undefined) this.#deny(expectation, 'parse', name, judgement, denied, 'extended')
    else if (statements.weight > maxNameWeight)
      this.#fail(expectation, 'parse', name, tooManyNames())
    else this.#forward(expectation, bytes, start, end)
  }

  #bind(size: number, bytes: Buffer, start: number, end: number): void {
    const { statements, portals, events } = this.#state
    const { portal: name, statement } = decodeBindHead(bytes, start, end, end - start === size)
    const prepared = statements.get(statement)
    if (prepared === undefined) {
      this.#fail(this.#unbound(name), 'bind', name, undefinedStatement(statement))
      return
    }
    if (portals.weight > maxNameWeight) {
      this.#fail(this.#unbound(name), 'bind', name, tooManyNames())
      return
    }
    const { judgement } = prepared
    const denied = this.#refusal(judgement)
    if (denied !== undefined) {
      this.#deny(this.#unbound(name), 'bind', name, judgement, denied, 'extended')
      return
    }
    // Recorded here and not at Execute: to plan, the server runs what is declared IMMUTABLE.
    const execution = events.accepted(judgement, 'extended', this)
    const portal = { prepared, execution }
    const expectation = expect('bind', { portalChange: portals.announce(name, portal) })
    this.#run(expectation, execution, 'bind', name, bytes, start, end)
  }

  /** A Bind that will fail: the name will stand for nothing. */
  #unbound(portal: string): Expectation {
    return expect('bind', { portalChange: this.#state.portals.announce(portal, undefined) })
  }

  #execute(bytes: Buffer, start: number, end: number): void {
    const message = decodeExecute(bytes, start, end)
    const portal = this.#state.portals.get(message.portal)
    if (portal === undefined) {
      const failure = new Failure('undefined_portal', {
        message: `portal "${message.portal}" does not exist`,
      })
      this.#fail(expect('execute'), 'execute', '', failure)
      return
    }
    const { judgement } = portal.prepared
    const expectation = expect('execute', { sqlChanges: this.#sqlChanges(judgement) })
    // The grant may have ended, or a name that EXECUTE uses may have gone, since Bind.
    const denied = this.#refusal(judgement)
    if (denied !== undefined) {
      this.#deny(expectation, 'execute', '', judgement, denied, 'extended')
    } else if (portal.execution.ended) {
      portal.execution = this.#state.events.accepted(judgement, 'extended', this)
      this.#run(expectation, portal.execution, 'execute', '', bytes, start, end)
    } else {
      expectation.execution = portal.execution
      this.#forward(expectation, bytes, start, end)
    }
  }

  #close(bytes: Buffer, start: number, end: number): void {
    const { statements, portals } = this.#state
    const { target, name } = decodeTarget(bytes, start, end)
    const expectation =
      target === 'statement'
        ? expect('close', { statementChange: statements.announce(name, undefined) })
        : expect('close', { portalChange: portals.announce(name, undefined) })
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
    const { policy, authorization } = this.#state.options
    const { role } = authorization.grant
    if (end - start < size) return policy.tooLarge(role, size)
    return policy.judge(role, decode(bytes, start, end))
  }

  /** The decision to deny by, if the statement may not run now. */
  #refusal({ decision, executes }: Judgement): Deny | undefined {
    if (decision.outcome === 'deny') return decision
    const { authorization, clock, policy } = this.#state.options
    if (!authorization.inForceAt(clock.now())) throw grantEnded()
    for (const name of executes) {
      if (this.#state.statements.get(name) === undefined) {
        return policy.unknownPrepared(authorization.grant.role, name)
      }
    }
    return undefined
  }

  /** What the statements of an allowed query string make of prepared statements' names. */
  #sqlChanges(judgement: Judgement): readonly (Change<Prepared> | undefined)[] {
    const { analysis, decision } = judgement
    if (analysis.type !== 'parsed' || decision.outcome === 'deny') return []
    if (!analysis.statements.some(({ prepares, deallocates }) => prepares ?? deallocates)) return []
    return analysis.statements.map(({ prepares, deallocates }) => {
      if (prepares !== undefined) {
        return this.#state.statements.announce(prepares.name, preparedBySql(judgement, prepares))
      }
      if (deallocates === undefined || deallocates === '*') return undefined
      return this.#state.statements.announce(deallocates, undefined)
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
    execution: undefined,
    statementChange: more?.statementChange,
    portalChange: more?.portalChange,
    sqlChanges: more?.sqlChanges ?? none,
  }
}

const none: readonly never[] = []

/** Inside COPY FROM STDIN the server understands only these; anything else loses synchronisation. */
function allowInCopy(type: number): void {
  switch (type) {
    case frontend.copyData:
    case frontend.copyDone:
    case frontend.copyFail:
    case frontend.flush:
    case frontend.sync:
    case frontend.terminate:
      return
    default:
      throw new Failure('protocol_violation', {
        message: `unexpected message type 0x${type.toString(16).toUpperCase().padStart(2, '0')} during COPY from stdin`,
      })
  }
}

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
