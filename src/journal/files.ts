// The journal's storage: lines into segment files, one positional write for a batch. A write that
// fails leaves nothing of itself behind; a process that died leaves at most half a line, which the next
// one cuts off and records. What is written survives kill -9 (the page cache is the kernel's), not the
// loss of power. Ignorant of records, except the one that opens a segment.

import { hash } from 'node:crypto'
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  truncateSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { genesisHash, lineHead, readSeal, seal, sealedLine } from '../audit/chain.ts'
import type { JournalStorage, Tip } from '../audit/journal.ts'
import { type JournalOpen, journalOpenRecord } from '../audit/record.ts'
import type { Clock } from '../clock.ts'
import { Failure } from '../errors.ts'
import { lastLines } from './lines.ts'
import { type ChainLock, lockChain } from './lock.ts'
import { listSegments, segmentPath } from './segments.ts'

/** The two calls that can fail at any time while statements run. */
export interface SegmentIo {
  write(fd: number, bytes: Buffer, offset: number, length: number, position: number): number
  truncate(fd: number, length: number): void
}

const segmentIo: SegmentIo = { write: writeSync, truncate: ftruncateSync }

export interface JournalFilesOptions {
  readonly directory: string
  /** A segment that has reached this size is followed by another. */
  readonly segmentBytes: number
  readonly clock: Clock
  /** Lower-case letters, digits and hyphens. One process writes one chain. */
  readonly chain?: string
  readonly io?: SegmentIo
}

/** What half a line left by a dead process came to. */
type Recovered = NonNullable<JournalOpen['recovered']>

export interface OpenJournal {
  readonly storage: JournalFiles
  readonly tip: Tip
  readonly recovered: Recovered | undefined
}

export class JournalFiles implements JournalStorage {
  readonly #directory: string
  readonly #chain: string
  readonly #segmentBytes: number
  readonly #io: SegmentIo
  readonly #lock: ChainLock
  #fd: number
  #offset = 0
  /** Half a batch may stand behind #offset. */
  #torn = false

  private constructor(options: JournalFilesOptions, chain: string, lock: ChainLock, fd: number) {
    this.#directory = options.directory
    this.#chain = chain
    this.#segmentBytes = options.segmentBytes
    this.#io = options.io ?? segmentIo
    this.#lock = lock
    this.#fd = fd
  }

  /**
   * Takes the chain's lock, finds its end, mends it if a process died there, and begins a new segment.
   * Throws a Failure for the operator when the directory cannot be used or another process writes there.
   */
  static open(options: JournalFilesOptions): OpenJournal {
    const { directory, chain = 'main' } = options
    try {
      mkdirSync(directory, { recursive: true, mode: 0o700 })
      const lock = lockChain(directory, chain)
      let release = () => lock.release()
      try {
        const { tip, recovered } = recoverTip(directory, chain)
        const fd = createSegment(segmentPath(directory, chain, tip.sequence + 1))
        const storage = new JournalFiles(options, chain, lock, fd)
        release = () => storage.close()
        return { storage, tip: storage.#begin(tip, options.clock, recovered), recovered }
      } catch (error) {
        release()
        throw error
      }
    } catch (error) {
      throw error instanceof Failure ? error : unusable(directory, error)
    }
  }

  /** An opening record is due when the next write goes to a new segment, or to a still empty one. */
  opening(): string | undefined {
    if (this.#offset > 0 && this.#offset < this.#segmentBytes) return undefined
    return journalOpenRecord({ chain: this.#chain, reason: 'rotation', recovered: undefined })
  }

  write(lines: Buffer, length: number): void {
    this.#mend()
    if (this.#offset >= this.#segmentBytes) this.#rotate(firstSequence(lines))
    try {
      for (let done = 0; done < length; ) {
        const position = this.#offset + done
        const wrote = this.#io.write(this.#fd, lines, done, length - done, position)
        if (wrote === 0) throw new Error('the file takes no more bytes')
        done += wrote
      }
    } catch (error) {
      this.#torn = true
      try {
        this.#mend()
      } catch {
        // Tried again before the next write, which fails if this does.
      }
      throw error
    }
    this.#offset += length
  }

  /** Releases file and lock. Flush the Journal first. */
  close(): void {
    closeSync(this.#fd)
    this.#lock.release()
  }

  /** Writes the record that begins this process's part of the chain. */
  #begin(tip: Tip, clock: Clock, recovered: Recovered | undefined): Tip {
    const sequence = tip.sequence + 1
    const time = new Date(clock.now()).toISOString()
    const fields = journalOpenRecord({ chain: this.#chain, reason: 'start', recovered })
    const head = lineHead(sequence, time, fields)
    const digest = seal(tip.hash, head)
    const line = Buffer.from(sealedLine(head, digest))
    this.write(line, line.length)
    return { sequence, hash: digest }
  }

  #rotate(first: number): void {
    const fd = createSegment(segmentPath(this.#directory, this.#chain, first))
    closeSync(this.#fd)
    this.#fd = fd
    this.#offset = 0
  }

  #mend(): void {
    if (!this.#torn) return
    this.#io.truncate(this.#fd, this.#offset)
    this.#torn = false
  }
}

/** Exclusive: a segment that is already there belongs to another writer, and is never overwritten. */
function createSegment(path: string): number {
  return openSync(path, 'wx', 0o600)
}

function firstSequence(lines: Buffer): number {
  const lineFeed = lines.indexOf(0x0a)
  const first = readSeal(lines.subarray(0, lineFeed))
  if (first === undefined) throw new Error('what is to be written does not begin with a record')
  return first.sequence
}

/** The end of the chain on disk. Cuts off what a dying process left behind the last whole line. */
function recoverTip(
  directory: string,
  chain: string,
): { readonly tip: Tip; readonly recovered: Recovered | undefined } {
  let recovered: Recovered | undefined
  const segments = listSegments(directory).filter((segment) => segment.chain === chain)
  for (const segment of segments.reverse()) {
    const { lines, end, torn } = lastLines(segment.path, 1)
    if (torn.length > 0) {
      recovered = { bytesCut: torn.length, sha256: hash('sha256', torn, 'hex') }
      truncateSync(segment.path, end)
    }
    const line = lines[0]
    if (line === undefined) {
      // Created, and its process died or its disk was full before the first line.
      unlinkSync(segment.path)
      continue
    }
    const tip = readSeal(line)
    if (tip === undefined) throw damaged(segment.path, directory)
    return { tip, recovered }
  }
  return { tip: { sequence: 0, hash: genesisHash }, recovered }
}

function damaged(path: string, directory: string): Failure {
  return new Failure('invalid_configuration', {
    message: `the audit journal is damaged: the last line of ${path} is not an audit record`,
    hint: `Keep the directory as it is for whoever investigates, see "pgwarden audit verify ${directory}", and start with another journal directory.`,
  })
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
