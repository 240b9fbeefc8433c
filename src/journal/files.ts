// The journal's storage: a chain's lines into one segment after the other. What is written survives kill -9,
// because the page cache is the kernel's; what was synced survives the loss of power too. A segment that
// cannot be trusted any more, or is gone, is given up for a new one. Ignorant of records, except those that
// begin and end a segment.

import { mkdirSync } from 'node:fs'
import { BatchBuffer } from '../audit/batch.ts'
import { mainChain } from '../audit/chain.ts'
import { type JournalOpen, journalOpenRecord, journalSealRecord } from '../audit/journal-record.ts'
import type { Batch, JournalStorage, Tip } from '../audit/storage.ts'
import { Timestamps } from '../audit/timestamp.ts'
import type { Clock } from '../clock.ts'
import { Failure } from '../errors.ts'
import { type SegmentIo, syncDirectory, systemIo } from './append-file.ts'
import { type ChainLock, lockChain } from './lock.ts'
import { OpenSegment } from './open-segment.ts'
import { type Recovered, recoverTip } from './recovery.ts'
import { overflowPath, segmentPath } from './segments.ts'

export interface JournalFilesOptions {
  readonly directory: string
  /** A segment that has reached this size, or this age, is followed by another. */
  readonly segmentBytes: number
  readonly segmentMs?: number
  readonly clock: Clock
  /** Lower-case letters, digits and hyphens. One process writes one chain. */
  readonly chain?: string
  readonly io?: SegmentIo
  /** How long the disk has to confirm what was written. */
  readonly syncMs?: number
}

export interface OpenJournal {
  readonly storage: JournalFiles
  readonly tip: Tip
  readonly recovered: Recovered | undefined
}

/** Of long texts beside a segment. Readers refuse to inflate more than 4 GiB. */
const mostOverflowBytes = 1024 ** 3

/** A deleted file takes bytes as willingly as any: so often it is looked whether it is still there. */
const lookMs = 1_000

export class JournalFiles implements JournalStorage {
  readonly #options: JournalFilesOptions
  readonly #chain: string
  readonly #io: SegmentIo
  readonly #lock: ChainLock
  /** Undefined when the next write begins one. */
  #segment: OpenSegment | undefined
  /** Of ended segments, on their way to the disk. */
  readonly #ended = new Set<Promise<void>>()
  /** A file's name may not be on the disk yet. */
  #newNames = false
  #lookedAt = 0
  /** A flush that did not end in its time. */
  #stuck = false
  #closed = false

  private constructor(options: JournalFilesOptions, chain: string, lock: ChainLock) {
    this.#options = options
    this.#chain = chain
    this.#io = options.io ?? systemIo
    this.#lock = lock
  }

