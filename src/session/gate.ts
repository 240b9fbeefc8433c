// The way from the client to the upstream: each frame is forwarded as it came, once its statement has
// been judged and recorded, or replaced by one that fails. Frames that carry no meaning here stream
// through. docs/architecture.md, "One statement's way", steps 3 to 8.

import { mostParameters } from '../audit/parameters-record.ts'
import type { Judgement } from '../policy/decision.ts'
import type { FrameHandler } from '../wire/frames.ts'
import {
  decodeBindHead,
  decodeCallHead,
  decodeEmpty,
  decodeExecute,
  decodeParse,
  decodeQuery,
  decodeTarget,
  frontend,
} from '../wire/frontend.ts'
import { boundValues } from './bound-values.ts'
import { calledAs } from './called-as.ts'
import { CopyIn } from './copy-in.ts'
import { Dispatch, type Frame } from './dispatch.ts'
import type { Arrival } from './events.ts'
import type { Portal, Prepared } from './execution.ts'
import { Judging } from './judging.ts'
import type { Names } from './names.ts'
import { type Expectation, expectation } from './pipeline.ts'
import { tooManyNames, undefinedPortal, undefinedStatement } from './refusals.ts'
import { announceNames, makesNames, type Named, namedBy } from './sql-names.ts'
import type { SessionState } from './state.ts'

export class Gate implements FrameHandler {
  readonly #state: SessionState
  readonly #dispatch: Dispatch
  readonly #judging: Judging
  readonly #copyIn: CopyIn
  #terminated = false
  /** What must come true before the next frame is taken. */
  #waitsFor: (() => boolean) | undefined

  constructor(state: SessionState) {
    this.#state = state
    this.#dispatch = new Dispatch(state)
    this.#judging = new Judging(state)
    this.#copyIn = new CopyIn(state, this.#dispatch)
  }

  /** Whether a frame that was not taken would be taken now. */
  get ready(): boolean {
    return this.#waitsFor === undefined || this.#waitsFor()
  }

  begin(type: number, size: number, bytes: Buffer, start: number, end: number): boolean {
    if (!this.ready) return false
    this.#waitsFor = undefined
    // Nothing behind Terminate counts.
    const dropped = this.#terminated || this.#state.intruder
    this.#state.intruder = false
    this.#dispatch.begin(dropped)
    if (dropped) return true
    const frame = { bytes, start, end }
    if (type === frontend.terminate) {
      this.#terminate(frame)
      return true
    }
    if (this.#state.pipeline.copyingIn) return this.#inCopy(type, size, frame)
    if (!this.#mayBegin()) {
      this.#waitsFor = this.#mayBegin
      return false
    }
    switch (type) {
      case frontend.query:
        return this.#query(size, frame)
      case frontend.parse:
        return this.#parse(size, frame)
      case frontend.bind:
        return this.#bind(size, frame)
      case frontend.execute:
        return this.#execute(size, frame)
      case frontend.describe:
        this.#describe(frame)
        return true
      case frontend.close:
        this.#close(frame)
        return true
      case frontend.functionCall:
        this.#functionCall(size, frame)
        return true
      case frontend.sync:
        decodeEmpty(bytes, start, end)
        this.#state.group++
        this.#dispatch.forward(expectation('sync'), frame)
        return true
      default:
        // Flush; CopyData, CopyDone and CopyFail outside COPY, which the server ignores.
        this.#dispatch.pass(frame)
        return true
    }
  }

  rest(bytes: Buffer, start: number, end: number): void {
    this.#dispatch.rest(bytes, start, end)
  }

  /** The upstream has answered: what hung on that is sent. */
  answered(): void {
    if (this.#copyIn.answered()) this.flush()
  }

  /** Sends what need not wait. Call at the end of a chunk. */
  flush(): void {
    this.#dispatch.flush()
  }

  /** Whether the front frame waits for its text to be judged. */
  get holds(): boolean {
    return this.#judging.holds
  }

  /** Denies the front frame, which waits for its text to be judged: its client has cancelled it. */
  cancelHeld(): void {
    this.#judging.cancel()
  }

  /** Nothing of the client's is waited for any more. */
  close(): void {
    this.#judging.close()
  }

  #inCopy(type: number, size: number, frame: Frame): boolean {
    const read = this.#copyIn.take(type, size, frame)
    if (read !== 'data') this.#waitsFor = this.#settled
    return read !== 'failed'
  }

  /**
   * Whether a message may be sent that no transaction under way asks for. In a session that is to end only
   * the answer before it tells: so groups go one by one then, and what would begin another transaction is
   * never taken, neither judged nor recorded. COPY data and what completes a group must always go on.
   */
  readonly #mayBegin = (): boolean => {
    const { draining, pipeline, atRest } = this.#state
    if (!draining || pipeline.midGroup || pipeline.copyingIn) return true
    return pipeline.idle && !atRest
  }

