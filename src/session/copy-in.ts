// What the client says while the server reads COPY data: only a few messages mean anything then, and what
// a Sync means, or a message that does not belong, the server alone can say. Ignorant of statements.
// PostgreSQL documentation, "COPY Operations"; copyfromparse.c, CopyGetData.

import { Failure } from '../errors.ts'
import { decodeEmpty, encodeFrontend, frontend } from '../wire/frontend.ts'
import { type Dispatch, type Frame, wholeFrame } from './dispatch.ts'
import { expectation } from './pipeline.ts'
import type { SessionState } from './state.ts'

/**
 * `data`: the server goes on reading, or what comes next does not hang on its answer. `ended`: nothing
 * more may be sent before that answer. `failed`: the frame was not taken, the COPY fails over it, and
 * the same frame must be offered again when the server has said so.
 */
type Read = 'data' | 'ended' | 'failed'

/** One or two are held for who is in a hurry. A client that sends more for nothing fills our memory. */
const mostHeldSyncs = 1_000

export class CopyIn {
  readonly #state: SessionState
  readonly #dispatch: Dispatch
  /**
   * Syncs that have nothing behind them yet. The server ignores a Sync that it reads as COPY data, and
   * answers one that it reads after the COPY has failed: which of the two is certain when data follows,
   * or the error comes.
   */
  #heldSyncs = 0

  constructor(state: SessionState, dispatch: Dispatch) {
    this.#state = state
    this.#dispatch = dispatch
  }

  /** A frame of `size` bytes, while the server reads data. */
  take(type: number, size: number, frame: Frame): Read {
    if (type === frontend.sync) {
      decodeEmpty(frame.bytes, frame.start, frame.end)
      if (++this.#heldSyncs > mostHeldSyncs) throw tooManySyncs()
      return 'data'
    }
    this.#heldSyncs = 0
    switch (type) {
      case frontend.copyData:
        this.#count(size)
        this.#dispatch.pass(frame)
        return 'data'
      case frontend.flush:
        this.#dispatch.pass(frame)
        return 'data'
      case frontend.copyDone:
      case frontend.copyFail:
        this.#dispatch.pass(frame)
        this.#state.pipeline.copyEnded()
        // A query string may have another COPY: its answer says what the next message is read as. By
        // the extended protocol there is but one, and its answer waits for Sync.
        return this.#state.pipeline.head?.kind === 'query' ? 'ended' : 'data'
      default:
        this.#fail(type)
        return 'failed'
    }
  }

  /** The upstream has answered. True when Syncs have been sent on that. */
  answered(): boolean {
    if (this.#heldSyncs === 0 || this.#state.pipeline.copyingIn) return false
    for (; this.#heldSyncs > 0; this.#heldSyncs--) {
      this.#state.group++
      this.#dispatch.forward(expectation('sync'), wholeFrame(sync))
    }
    return true
  }

  #count(bytes: number): void {
    const execution = this.#state.pipeline.head?.execution
    if (execution !== undefined) execution.bytesIn += bytes
  }

  /**
   * PostgreSQL fails the COPY over any other message and drops it; but when the COPY has failed already,
   * the message runs. CopyFail does the same and is ignored in the second case: its answer tells.
   */
  #fail(type: number): void {
    const hex = type.toString(16).toUpperCase().padStart(2, '0')
    const message = `unexpected message type 0x${hex} during COPY from stdin`
    const { pipeline } = this.#state
    if (pipeline.head !== undefined) {
      pipeline.head.copyFailure = new Failure('protocol_violation', { message })
    }
    this.#dispatch.pass(wholeFrame(encodeFrontend({ type: 'copyFail', message })))
    pipeline.copyEnded()
  }
}

const sync = encodeFrontend({ type: 'sync' })

function tooManySyncs(): Failure {
  return new Failure('protocol_violation', {
    message: 'too many Sync messages during COPY from stdin',
    detail: `More than ${mostHeldSyncs} came one behind the other, without data between them.`,
    hint: 'A driver that does this is broken: report it to those who make it.',
  })
}