  /**
   * Takes the chain's lock, finds its end, mends it if a process died there, and begins a new segment.
   * Throws a Failure for the operator when the directory cannot be used or another process writes there.
   */
  static open(options: JournalFilesOptions): OpenJournal {
    const { directory, chain = mainChain } = options
    try {
      mkdirSync(directory, { recursive: true, mode: 0o700 })
      const storage = new JournalFiles(options, chain, lockChain(directory, chain))
      try {
        const { tip, recovered } = recoverTip(directory, chain, storage.#io)
        return { storage, tip: storage.#begin(tip, recovered), recovered }
      } catch (error) {
        storage.close()
        throw error
      }
    } catch (error) {
      throw error instanceof Failure ? error : unusable(directory, error)
    }
  }

  get full(): boolean {
    const segment = this.#segment
    if (segment === undefined) return false
    const { segmentBytes, segmentMs = Number.POSITIVE_INFINITY, clock } = this.#options
    return (
      segment.size >= segmentBytes ||
      segment.overflowSize >= mostOverflowBytes ||
      clock.elapsed() - segment.begunAt >= segmentMs
    )
  }

  /** A segment of nothing but its opening record is not ended. */
  seal(tip: Tip): string | undefined {
    const segment = this.#segment
    if (segment === undefined || tip.sequence <= segment.first) return undefined
    return journalSealRecord(tip.sequence + 1 - segment.first + 1)
  }

  /**
   * What is on the disk must have on the disk what came before it, or the loss of power would look like
   * a segment that somebody removed. So each is flushed, also where nobody waits for it.
   */
  end(): void {
    const segment = this.#segment
    if (segment === undefined) return
    this.#segment = undefined
    const flushed = segment.sync()
    segment.close()
    this.#ended.add(flushed)
    // One that fails stays, for whoever waits for the disk next.
    flushed.then(
      () => this.#ended.delete(flushed),
      () => undefined,
    )
  }

  opening(tip: Tip): string | undefined {
    if (this.#segment !== undefined && this.#segment.size > 0) return undefined
    return this.#opening('rotation', tip, undefined)
  }

  write(batch: Batch): void {
    if (this.#closed) throw new Error('the journal is closed')
    const segment = this.#present() ?? this.#create(batch.first)
    const had = segment.hasOverflow
    segment.write(batch)
    this.#newNames ||= segment.hasOverflow !== had
  }

  async sync(): Promise<void> {
    if (this.#closed) throw new Error('the journal is closed')
    if (this.#stuck) throw new Error('the disk has not confirmed an earlier write yet')
    try {
      await this.#inTime(this.#flush())
    } catch (error) {
      // After a failed flush the kernel may take the lost pages for clean, and the next flush of the same
      // file succeeds without them (fsync(2), "fsyncgate"): nothing more may be vouched for in it.
      this.#segment?.close()
      this.#segment = undefined
      throw error
    }
  }

  /** Releases files and lock. Close the Journal first. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#segment?.close()
    this.#segment = undefined
    this.#lock.release()
  }

  /** Writes the record that begins this process's part of the chain. */
  #begin(tip: Tip, recovered: Recovered | undefined): Tip {
    const batch = new BatchBuffer(tip)
    batch.begin(tip, false)
    const time = new Timestamps(this.#options.clock).now()
    batch.add({ fields: this.#opening('start', tip, recovered), time, overflow: undefined })
    this.write(batch)
    return batch.tip
  }

  #opening(reason: JournalOpen['reason'], tip: Tip, recovered: Recovered | undefined): string {
    return journalOpenRecord({ chain: this.#chain, reason, previous: tip.hash, recovered })
  }

  #create(first: number): OpenSegment {
    const { directory, clock } = this.#options
    const paths = {
      lines: segmentPath(directory, this.#chain, first),
      overflow: overflowPath(directory, this.#chain, first),
    }
    this.#segment = new OpenSegment(first, paths, clock.elapsed(), this.#io)
    this.#newNames = true
    return this.#segment
  }

  /** The segment that is being written. @throws when it has been deleted: then another is begun. */
  #present(): OpenSegment | undefined {
    const segment = this.#segment
    const now = this.#options.clock.elapsed()
    if (segment === undefined || now - this.#lookedAt < lookMs) return segment
    this.#lookedAt = now
    if (!segment.deleted) return segment
    segment.close()
    this.#segment = undefined
    throw new Error('the segment that is being written has been deleted')
  }

  async #flush(): Promise<void> {
    // All of it begins before the first wait: meanwhile this segment may be ended, and another begun.
    const ended = [...this.#ended]
    const done = Promise.all([
      this.#newNames ? syncDirectory(this.#options.directory) : undefined,
      this.#segment?.durable === true ? this.#segment.sync() : undefined,
      ...ended,
    ])
    this.#newNames = false
    try {
      await done
    } finally {
      for (const flushed of ended) this.#ended.delete(flushed)
    }
  }

  async #inTime(flushed: Promise<void>): Promise<void> {
    const { syncMs = 10_000 } = this.#options
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        this.#stuck = true
        reject(new Error(`the disk did not confirm a write within ${syncMs} ms`))
      }, syncMs)
    })
    try {
      const ended = flushed.finally(() => {
        this.#stuck = false
      })
      await Promise.race([ended, late])
    } finally {
      clearTimeout(timer)
    }
  }
}

const plainly: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EROFS: 'the file system is read-only',
  EACCES: 'this process has no permission to write there',
  EPERM: 'this process has no permission to write there',
  ENOTDIR: 'a part of the path is not a directory',
  EEXIST: 'a file of that name is in the way',
}

function unusable(directory: string, cause: unknown): Failure {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  return new Failure(
    'invalid_configuration',
    {
      message: `the audit journal cannot be written in ${directory}: ${plainly[code] ?? String(cause)}`,
      hint: 'Without a journal nothing is forwarded. Make the directory writable, or configure another one.',
    },
    { cause },
  )
}