  readonly #settled = (): boolean => this.#state.pipeline.settled

  #terminate(frame: Frame): void {
    decodeEmpty(frame.bytes, frame.start, frame.end)
    this.#dispatch.pass(frame)
    this.#terminated = true
    this.#state.options.port.terminated()
  }

  #query(size: number, frame: Frame): boolean {
    const { statements, portals } = this.#state
    const arrival = { protocol: 'simple', bytesIn: size, since: this.#judging.since } as const
    const text = textOf(size, frame, decodeQuery)
    const judgement = this.#judge(text, size)
    if (judgement === undefined) return false
    const named = namedBy(this.#state, judgement)
    if (!this.#known(named)) return false
    this.#judging.taken()
    const runs = [judgement, ...named.judgements]
    const denied =
      this.#judging.refusal(judgement, named) ?? this.#judging.unsettled(text, this.#state.group)
    const full = denied === undefined && this.#full(runs)
    const group = ++this.#state.group
    // A Query destroys the unnamed statement and portal, whatever becomes of it.
    const expected = expectation('query', {
      statementChange: statements.announce('', undefined, group),
      portalChange: portals.announce('', undefined, group),
      sqlChanges: denied === undefined && !full ? this.#announce(judgement) : [],
    })
    // What its statements make of names is certain only when they have run.
    this.#state.group++
    if (denied !== undefined) {
      this.#dispatch.deny(expected, 'query', '', judgement, denied, arrival)
    } else if (full) this.#dispatch.fail(expected, 'query', '', tooManyNames())
    else {
      const execution = this.#dispatch.accept(judgement, arrival, named.judgements)
      this.#dispatch.run(expected, execution, 'query', '', frame)
      this.#waitForCopy(runs)
    }
    return true
  }

  #parse(size: number, frame: Frame): boolean {
    const { statements } = this.#state
    const { catalog, clock } = this.#state.options
    const { since } = this.#judging
    let name = ''
    let types: readonly number[] = []
    const text = textOf(size, frame, (bytes, start, end) => {
      const message = decodeParse(bytes, start, end)
      name = message.name
      types = message.parameterTypes
      return message.text
    })
    const judged = this.#judge(text, size)
    if (judged === undefined) return false
    this.#judging.taken()
    const { policy, remit } = this.#state.rules
    const judgement = policy.withParameters(remit, judged, types, catalog())
    const denied =
      this.#judging.denial(judgement) ?? this.#judging.unsettled(text, this.#state.group)
    // More than one statement the server never prepares: to walk through them at each Bind is for nothing.
    const prepared =
      denied === undefined && judgement.tags.length <= 1
        ? {
            judgement,
            parameterTypes: this.#state.recordsValues ? types.slice(0, mostParameters) : unknown,
            judgedMs: clock.elapsed() - since,
          }
        : undefined
    const expected = expectation('parse', {
      statementChange: statements.announce(name, prepared, this.#state.group),
    })
    if (denied !== undefined) {
      const arrival = { protocol: 'extended', bytesIn: size, since } as const
      this.#dispatch.deny(expected, 'parse', name, judgement, denied, arrival)
    } else if (statements.full) this.#dispatch.fail(expected, 'parse', name, tooManyNames())
    else {
      // Reading a constant can run the CHECK of a domain.
      this.#judging.noteRun([judgement], this.#state.group)
      this.#dispatch.forward(expected, frame)
    }
    return true
  }

  #bind(size: number, frame: Frame): boolean {
    const { statements, portals } = this.#state
    const { bytes, start, end } = frame
    const since = this.#state.options.clock.elapsed()
    const { portal: name, statement } = decodeBindHead(bytes, start, end, end - start === size)
    if (!this.#certain(statements, [statement])) return false
    const prepared = statements.get(statement)
    if (prepared === undefined) {
      this.#dispatch.fail(this.#unbound(name), 'bind', name, undefinedStatement(statement))
      return true
    }
    const { judgement } = prepared
    const named = namedBy(this.#state, judgement)
    if (!this.#known(named)) return false
    if (portals.full) {
      this.#dispatch.fail(this.#unbound(name), 'bind', name, tooManyNames())
      return true
    }
    const denied = this.#judging.refusal(judgement, named)
    const arrival: Arrival = {
      protocol: 'extended',
      bytesIn: size,
      since: since - prepared.judgedMs,
      ...(this.#state.recordsValues && {
        parameters: boundValues(frame, prepared.parameterTypes),
      }),
    }
    prepared.judgedMs = 0
    if (denied !== undefined) {
      this.#dispatch.deny(this.#unbound(name), 'bind', name, judgement, denied, arrival)
      return true
    }
    this.#judging.noteRun([judgement, ...named.judgements], this.#state.group)
    // Recorded here and not at Execute: to plan, the server runs what is declared IMMUTABLE.
    const execution = this.#dispatch.accept(judgement, arrival, named.judgements)
    const portal = { prepared, hold: false, execution }
    const portalChange = portals.announce(name, portal, this.#state.group)
    this.#dispatch.run(expectation('bind', { portalChange }), execution, 'bind', name, frame)
    return true
  }

  /** A Bind that will fail: the name will stand for nothing. */
  #unbound(portal: string): Expectation {
    return expectation('bind', {
      portalChange: this.#state.portals.announce(portal, undefined, this.#state.group),
    })
  }

  /** Whoever prepares a statement without types asks the server for them: so they are learnt here too. */
  #describe(frame: Frame): void {
    const { statements, recordsValues, group } = this.#state
    const { target, name } = decodeTarget(frame.bytes, frame.start, frame.end)
    const certain = recordsValues && target === 'statement' && !statements.unsettled(name, group)
    const described = certain ? statements.get(name) : undefined
    this.#dispatch.forward(expectation('describe', { described }), frame)
  }

  #execute(size: number, frame: Frame): boolean {
    const arrival: Arrival = {
      protocol: 'extended',
      bytesIn: size,
      since: this.#state.options.clock.elapsed(),
    }
    const { portal: name } = decodeExecute(frame.bytes, frame.start, frame.end)
    if (!this.#certain(this.#state.portals, [name])) return false
    const portal = this.#state.portals.get(name)
    if (portal === undefined) {
      this.#dispatch.fail(expectation('execute'), 'execute', '', undefinedPortal(name))
      return true
    }
    const { judgement } = portal.prepared
    const named = namedBy(this.#state, judgement)
    if (!this.#known(named)) return false
    const runs = [judgement, ...named.judgements]
    // The grant may have ended, or a name that EXECUTE uses may have gone, since Bind.
    const denied = this.#judging.refusal(judgement, named)
    if (denied !== undefined) {
      this.#dispatch.deny(expectation('execute'), 'execute', '', judgement, denied, arrival)
      return true
    }
    if (this.#full(runs)) {
      this.#dispatch.fail(expectation('execute'), 'execute', '', tooManyNames())
      return true
    }
    this.#judging.noteRun(runs, this.#state.group)
    const expected = expectation('execute', { sqlChanges: this.#announce(judgement) })
    if (portal.execution === undefined || portal.execution.ended) {
      portal.execution = this.#dispatch.accept(judgement, arrival, named.judgements)
      this.#dispatch.run(expected, portal.execution, 'execute', '', frame)
    } else {
      expected.execution = portal.execution
      this.#dispatch.forward(expected, frame)
    }
    this.#waitForCopy(runs)
    return true
  }

  #close(frame: Frame): void {
    const { statements, portals } = this.#state
    const { target, name } = decodeTarget(frame.bytes, frame.start, frame.end)
    const changes =
      target === 'statement'
        ? { statementChange: statements.announce(name, undefined, this.#state.group) }
        : { portalChange: portals.announce(name, undefined, this.#state.group) }
    this.#dispatch.forward(expectation('close', changes), frame)
  }

  /** Runs a function by its OID: judged as the SQL that calls it. */
  #functionCall(size: number, frame: Frame): void {
    const { catalog, clock } = this.#state.options
    const { policy, remit } = this.#state.rules
    const { bytes, start, end } = frame
    const arrival: Arrival = {
      protocol: 'functionCall',
      bytesIn: size,
      since: clock.elapsed(),
    }
    const { oid, call } = decodeCallHead(bytes, start, end, size)
    const text = calledAs(oid, call)
    const expected = expectation('call')
    if (text === undefined) {
      const judgement = policy.functionCall(remit, oid)
      this.#dispatch.deny(expected, 'call', '', judgement, judgement.decision, arrival)
    } else {
      const judgement = policy.judge(remit, text, catalog())
      const denied = this.#judging.denial(judgement)
      if (denied !== undefined) {
        this.#dispatch.deny(expected, 'call', '', judgement, denied, arrival)
      } else {
        const execution = this.#dispatch.accept(judgement, arrival, [])
        this.#dispatch.run(expected, execution, 'call', '', frame)
      }
    }
    this.#state.group++
  }

  /**
   * The judgement on a query string, or on one too large to be read; undefined when the frame has to
   * wait for it.
   */
  #judge(text: Buffer | undefined, size: number): Judgement | undefined {
    if (text === undefined) {
      const { policy, remit } = this.#state.rules
      return policy.tooLarge(remit, size, this.#state.options.maxStatementBytes)
    }
    if (!this.#judging.settled(text)) {
      this.#waitsFor = () => !this.#state.pipeline.owesReady
      return undefined
    }
    const judgement = this.#judging.judge(text)
    if (judgement === undefined) this.#waitsFor = this.#judging.ready
    return judgement
  }

  /** Whether it is certain what these names mean; if not, the frame waits. */
  #known({ statements, portals }: Named): boolean {
    return (
      this.#certain(this.#state.statements, statements) &&
      this.#certain(this.#state.portals, portals)
    )
  }

  #certain(known: Names<Prepared> | Names<Portal>, names: readonly string[]): boolean {
    const certain = (): boolean => names.every((name) => !known.unsettled(name, this.#state.group))
    if (certain()) return true
    this.#waitsFor = certain
    return false
  }

  /** Whether their SQL makes names and there are too many already. */
  #full(judgements: readonly Judgement[]): boolean {
    const { statements, portals } = this.#state
    return (statements.full || portals.full) && judgements.some(makesNames)
  }

  #announce(judgement: Judgement): Expectation['sqlChanges'] {
    return announceNames(this.#state, judgement, this.#state.group)
  }

  /**
   * Behind a COPY FROM STDIN nothing is sent until the server has said whether it reads data: what it
   * does with a Sync or a Query depends on that, and who guesses records as skipped what has run.
   */
  #waitForCopy(judgements: readonly Judgement[]): void {
    const copies = judgements.some(
      ({ analysis }) =>
        analysis.type === 'parsed' &&
        analysis.statements.some(({ actions }) =>
          actions.some(({ command }) => command === 'COPY FROM'),
        ),
    )
    if (copies) this.#waitsFor = this.#settled
  }
}

const unknown: readonly number[] = []

/** The frame's query string; undefined when the frame is too large to be read. */
function textOf(
  size: number,
  { bytes, start, end }: Frame,
  decode: (bytes: Buffer, start: number, end: number) => Buffer,
): Buffer | undefined {
  return end - start < size ? undefined : decode(bytes, start, end)
}
