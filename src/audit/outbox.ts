// The journal as those read it who send it on: chain by chain, in order, from a position on. A port: journal/
// implements it with files, and sinks/ knows nothing else of them.

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

/** Behind a record: what a sink has of a chain, and where to go on. */
export interface Position {
  readonly sequence: number
  /** Id and hash of the record: a journal that was put back from a copy may have another one of that number. */
  readonly event: string
  readonly hash: string
  /** The number that its segment begins with, and the offset behind it. */
  readonly segment: number
  readonly offset: number
}

export interface Outgoing {
  readonly shipment: Shipment
  readonly behind: Position
}

export interface Reading {
  /** What somebody should know who expected to go on at the position; undefined when all is as it was. */
  readonly note: string | undefined
  /**
   * Records that have come since the last call, and will not be taken back by the journal. Left early, it is
   * gone on with where it was left.
   */
  fresh(): AsyncGenerator<Outgoing, undefined>
}

/** What a sink does not have yet. Bytes as they are on the disk: of compressed segments fewer. */
export interface Backlog {
  readonly records: number
  readonly bytes: number
}

export interface Outbox {
  /** The names of those that are there now. */
  chains(): readonly string[]
  /** From the oldest record there is without a position; undefined when there is none. */
  read(chain: string, from: Position | undefined): Promise<Reading | undefined>
  backlog(chain: string, from: Position | undefined): Backlog
}
