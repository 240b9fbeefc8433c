// The segment that is being written, and beside it the file of texts that were too long for their records.
// Both take a batch or neither does. A text stands there before the line that names it, once in a segment.
// Ignorant of chains.

import { quote } from '../audit/json.ts'
import type { Batch, PlacedText } from '../audit/storage.ts'
import { AppendFile, type SegmentIo } from './append-file.ts'

/** So many hashes are remembered; who sends more different long texts has some of them written twice. */
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
      throw error
    }
    for (const { sha256 } of fresh) this.#remember(sha256)
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

  #fresh(overflow: readonly PlacedText[]): readonly PlacedText[] {
    if (overflow.length === 0) return overflow
    const found = new Map<string, PlacedText>()
    for (const text of overflow) {
      if (!this.#texts.has(text.sha256) && !found.has(text.sha256)) found.set(text.sha256, text)
    }
    return [...found.values()]
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

  #remember(sha256: string): void {
    if (this.#texts.size >= rememberedTexts) this.#texts.clear()
    this.#texts.add(sha256)
  }
}
