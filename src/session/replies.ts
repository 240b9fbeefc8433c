// The way from the upstream to the client: bytes go out as they came, and only headers are read,
// except where an answer ends a statement, confirms a name, or is the error that a denial provoked,
// whose place is taken by ours.
// PostgreSQL documentation, "Message Flow"; docs/architecture.md, "One statement's way", steps 9, 10.

import { Failure } from '../errors.ts'
import {
  backend,
  decodeCommandTag,
  decodeErrorFields,
  decodeParameterStatus,
  decodeParameterTypes,
  decodeStatus,
} from '../wire/backend.ts'
import { errorResponse } from '../wire/backend-encoder.ts'
import type { FrameHandler } from '../wire/frames.ts'
import { commandEnded, type Execution } from './execution.ts'
import { Ranges } from './ranges.ts'
import type { SessionState } from './state.ts'

export class Replies implements FrameHandler {
  readonly #state: SessionState
  readonly #ranges = new Ranges()
  /** The rest of an error whose place ours has taken. */
  #dropping = false
  #saidFatal = false

  constructor(state: SessionState) {
    this.#state = state
  }

  get saidFatal(): boolean {
    return this.#saidFatal
  }

  begin(type: number, size: number, bytes: Buffer, start: number, end: number): boolean {
    this.#dropping = false
    switch (type) {
      case backend.dataRow: {
        const execution = this.#state.pipeline.head?.execution
        if (execution !== undefined) {
          execution.seen++
          execution.bytes += size
        }
        break
      }
      case backend.copyData:
      case backend.functionCallResponse: {
        const execution = this.#state.pipeline.head?.execution
        if (execution !== undefined) execution.bytes += size
        break
      }
      case backend.commandComplete:
        this.#commandComplete(decodeCommandTag(bytes, start, end))
        break
      case backend.emptyQuery:
        if (this.#state.pipeline.head?.kind === 'execute') this.#ended()
        break
      case backend.readyForQuery:
        this.#ready(bytes, start, end)
        break
      case backend.error:
        if (this.#error(bytes, start, end)) return true
        break
      case backend.parseComplete:
        this.#confirm('parse')
        break
      case backend.bindComplete:
        this.#confirm('bind')
        break
      case backend.closeComplete:
        this.#confirm('close')
        break
      case backend.noData:
      case backend.rowDescription:
        if (this.#state.pipeline.head?.kind === 'describe') this.#state.pipeline.take()
        break
      case backend.parameterDescription: {
        const described = this.#state.pipeline.head?.described
        if (described !== undefined) {
          described.parameterTypes = decodeParameterTypes(bytes, start, end)
        }
        break
      }
      case backend.portalSuspended:
        this.#suspended()
        break
      case backend.copyInResponse:
        this.#state.pipeline.copyIn()
        break
      case backend.parameterStatus:
        this.#checkPin(bytes, start, end)
        break
      case backend.copyBothResponse:
      case backend.authentication:
      case backend.backendKeyData:
      case backend.negotiateProtocolVersion:
        throw new Failure('upstream_lost', {
          message: 'the target database sent a message that does not belong in a session',
        })
      default:
        // CopyOutResponse, CopyDone, notices, notifications.
        break
    }
    this.#ranges.add(bytes, start, end)
    return true
  }

  rest(bytes: Buffer, start: number, end: number): void {
    if (!this.#dropping) this.#ranges.add(bytes, start, end)
  }

  /** Sends what was collected. Call at the end of a chunk. */
  flush(): void {
    const buffers = this.#ranges.take()
    if (buffers.length > 0) this.#state.options.port.toClient(buffers)
  }

  #commandComplete(tag: string): void {
    const { head } = this.#state.pipeline
    if (head?.kind !== 'query' && head?.kind !== 'execute') throw outOfStep()
    this.#state.pipeline.copyEnded()
    if (head.execution !== undefined) {
      const changes = head.sqlChanges[head.execution.commands]
      commandEnded(head.execution, tag)
      if (changes !== undefined) this.#state.confirm(changes)
      this.#state.catalogTouched ||= head.execution.changesCatalog
    }
    // Its ReadyForQuery may be long in coming, or be one of the next transaction (AND CHAIN).
    if (tag === 'COMMIT') this.#state.catalogVisible()
    this.#allGone(tag, head.execution)
    if (head.kind === 'execute') this.#ended()
  }

  /** Some commands name nothing and take everything that has a name, but the portal that they run in. */
  #allGone(tag: string, running: Execution | undefined): void {
    if (tag === 'DEALLOCATE ALL' || tag === 'DISCARD ALL') {
      this.#state.statements.forget((_, name) => name !== '')
    }
    if (tag === 'CLOSE CURSOR ALL' || tag === 'DISCARD ALL') {
      this.#state.portalsGone(({ execution }) => execution === undefined || execution !== running)
    }
  }

  #suspended(): void {
    const { head } = this.#state.pipeline
    if (head?.kind !== 'execute') throw outOfStep()
    if (head.execution !== undefined) {
      head.execution.rows += head.execution.seen
      head.execution.seen = 0
      head.execution.fetched = true
    }
    this.#answered()
  }

  #ready(bytes: Buffer, start: number, end: number): void {
    const { head } = this.#state.pipeline
    const status = decodeStatus(bytes, start, end)
    if (head?.kind !== 'query' && head?.kind !== 'sync' && head?.kind !== 'call') throw outOfStep()
    this.#ended()
    this.#state.confirm(head)
    this.#state.forget(head)
    this.#state.ready(status)
    if (status === 'I') this.#transactionOver()
  }

