// Moves bytes between two sockets and a session: reads from one side are paused while the other is
// full, each end of a connection ends the other, and whoever is left hears why. Knows sockets and
// time; what bytes mean is the session's business.

import type { Socket } from 'node:net'
import type { Tripwire } from '../audit/record.ts'
import type { Clock } from '../clock.ts'
import { Failure } from '../errors.ts'
import type { Deny } from '../policy/decision.ts'
import type { SessionLimits } from '../policy/roles.ts'
import type { SessionPort, StatementTimes } from '../session/port.ts'
import { Session } from '../session/session.ts'
import type { SessionOptions } from '../session/state.ts'
import { errorResponse } from '../wire/backend-encoder.ts'
import type { Meter, TracedStatement } from './ports.ts'
import { endSocket, write } from './sockets.ts'
import { overdue } from './time-limits.ts'

/** How a session came to its end, for the audit. */
export interface Ending {
  readonly reason: 'client_terminated' | 'client_gone' | 'upstream_gone' | 'ended'
  readonly failure: Failure | undefined
}

/**
 * What became of a CancelRequest: `sent` upstream; `idle`: nothing ran; `held`: what was meant had not been
 * sent yet and is not; `failed`: the upstream was not reached.
 */
export type CancelEffect = 'sent' | 'idle' | 'held' | 'failed'

/** Reading one chunk of a client's for so long holds the others up. */
const longReadMs = 10
/** How long an upstream may take to close when there is no more to say, or nobody to hear it. */
const closingMs = 5_000
/** After how long a client that sent FIN is first asked whether it still listens, and the longest pause. */
const firstProbeMs = 500
const longestProbeMs = 30_000
/** How long a message may stand half said, behind which such a client cannot be asked. */
const stalledMs = 8_000

export class Relay implements SessionPort {
  readonly session: Session
  readonly #client: Socket
  readonly #upstream: Socket
  readonly #meter: Meter
  readonly #clock: Clock
  readonly #role: string
  readonly #application: string
  readonly #trace: ((statement: TracedStatement) => void) | undefined
  readonly #cancelUpstream: () => Promise<boolean>
  readonly #probe: Buffer | undefined
  readonly #onCatalogChanged: () => void
  readonly #onTripped: (tripwire: Tripwire) => void
  readonly #onEnd: (ending: Ending) => void
  #over = false
  /** Why the session ends as soon as it is outside a transaction. */
  #leaving: Failure | undefined
  #terminating = false
  #finPassedOn = false
  #yielding = false
  /** The cancel of what runs, while it is on its way upstream. */
  #cancelling: Promise<CancelEffect> | undefined
  #bytesToClient = 0
  #bytesToUpstream = 0
  readonly #startedAt: number
  #heardAt: number
  #deadline: NodeJS.Timeout | undefined
  #probing: NodeJS.Timeout | undefined

  constructor(
    options: Omit<SessionOptions, 'port'>,
    sides: { readonly client: Socket; readonly upstream: Socket },
    deps: {
      readonly meter: Meter
      /** What the client says it is. */
      readonly application: string
      /** Of each statement that has ended; undefined where nothing is traced. */
      readonly trace: ((statement: TracedStatement) => void) | undefined
      /** Cancels what runs upstream: true when the server has dealt with it, false when it was not reached. */
      readonly cancel: () => Promise<boolean>
      /** A message that tells a client nothing new and may come at any time. */
      readonly probe: Buffer | undefined
      readonly onCatalogChanged: () => void
      readonly onTripped: (tripwire: Tripwire) => void
      /** Called exactly once, when nothing more will be read or recorded for the session. */
      readonly onEnd: (ending: Ending) => void
    },
  ) {
    this.#client = sides.client
    this.#upstream = sides.upstream
    this.#meter = deps.meter
    this.#clock = options.clock
    this.#role = options.authorization.grant.role
    this.#application = deps.application
    this.#trace = deps.trace
    this.#cancelUpstream = deps.cancel
    this.#probe = deps.probe
    this.#startedAt = options.clock.elapsed()
    this.#heardAt = this.#startedAt
    this.#onCatalogChanged = deps.onCatalogChanged
    this.#onTripped = deps.onTripped
    this.#onEnd = deps.onEnd
    this.session = new Session({ ...options, port: this })
  }

