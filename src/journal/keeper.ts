// What becomes of segments with time: the open one is ended when it is old, sealed ones are compressed, those
// past the retention are deleted, after a record that says so is on the disk. Works in the background, one
// thing at a time. Ignorant of what else is recorded.

import { statSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { journalRetiredRecord } from '../audit/journal-record.ts'
import type { Clock } from '../clock.ts'
import { syncDirectory } from './append-file.ts'
import { isGone } from './chain-reader.ts'
import { clearLeftovers, compress } from './compress.ts'
import { type OldSegment, olderThan } from './retention.ts'
import { listSegments, overflowPath, type Segment, segmentPath } from './segments.ts'

export interface KeptChain {
  readonly chain: string
  /** Resolves when it is on the disk. */
  record(fields: string): Promise<unknown>
}

export interface KeeperOptions {
  readonly directory: string
  readonly chains: readonly KeptChain[]
  readonly compress: boolean
  readonly retentionMs: number | undefined
  readonly clock: Clock
  /** The last record of a chain that has been sent wherever it must be. */
  readonly shippedUpTo: (chain: string) => number
  /** Ends the open segment when it is old. */
  readonly rotate: () => void
  readonly onProblem: (error: unknown) => void
  readonly everyMs?: number
  readonly graceMs?: number
}

/**
 * So long a segment must have been past the retention, by the clock that does not jump. A wall clock that is
 * wrong for a while, by a year say, would else delete the journal.
 */
const usualGraceMs = 60 * 60 * 1000
const usualEveryMs = 10_000
/** One record names them all, and has its bound. */
const mostAtOnce = 100

export class Keeper {
  readonly #options: KeeperOptions
  readonly #stopping = new AbortController()
  /** Of each chain, since when the segment that begins with a number has been past the retention. */
  readonly #oldSince = new Map<string, ReadonlyMap<number, number>>()
  #timer: NodeJS.Timeout | undefined
  #round: Promise<void> | undefined

  constructor(options: KeeperOptions) {
    this.#options = options
  }

  start(): void {
    const { directory, chains } = this.#options
    for (const { chain } of chains) clearLeftovers(directory, chain)
    this.#wait()
  }

  /** Gives up what it does, at once. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    clearTimeout(this.#timer)
    await this.#round
  }

  #wait(): void {
    const { everyMs = usualEveryMs } = this.#options
    this.#timer = setTimeout(() => {
      this.#round = this.round().then(() => {
        if (!this.#stopping.signal.aborted) this.#wait()
      })
    }, everyMs).unref()
  }

  /** Everything that is due now. Never rejects. */
  async round(): Promise<void> {
    const { chains, rotate, onProblem } = this.#options
    rotate()
    for (const chain of chains) {
      try {
        // First what frees space.
        await this.#retire(chain)
        await this.#compress(chain.chain)
      } catch (error) {
        if (!this.#stopping.signal.aborted) onProblem(error)
      }
    }
  }

  #segments(chain: string): readonly Segment[] {
    return listSegments(this.#options.directory).filter((segment) => segment.chain === chain)
  }

  /**
   * All but the last: its process, or the next one, goes on from there. One that is empty, because its first
   * write failed, would be removed then, so it is not the last.
   */
  #sealed(chain: string): readonly Segment[] {
    return this.#segments(chain)
      .filter(({ compressed, path }) => compressed || statSync(path).size > 0)
      .slice(0, -1)
  }

  async #compress(chain: string): Promise<void> {
    if (!this.#options.compress) return
    const { signal } = this.#stopping
    for (const { compressed, first, path } of this.#sealed(chain)) {
      if (compressed) continue
      await ifThere(compress(overflowPath(this.#options.directory, chain, first), signal))
      await compress(path, signal)
    }
  }

  async #retire({ chain, record }: KeptChain): Promise<void> {
    const { directory, retentionMs, clock, shippedUpTo } = this.#options
    if (retentionMs === undefined) return
    const before = clock.now() - retentionMs
    const old = await olderThan(before, this.#segments(chain), shippedUpTo(chain))
    const ripe = this.#ripe(chain, old).slice(0, mostAtOnce)
    if (ripe.length === 0 || this.#stopping.signal.aborted) return
    await record(journalRetiredRecord(ripe))
    // From the oldest on: whoever dies here leaves a chain without a hole.
    for (const { segment } of ripe) {
      for (const path of pathsOf(directory, segment)) await rm(path, { force: true })
    }
    await syncDirectory(directory)
  }

  /** Those that have been old for long enough. What is not old any more begins anew. */
  #ripe(chain: string, old: readonly OldSegment[]): readonly OldSegment[] {
    const { clock, graceMs = usualGraceMs } = this.#options
    const now = clock.elapsed()
    const before = this.#oldSince.get(chain)
    const since = new Map(old.map(({ first }) => [first, before?.get(first) ?? now]))
    this.#oldSince.set(chain, since)
    return old.filter(({ first }) => now - (since.get(first) ?? now) >= graceMs)
  }
}

function pathsOf(directory: string, { chain, first }: Segment): readonly string[] {
  const plain = [segmentPath(directory, chain, first), overflowPath(directory, chain, first)]
  return plain.flatMap((path) => [path, `${path}.gz`])
}

async function ifThere(work: Promise<void>): Promise<void> {
  try {
    await work
  } catch (error) {
    if (!isGone(error)) throw error
  }
}
