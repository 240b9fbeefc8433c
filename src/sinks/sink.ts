// What a sink is: somewhere else that records of the journal are sent. Ignorant of files and of retries.

import type { Shipment } from '../audit/outbox.ts'

export interface Sink {
  /**
   * Of a receiver that confirms nothing: how long a connection must have lived on until what was written
   * to it counts as received. `send` then resolves when it is written, and rejects when the connection has
   * broken since, also for an empty batch, which asks for nothing else.
   */
  readonly settleMs?: number
  /**
   * Resolves when each of them is safe with the receiver, in this order. Rejects when that is not
   * certain: then the same batch, or one that begins with it, is sent again, however long it takes.
   * Connects when it must, and again after a failure.
   */
  send(batch: readonly Shipment[], signal: AbortSignal): Promise<void>
  close(): Promise<void>
}

/** Why a batch was not taken. The message is for the log: it names no secret, and no address that is one. */
export class SinkProblem extends Error {
  override readonly name = 'SinkProblem'
  /** What the receiver asks for before the next attempt. */
  readonly retryAfterMs: number

  constructor(message: string, retryAfterMs = 0, options?: ErrorOptions) {
    super(message, options)
    this.retryAfterMs = retryAfterMs
  }
}

/** How much one batch holds at most. */
export interface BatchLimits {
  readonly records: number
  readonly bytes: number
}
