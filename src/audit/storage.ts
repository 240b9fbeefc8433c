// What the Journal asks of where its lines go. journal/ implements it with files, tests in memory.

/** The end of a chain: the last record stored. */
export interface Tip {
  /** Sixteen hexadecimal digits, drawn when the chain was begun: no two chains have the same. */
  readonly chainId: string
  /** Sequence number of the last record; 0 when there is none. */
  readonly sequence: number
  /** Its hash, 64 hexadecimal digits; for sequence 0 the genesis value. */
  readonly hash: string
}

/** A text that is too long for its record: it goes, whole, into a file beside the segment. */
export interface OverflowText {
  readonly text: string
  /** Of its UTF-8, in lower-case hexadecimal: what the record names it by. */
  readonly sha256: string
}

/** The same, and the number of the record. */
export interface PlacedText extends OverflowText {
  readonly sequence: number
}

/** What is stored together or not at all. */
export interface Batch {
  /** Whole lines in the first `length` bytes. Used again when the write has returned. */
  readonly bytes: Buffer
  readonly length: number
  /** The sequence number of the first line. */
  readonly first: number
  readonly overflow: readonly PlacedText[]
  /** `sync` will be asked for. */
  readonly durable: boolean
}

/**
 * Lines go into segments. One is ended by a write of the record that `seal` gives, and `end`; the next
 * write then begins another, with the record that `opening` gives.
 */
export interface JournalStorage {
  /** The segment is so large or so old that it should be ended before the next write. */
  readonly full: boolean
  /** Fields of the record that ends the segment; undefined when there is none, or nothing in it yet. */
  seal(tip: Tip): string | undefined
  end(): void
  /** Fields of the record that must come first in the next write, when that will begin a segment. */
  opening(tip: Tip): string | undefined
  /**
   * Stores the batch or throws, having left nothing of it behind. Synchronous: when it returns, the
   * bytes survive the death of this process.
   */
  write(batch: Batch): void
  /**
   * Resolves when all durable batches that were written before survive the loss of power. Rejects, in
   * bounded time, when that is not certain; the segment has then no seal, and the next write begins another.
   */
  sync(): Promise<void>
}
