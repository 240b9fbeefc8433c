// Cuts a byte stream into protocol frames (type byte, Int32 length that includes itself, body) and
// never copies what it need not: a frame that lies whole in the chunk is announced where it lies.
// A frame whose needed part is split over chunks gets one buffer of exactly that part. Bytes behind
// the needed part are streamed. Knows no message's meaning; one machine serves both directions.
// PostgreSQL documentation, "Message Formats".

import { Failure } from '../errors.ts'

/** Type byte plus length field. */
export const headerBytes = 5

export interface FrameTable {
  /**
   * How many bytes of a frame (header included, at most `size`) must be at hand before it is
   * announced. Throws a protocol_violation for a type or size that this direction may not carry, so
   * that nothing is ever allocated on the word of a bad header.
   */
  need(type: number, size: number): number
}

export interface FrameHandler {
  /**
   * A frame of `size` bytes begins at `bytes[start]`; `bytes[start, end)` holds at least its needed
   * part. When `end - start < size`, the rest follows by `rest`. False: not now. The reader then stays
   * where it is and offers the same frame again after `resume`.
   */
  begin(type: number, size: number, bytes: Buffer, start: number, end: number): boolean
  /** More of the frame last begun; `last` with its final byte. */
  rest(bytes: Buffer, start: number, end: number, last: boolean): void
}

export class FrameReader {
  readonly #table: FrameTable
  readonly #handler: FrameHandler
  /** Bytes of an announced frame that have not arrived yet. */
  #owed = 0
  /** The part of a frame that waits for the next chunk: first its header, then what it needs. */
  #held: Buffer | undefined
  #heldBytes = 0
  readonly #header = Buffer.alloc(headerBytes)
  #stopped = false
  #paused = false

  constructor(table: FrameTable, handler: FrameHandler) {
    this.#table = table
    this.#handler = handler
  }

  /** True when every frame that was announced has been announced whole; of the next, a part may be held. */
  get atBoundary(): boolean {
    return this.#owed === 0
  }

  /** The handler has said "not now": `push` would read nothing. */
  get paused(): boolean {
    return this.#paused
  }

  /** Offers the frame again that was not taken. What `push` did not use must be pushed again. */
  resume(): void {
    this.#paused = false
    const held = this.#held
    if (held !== undefined && held !== this.#header && this.#heldBytes === held.length) {
      this.#offerHeld(held)
    }
  }

  /** Reads nothing from here on, also not the rest of the chunk being read. */
  stop(): void {
    this.#stopped = true
  }

  /**
   * Reads one chunk and returns how many of its bytes were used: all, unless the reader was stopped or
   * paused.
   * Throws what the table or the handler throws; the stream is then unusable.
   */
  push(chunk: Buffer): number {
    let at = 0
    while (at < chunk.length && !this.#stopped && !this.#paused) {
      if (this.#owed > 0) at = this.#stream(chunk, at)
      else if (this.#held !== undefined) at = this.#complete(chunk, at)
      else at = this.#cut(chunk, at)
    }
    return at
  }

  #stream(chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + this.#owed)
    this.#owed -= end - at
    this.#handler.rest(chunk, at, end, this.#owed === 0)
    return end
  }

  #cut(chunk: Buffer, at: number): number {
    const here = chunk.length - at
    if (here < headerBytes) {
      this.#held = this.#header
      this.#heldBytes = chunk.copy(this.#header, 0, at)
      return chunk.length
    }
    const size = sizeAt(chunk, at)
    const type = chunk[at] ?? 0
    const need = this.#table.need(type, size)
    if (here < need) {
      this.#held = Buffer.allocUnsafe(need)
      this.#heldBytes = chunk.copy(this.#held, 0, at)
      return chunk.length
    }
    const end = Math.min(chunk.length, at + size)
    return this.#offer(type, size, chunk, at, end) ? end : at
  }

  #complete(chunk: Buffer, at: number): number {
    let held = this.#held ?? this.#header
    const taken = chunk.copy(held, this.#heldBytes, at)
    this.#heldBytes += taken
    if (this.#heldBytes < held.length) return at + taken

    if (held === this.#header) {
      const need = this.#table.need(held[0] ?? 0, sizeAt(held, 0))
      // The header buffer is used again for the next split header; what is announced must not change.
      held = Buffer.allocUnsafe(need)
      this.#header.copy(held)
      this.#held = held
      if (need > headerBytes) return at + taken
    }
    this.#offerHeld(held)
    return at + taken
  }

  #offerHeld(held: Buffer): void {
    // Released first: the handler may throw, and must not be offered the same frame for ever.
    this.#held = undefined
    if (!this.#offer(held[0] ?? 0, sizeAt(held, 0), held, 0, held.length)) this.#held = held
  }

  #offer(type: number, size: number, bytes: Buffer, start: number, end: number): boolean {
    this.#owed = size - (end - start)
    const taken = this.#handler.begin(type, size, bytes, start, end)
    if (!taken) {
      this.#owed = 0
      this.#paused = true
    }
    return taken
  }
}

/** Frame size in bytes, header included. A length below 4 could not even hold itself. */
function sizeAt(bytes: Buffer, at: number): number {
  const length = bytes.readInt32BE(at + 1)
  if (length < 4) {
    throw new Failure('protocol_violation', {
      message: `invalid message length ${length}`,
      detail: 'The length of a message includes its own four bytes.',
    })
  }
  return length + 1
}
