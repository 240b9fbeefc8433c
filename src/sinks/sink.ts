// What a sink is: somewhere else that records of the journal are sent. Ignorant of files and of retries.

/** A line of the journal on its way. */
export interface Shipment {
  /** The chain's name, e.g. `main`. */
  readonly chain: string
  readonly sequence: number
  /** The event's id, the same however often it is sent: what a receiver tells doubles by. */
  readonly event: string
  /** RFC 3339. */
  readonly time: string
  readonly type: string
  /** The line as it stands in the journal, without line feed. */
  readonly line: Buffer
}

export interface Sink {
  /**
   * Resolves when each of them is safe with the receiver, in this order. Rejects when that is not
   * certain: then the same batch, or one that begins with it, is sent again, however long it takes.
   * Connects when it must, and again after a failure.
   */
  send(batch: readonly Shipment[], signal: AbortSignal): Promise<void>
  close(): Promise<void>
}

/** How much one batch holds at most. */
export interface BatchLimits {
  readonly records: number
  readonly bytes: number
}
