// One connection's protocol after login: bytes come in by fromClient and fromUpstream and leave by the
// port. Puts the two directions on the one state; does no IO.

import { upstreamFrames } from '../wire/backend.ts'
import { FrameReader } from '../wire/frames.ts'
import { sessionFrames } from '../wire/frontend.ts'
import { Gate } from './gate.ts'
import { Replies } from './replies.ts'
import { type SessionOptions, SessionState } from './state.ts'

/**
 * A chunk of the client's is read to its end, so the queue can grow beyond it by a chunk's messages.
 * It must be more than the server may hold back without a Flush: its 8 KiB buffer holds at most 1,638
 * answers of 5 bytes, and a client made to wait for those would wait for ever.
 */
const maxOwed = 8_192

/**
 * So much of what a client sends while it must wait is read all the same: its end may stand behind it,
 * and who is gone must not be waited for.
 */
const readAhead = 64 * 1024

const nothing = Buffer.alloc(0)

export class Session {
  readonly #state: SessionState
  readonly #gate: Gate
  readonly #replies: Replies
  readonly #clientFrames: FrameReader
  readonly #upstreamFrames: FrameReader
  /** What the client has sent and must wait. */
  #waiting: Buffer = nothing
  #closed = false

  constructor(options: SessionOptions) {
    this.#state = new SessionState(options)
    this.#gate = new Gate(this.#state)
    this.#replies = new Replies(this.#state)
    // A Parse holds a name and parameter types besides its text; the text's own limit is policy's.
    const maxFrame = options.maxStatementBytes + 64 * 1024
    const frames = sessionFrames(maxFrame, this.#state.recordsValues)
    this.#clientFrames = new FrameReader(frames, this.#gate)
    this.#upstreamFrames = new FrameReader(upstreamFrames, this.#replies)
  }

  /** Bytes from the client. Throws a Failure when they are not the protocol. */
  fromClient(chunk: Buffer): void {
    if (this.congested) this.#waiting = Buffer.concat([this.#waiting, chunk])
    else this.#readClient(chunk)
  }

  /** Bytes from the upstream. Throws a Failure when they are not the protocol. */
  fromUpstream(chunk: Buffer): void {
    try {
      this.#upstreamFrames.push(chunk)
    } finally {
      // Also what came before a failure: else its error could stand in the middle of a message.
      this.#replies.flush()
    }
    this.#gate.answered()
    this.resume()
  }

  /** Goes on with what the client has sent, if what it had to wait for has come. */
  resume(): void {
    if (this.#closed || this.#state.pipeline.length > maxOwed) return
    if (this.#clientFrames.paused ? !this.#gate.ready : this.#waiting.length === 0) return
    const waiting = this.#waiting
    this.#waiting = nothing
    this.#clientFrames.resume()
    this.#readClient(waiting)
  }

  #readClient(chunk: Buffer): void {
    const used = this.#clientFrames.push(chunk)
    if (this.#clientFrames.paused) this.#waiting = chunk.subarray(used)
    this.#gate.flush()
    this.#state.began()
  }

  /** Nothing is owed, and nothing waits here: what a late cancel and a client's silent end ask for. */
  get idle(): boolean {
    return this.#state.pipeline.idle && !this.#gate.holds
  }

  /** From here on no transaction is begun any more: what the client says behind the one that runs is not read. */
  drain(): void {
    this.#state.draining = true
  }

  /**
   * Drained, and to be ended: no transaction is open, nothing is owed, and the client can be told. What it
   * has sent besides was neither recorded nor forwarded, and never will be.
   */
  get drained(): boolean {
    const canBeTold = this.clientAtBoundary && !this.upstreamSaidFatal
    return this.#state.draining && this.#state.atRest && canBeTold
  }

  /**
   * A cancel from the client. The statement that waits to be judged, if one does and no earlier Sync
   * group is still to be answered, fails in its place with 57014. True when that was all: nothing runs
   * upstream that the cancel could mean.
   */
  cancelHeld(): boolean {
    const { pipeline } = this.#state
    if (!this.#gate.holds || pipeline.owesReady) return false
    const alone = pipeline.idle
    this.#gate.cancelHeld()
    return alone
  }

  /** The server reads COPY data and has not been told the end of it. */
  get copyingIn(): boolean {
    return this.#state.pipeline.copyingIn
  }

  /** A transaction block is open, failed or not. */
  get inTransaction(): boolean {
    return this.#state.status !== 'I'
  }

  /** What it does, in the words of pg_stat_activity. */
  get activity(): 'idle' | 'active' | 'idle_in_transaction' {
    if (!this.idle) return 'active'
    return this.inTransaction ? 'idle_in_transaction' : 'idle'
  }

  /** Clock.elapsed() of the last ReadyForQuery. */
  get readyAt(): number {
    return this.#state.readyAt
  }

  /** Clock.elapsed() when the transaction that runs began, if one does. */
  get transactionAt(): number | undefined {
    return this.#state.transactionAt
  }

  /** The client must wait: so many answers are owed, or what it sent waits for one or to be judged. */
  get congested(): boolean {
    return this.#clientFrames.paused || this.#state.pipeline.length > maxOwed
  }

  /** No more may be read from the client for now. */
  get full(): boolean {
    return this.congested && this.#waiting.length > readAhead
  }

  /** Statements accepted or denied so far. */
  get statements(): number {
    return this.#state.events.count
  }

  /** Whether an ErrorResponse of ours may be put in the stream to the client now. */
  get clientAtBoundary(): boolean {
    return this.#upstreamFrames.atBoundary
  }

  /** The upstream has said by itself why it ends the connection. */
  get upstreamSaidFatal(): boolean {
    return this.#replies.saidFatal
  }

  /** Reads nothing more and closes the books. Call once, when the session is over. */
  close(): void {
    this.#closed = true
    this.#clientFrames.stop()
    this.#upstreamFrames.stop()
    this.#gate.close()
    this.#state.close()
  }
}