  get bytes(): { readonly toClient: number; readonly toUpstream: number } {
    return { toClient: this.#bytesToClient, toUpstream: this.#bytesToUpstream }
  }

  /**
   * Why the session must end now, if it has reached a limit of its time: then it is ended, and not asked again.
   * One that may finish what it does is told to leave behind that.
   */
  overdue(limits: SessionLimits): Failure | undefined {
    const now = this.#clock.elapsed()
    // Who still takes an answer in is not idle, though the server has said all of it.
    if (this.#client.writableLength > 0) this.#heardAt = now
    const times = { startedAt: this.#startedAt, heardAt: this.#heardAt }
    const over = overdue(this.session, times, limits, now)
    if (over === undefined) return undefined
    const told = this.#leaving !== undefined
    if (!told) this.#meter.limitReached(over.limit)
    if (over.when === 'now') return over.failure
    if (!told) this.leave(over.failure)
    return undefined
  }

  /** A CancelRequest of the client's. Requests that come while one is on its way are one with it. */
  cancel(): Promise<CancelEffect> {
    this.#cancelling ??= this.#cancelWhatRuns().finally(() => {
      this.#cancelling = undefined
      this.#resumeClient()
    })
    return this.#cancelling
  }

  /**
   * Until the server has dealt with it nothing more is read from the client: the server's signal says
   * "what runs now", and must not meet what the client says after its request.
   */
  async #cancelWhatRuns(): Promise<CancelEffect> {
    if (this.#over) return 'idle'
    if (this.session.cancelHeld()) return 'held'
    if (this.session.idle) return 'idle'
    this.#client.pause()
    return (await this.#cancelUpstream()) ? 'sent' : 'failed'
  }

  /**
   * Starts moving bytes. `rest` is what the upstream sent behind its first ReadyForQuery, `early` what the
   * client sent behind its login.
   */
  start(rest: Buffer, early: Buffer): void {
    const client = this.#client
    const upstream = this.#upstream
    // From here on an error or a close is the session's to handle.
    client.removeAllListeners('error')
    client.on('data', (chunk: Buffer) => this.#fromClient(chunk))
    client.on('end', () => this.#clientEnded())
    client.on('error', () => this.#clientGone())
    client.on('close', () => this.#clientGone())
    client.on('drain', () => {
      if (!this.#over) upstream.resume()
      this.#leaveIfDrained()
    })
    upstream.on('data', (chunk: Buffer) => this.#fromUpstream(chunk))
    upstream.on('end', () => this.#upstreamGone())
    upstream.on('error', () => this.#upstreamGone())
    upstream.on('close', () => this.#upstreamGone())
    upstream.on('drain', () => this.#resumeClient())
    if (rest.length > 0) this.#fromUpstream(rest)
    if (early.length > 0) this.#fromClient(early)
    this.#resumeClient()
    upstream.resume()
    // A client that left during the login has said so when nobody listened.
    if (client.readableEnded) this.#clientEnded()
  }

  toUpstream(buffers: readonly Buffer[]): void {
    if (this.#over) return
    const bytes = write(this.#upstream, buffers)
    this.#bytesToUpstream += bytes
    this.#meter.bytes('to_upstream', bytes)
    // Read no more from the client than the upstream takes.
    if (this.#upstream.writableNeedDrain) this.#client.pause()
  }

  toClient(buffers: readonly Buffer[]): void {
    if (this.#over) return
    const taken = this.#leaving === undefined ? undefined : () => this.#leaveIfDrained()
    const bytes = write(this.#client, buffers, taken)
    this.#bytesToClient += bytes
    this.#meter.bytes('to_client', bytes)
    if (this.#client.writableNeedDrain) this.#upstream.pause()
  }

  terminated(): void {
    this.#terminating = true
    this.#closeSoonIfDone()
  }

  judged(): void {
    if (this.#over) return
    this.#read(() => this.session.resume())
    this.#resumeClient()
  }

  catalogChanged(): void {
    this.#onCatalogChanged()
  }

  tripped(tripwire: Tripwire): void {
    this.#meter.tripped(this.#role, tripwire.setting)
    this.#onTripped(tripwire)
  }

  /**
   * Says something to the client between two messages of the server's. False when that cannot be done
   * now: a message is half said.
   */
  notice(message: Buffer): boolean {
    if (this.#over || !this.session.clientAtBoundary || this.session.upstreamSaidFatal) return false
    this.toClient([message])
    return true
  }

  /** Ends the session for a reason of ours: the client is told, what runs is cancelled. */
  end(failure: Failure): void {
    if (this.#over) return
    const tell = this.session.clientAtBoundary && !this.session.upstreamSaidFatal
    this.#finish({ reason: 'ended', failure }, tell ? errorResponse(failure, 'FATAL') : undefined)
  }

  /**
   * Ends the session as soon as nothing is lost by it: at once outside a transaction, else when that is over
   * and the client has its answers. May be repeated.
   */
  leave(failure: Failure): void {
    this.#leaving = failure
    this.session.drain()
    this.#leaveIfDrained()
  }

  statementDenied(tags: readonly string[], { rule, failure }: Deny): void {
    this.#meter.statementDenied(this.#role, tags, rule, this.#application)
    if (failure.code === 'statement_too_large') this.#meter.limitReached('statement_bytes')
    this.#trace?.({ tags, decision: 'deny', sqlstate: failure.sqlstate, took: undefined })
  }

  statementEnded(
    tags: readonly string[],
    took: StatementTimes,
    sqlstate: string | undefined,
  ): void {
    this.#meter.statementEnded(this.#role, tags, took)
    this.#trace?.({ tags, decision: 'allow', sqlstate, took })
  }

  statementsRefused(count: number, failure: Failure): void {
    this.#meter.statementsRefused(count, failure.cause)
  }

  #fromClient(chunk: Buffer): void {
    this.#read(() => this.session.fromClient(chunk))
  }

  /** Has the session read what the client sent. */
  #read(work: () => void): void {
    try {
      const startedAt = this.#clock.elapsed()
      this.#heardAt = startedAt
      work()
      this.#yieldFor(this.#clock.elapsed() - startedAt)
      if (this.session.full) this.#client.pause()
    } catch (error) {
      this.end(unexpected(error))
    }
  }

  #fromUpstream(chunk: Buffer): void {
    try {
      this.session.fromUpstream(chunk)
      if (this.#client.isPaused()) this.#resumeClient()
    } catch (error) {
      this.end(unexpected(error))
    }
    this.#leaveIfDrained()
    if (this.#client.readableEnded) this.#clientEnded()
    this.#closeSoonIfDone()
  }

  /**
   * FIN from the client: gone, or waiting for its last answer with its own side shut down. Who can say
   * nothing more and is owed nothing, or owes the rest of a COPY, is as good as gone.
   */
  #clientEnded(): void {
    if (this.#over) return
    if (this.session.idle || this.session.copyingIn) this.#clientGone()
    else if (this.#probing === undefined) this.#probeIn(firstProbeMs)
  }

  /**
   * Only writing to a peer shows whether it is gone altogether: its machine answers with a reset, and
   * the socket ends. A client that waits hears nothing new. It cannot be asked in the middle of a message:
   * a server that is silent there must not keep the session of a client that is gone.
   */
  #probeIn(ms: number): void {
    const heard = this.#bytesToClient
    this.#probing = setTimeout(() => {
      if (this.#over) return
      const silent = this.#bytesToClient === heard && ms >= stalledMs
      if (silent && !this.session.clientAtBoundary) {
        this.#clientGone()
        return
      }
      // The server hears of the FIN too, as from the client itself: it may wait for a Sync as well.
      if (!this.session.congested) this.#passFinOn()
      if (this.#probe !== undefined && this.session.clientAtBoundary) this.toClient([this.#probe])
      this.#probeIn(Math.min(ms * 2, longestProbeMs))
    }, ms)
    this.#probing.unref()
  }

  #passFinOn(): void {
    if (!this.#finPassedOn) this.#upstream.end()
    this.#finPassedOn = true
  }

  #clientGone(): void {
    if (this.#over) return
    if (!this.#terminating) {
      this.#finish({ reason: 'client_gone', failure: undefined })
      return
    }
    // After Terminate what is still running may finish, for a while, and its answer goes nowhere.
    this.#upstream.resume()
    this.#closeSoon()
  }

  /** The server has said all after which it closes by itself: Terminate answered, or its own FATAL. */
  #closeSoonIfDone(): void {
    if (this.#over) return
    const done = this.#terminating && this.session.idle
    if (done || this.session.upstreamSaidFatal) this.#closeSoon()
  }

  #closeSoon(): void {
    this.#deadline ??= setTimeout(() => this.#upstreamGone(), closingMs).unref()
  }

  #upstreamGone(): void {
    if (this.#over) return
    if (this.#terminating) {
      this.#finish({ reason: 'client_terminated', failure: undefined })
      return
    }
    if (this.#finPassedOn) {
      this.#finish({ reason: 'client_gone', failure: undefined })
      return
    }
    const failure = new Failure('upstream_lost', {
      message: 'server closed the connection unexpectedly',
      detail: 'The target database ended the connection without saying why.',
      hint: 'Connect again; the statement that was running may or may not have taken effect.',
    })
    // A FATAL that the server sent itself has gone out already; a second one would hide it.
    const tell = this.session.clientAtBoundary && !this.session.upstreamSaidFatal
    this.#finish({ reason: 'upstream_gone', failure }, tell ? errorResponse(failure) : undefined)
  }

  #leaveIfDrained(): void {
    if (this.#leaving === undefined || this.#terminating || !this.session.drained) return
    // Behind an answer that a slow reader has not taken in, the farewell would cut it off.
    if (this.#client.writableLength === 0) this.end(this.#leaving)
  }

  /** Ends both sides; `farewell` is the last the client hears. */
  #finish(ending: Ending, farewell?: Buffer): void {
    if (this.#over) return
    this.#over = true
    clearTimeout(this.#deadline)
    clearTimeout(this.#probing)
    // The server notices a closed connection only when it reads or writes: a long statement would run on.
    if (!this.session.idle && ending.reason !== 'upstream_gone') void this.#cancelUpstream()
    this.#upstream.destroy()
    this.session.close()
    endSocket(this.#client, farewell)
    this.#onEnd(ending)
  }

  /**
   * Whose texts took long to read waits three times as long before it is read from again: parsing
   * is done in everybody's time but for a long text, and one client may have a quarter of it.
   */
  #yieldFor(tookMs: number): void {
    if (tookMs < longReadMs || this.#over) return
    this.#yielding = true
    this.#client.pause()
    setTimeout(() => {
      this.#yielding = false
      this.#resumeClient()
    }, tookMs * 3).unref()
  }

  /** Reads from the client again, unless something still holds it back. */
  #resumeClient(): void {
    if (this.#over || this.#yielding || this.#cancelling !== undefined) return
    if (this.session.full || this.#upstream.writableNeedDrain) return
    this.#client.resume()
  }
}

function unexpected(error: unknown): Failure {
  if (error instanceof Failure) return error
  return new Failure(
    'session_terminated',
    {
      message: 'terminating connection because of an internal error in pgwarden',
      hint: 'Connect again; if it happens again, tell the people who run pgwarden.',
    },
    { cause: error },
  )
}
