// The segment that is being written, and beside it the file of texts that were too long for their records.
// Both take a batch or neither does. A text stands there before the line that names it, once in a segment.
// Ignorant of chains.

import { quote } from '../audit/json.ts'
import type { Batch, PlacedText } from '../audit/storage.ts'
import { AppendFile, type SegmentIo } from './append-file.ts'

/**
 * Of so many texts the writer knows that they are there; who sends more different ones has some of them
 * written twice. A reader finds a text of a record among its own, or the last so many before these.
 */
export const rememberedTexts = 8_192

export interface SegmentPaths {
  readonly lines: string
  readonly overflow: string
}

export class OpenSegment {
  /** The sequence number of its first record. */
  readonly first: number
  /** Clock.elapsed() of its beginning. */
  readonly begunAt: number
  readonly #lines: AppendFile
  readonly #io: SegmentIo
  readonly #overflowPath: string
  #overflow: AppendFile | undefined
  readonly #texts = new Set<string>()
  #durable = false

  constructor(first: number, paths: SegmentPaths, begunAt: number, io: SegmentIo) {
    this.first = first
    this.begunAt = begunAt
    this.#io = io
    this.#overflowPath = paths.overflow
    this.#lines = new AppendFile(paths.lines, io)
  }

  /** In bytes, without the file beside it. */
  get size(): number {
    return this.#lines.size
  }

  get overflowSize(): number {
    return this.#overflow?.size ?? 0
  }

  /** Somebody waits until what it holds is on the disk. */
  get durable(): boolean {
    return this.#durable
  }

  get deleted(): boolean {
    return this.#lines.deleted || this.#overflow?.deleted === true
  }

  /** @throws when not all of it is written; then none of it is. */
  write(batch: Batch): void {
    const overflow = this.#overflow
    const before = overflow?.size ?? 0
    // An old piece that cannot be cut off must stop both files.
    overflow?.mend()
    const fresh = this.#fresh(batch.overflow)
    try {
      if (fresh.length > 0) this.#writeTexts(fresh)
      this.#lines.append(batch.bytes, batch.length)
    } catch (error) {
      if (fresh.length > 0) this.#overflow?.cutTo(before)
      // Some of these are there no more. Written twice is no harm.
      this.#texts.clear()
      throw error
    }
    this.#durable ||= batch.durable
  }

  /** Whether a file beside it has been begun. */
  get hasOverflow(): boolean {
    return this.#overflow !== undefined
  }

  async sync(): Promise<void> {
    this.#durable = false
    // Both, whatever comes of one: a closed file waits for its flush to end.
    const done = await Promise.allSettled([this.#lines.sync(), this.#overflow?.sync()])
    for (const result of done) if (result.status === 'rejected') throw result.reason
  }

  close(): void {
    this.#lines.close()
    this.#overflow?.close()
  }

  /** Those to be written, which count as written from here on. */
  #fresh(overflow: readonly PlacedText[]): readonly PlacedText[] {
    return overflow.filter(({ sha256 }) => {
      if (this.#texts.has(sha256)) return false
      if (this.#texts.size >= rememberedTexts) this.#texts.clear()
      this.#texts.add(sha256)
      return true
    })
  }

  #writeTexts(texts: readonly PlacedText[]): void {
    this.#overflow ??= new AppendFile(this.#overflowPath, this.#io)
    const lines = texts.map(
      ({ sequence, sha256, text }) =>
        `{"seq":${sequence},"sha256":"${sha256}","text":${quote(text)}}\n`,
    )
    const bytes = Buffer.from(lines.join(''))
    this.#overflow.append(bytes, bytes.length)
  }
}