  #transactionOver(): void {
    this.#state.portalsGone(({ hold }) => !hold)
    // Before the end of the transaction nobody else sees what it made.
    this.#state.catalogVisible()
  }

  /** True when the error is not the client's to see and ours went out instead. */
  #error(bytes: Buffer, start: number, end: number): boolean {
    const fields = decodeErrorFields(bytes, start, end)
    const severity = fields['V'] ?? fields['S']
    const { pipeline, events } = this.#state
    const { head } = pipeline
    if (severity === 'FATAL' || severity === 'PANIC') {
      this.#saidFatal = true
      return false
    }
    if (head === undefined) return false
    const { execution } = head
    const failedByUs = fields['C'] === '57014' ? head.copyFailure : undefined
    if (failedByUs !== undefined) this.#state.intruder = true
    const denial = head.denial ?? failedByUs
    if (execution !== undefined) {
      events.ended(execution, 'error', { sqlstate: fields['C'], message: fields['M'] })
      // A procedure may have committed before it failed.
      this.#state.catalogTouched ||= execution.changesCatalog
    }
    // A failed Parse of "" has destroyed the unnamed statement all the same.
    if (head.kind === 'parse' && head.statementChange?.key === '') {
      this.#state.statements.set('', undefined)
    }
    if (head.kind !== 'query') this.#state.forget(head)
    pipeline.failed()
    if (denial === undefined) return false
    head.denial = undefined
    this.#dropping = true
    const answer = errorResponse(denial, 'ERROR')
    this.#ranges.add(answer, 0, answer.length)
    return true
  }

  #confirm(kind: 'parse' | 'bind' | 'close'): void {
    const { head } = this.#state.pipeline
    if (head?.kind !== kind) throw outOfStep()
    this.#answered()
    this.#state.confirm(head)
  }

  /** The head has been answered, and the run that it stands for has come to its end. */
  #ended(): void {
    const execution = this.#state.pipeline.head?.execution
    this.#answered()
    if (execution !== undefined) this.#state.events.ended(execution, 'ok')
  }

  /** The head has been answered, and not by an error. */
  #answered(): void {
    if (this.#state.pipeline.head?.denial !== undefined) {
      // What stood in for a denied message must fail. If ever it does not, nothing goes on.
      throw new Failure('upstream_lost', { message: 'a denied statement was not refused upstream' })
    }
    this.#state.pipeline.take()
  }

  /** A pinned setting that changed under us means that something got round the policy. */
  #checkPin(bytes: Buffer, start: number, end: number): void {
    const { name, value } = decodeParameterStatus(bytes, start, end)
    const pinned = this.#state.options.pinned.get(name.toLowerCase())
    if (pinned === undefined || pinned.includes(value.toLowerCase())) return
    this.#state.events.tripped({ setting: name, expected: pinned[0] ?? '', got: value })
    throw new Failure('session_terminated', {
      message: `terminating connection because the setting ${name} was changed`,
      detail: 'pgwarden pins this setting for the session; something got round its policy.',
      hint: 'Tell the people who run pgwarden what you ran.',
    })
  }
}

/**
 * An answer that nothing forwarded can have. From here on it is not known which statement an answer
 * belongs to, and the journal must not guess.
 */
function outOfStep(): Failure {
  return new Failure('upstream_lost', {
    message: 'the target database and pgwarden have lost step with each other',
    hint: 'Connect again; if it happens again, tell the people who run pgwarden what you ran.',
  })
}
