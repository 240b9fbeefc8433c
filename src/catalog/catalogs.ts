// What is known of each target's catalog, kept up to date: read at the start, every few minutes, and
// soon after something may have changed it. Ignorant of what is in a snapshot and of how it is read.

import { createHash } from 'node:crypto'
import type { Clock } from '../clock.ts'
import { Catalog, type CatalogSnapshot } from '../policy/catalog.ts'

export interface CatalogsOptions {
  /** Rejects when `signal` is aborted. */
  readonly read: (target: string, signal: AbortSignal) => Promise<CatalogSnapshot>
  readonly clock: Clock
  /** Hears of reads that failed; they are tried again. */
  readonly onProblem: (target: string, error: unknown) => void
  /** `functions`: how many there are; undefined where nobody knows. */
  readonly meter: {
    catalogRead(
      target: string,
      result: 'changed' | 'unchanged' | 'failed',
      functions: number | undefined,
    ): void
  }
}

/** How long a session waits for a first snapshot before it begins without one. */
const firstWithin = 3_000
const readWithin = 60_000
/** From a change to the read; whatever else changes meanwhile is read with it. */
const soon = 200
/** At most a fifth of the time goes into reading, however often something changes. */
const restAfterRead = 4
const retryFrom = 1_000
const retryAtMost = 60_000

export class Catalogs {
  readonly #options: CatalogsOptions
  readonly #targets = new Map<string, WatchedCatalog>()
  /** Those that nobody asks any more, until they are still. */
  readonly #stopping = new Set<Promise<void>>()

  constructor(options: CatalogsOptions) {
    this.#options = options
  }

  /**
   * The targets whose catalog is to be known, with the longest time between two reads: what is new is read
   * from now on, what was known stays known, and the rest is forgotten. Returns at once. `others`: targets
   * that are another database than before, of which nothing is known any more.
   */
  watch(
    refreshEveryMs: ReadonlyMap<string, number>,
    others: ReadonlySet<string> = new Set(),
  ): void {
    for (const [target, watched] of this.#targets) {
      if (refreshEveryMs.has(target) && !others.has(target)) continue
      this.#targets.delete(target)
      const stopped = watched.stop().finally(() => this.#stopping.delete(stopped))
      this.#stopping.add(stopped)
    }
    for (const [target, every] of refreshEveryMs) {
      const watched = this.#targets.get(target)
      if (watched === undefined) {
        const added = new WatchedCatalog(target, every, this.#options)
        this.#targets.set(target, added)
        added.start()
      } else {
        watched.every = every
      }
    }
  }

  /** Breaks off what is under way. */
  async stop(): Promise<void> {
    this.watch(new Map())
    await Promise.all(this.#stopping)
  }

  /** The latest snapshot of a target: the same object until something in it is another. */
  of(target: string): Catalog | undefined {
    return this.#targets.get(target)?.catalog
  }

  /** Resolves when the first snapshot is there, or has failed, or takes too long. Never rejects. */
  async ready(target: string): Promise<void> {
    await this.#targets.get(target)?.first
  }

  /** Something may have changed the target's catalog: it is read again, soon. */
  changed(target: string): void {
    this.#targets.get(target)?.changed()
  }
}

class WatchedCatalog {
  catalog: Catalog | undefined
  /** The longest time between two reads, from the next one on. */
  every: number
  /** Resolves when there is nothing to wait for any more. */
  readonly first: Promise<void>
  readonly #target: string
  readonly #options: CatalogsOptions
  readonly #stopping = new AbortController()
  #firstIsOver: () => void = () => {}
  #digest: string | undefined
  /** For the next read. */
  #timer: NodeJS.Timeout | undefined
  #isDueSoon = false
  #reading: Promise<void> | undefined
  #changedMeanwhile = false
  #failures = 0
  /** By the clock: no read before, whatever changes. */
  #restUntil = 0

  constructor(target: string, every: number, options: CatalogsOptions) {
    this.#target = target
    this.every = every
    this.#options = options
    this.first = new Promise((resolve) => {
      this.#firstIsOver = resolve
    })
  }

  start(): void {
    setTimeout(this.#firstIsOver, firstWithin).unref()
    this.#read()
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('pgwarden is stopping'))
    clearTimeout(this.#timer)
    this.#firstIsOver()
    await this.#reading
  }

  changed(): void {
    if (this.#reading !== undefined) this.#changedMeanwhile = true
    // A target that cannot be read is asked again in a moment anyway, and not at every change.
    else if (this.#failures === 0) this.#readSoon()
  }

  #read(): void {
    this.#isDueSoon = false
    this.#changedMeanwhile = false
    this.#reading = this.#readOnce().finally(() => {
      this.#reading = undefined
      this.#firstIsOver()
      this.#scheduleNext()
    })
  }

  async #readOnce(): Promise<void> {
    const { clock, meter, onProblem, read } = this.#options
    const startedAt = clock.elapsed()
    const signal = AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(readWithin)])
    try {
      const snapshot = await read(this.#target, signal)
      const isNew = this.#keep(snapshot)
      this.#failures = 0
      meter.catalogRead(this.#target, isNew ? 'changed' : 'unchanged', snapshot.functions.length)
    } catch (error) {
      if (this.#stopping.signal.aborted) return
      this.#failures += 1
      meter.catalogRead(this.#target, 'failed', undefined)
      onProblem(this.#target, error)
    } finally {
      const now = clock.elapsed()
      this.#restUntil = now + restAfterRead * (now - startedAt)
    }
  }

  /** Judgements are remembered under their catalog: another object for the same would forget them all. */
  #keep(snapshot: CatalogSnapshot): boolean {
    const digest = createHash('sha256').update(JSON.stringify(snapshot)).digest('base64')
    if (digest === this.#digest) return false
    this.#digest = digest
    this.catalog = Catalog.of(snapshot)
    return true
  }

  #scheduleNext(): void {
    if (this.#failures > 0) {
      const pause = retryFrom * 2 ** Math.min(this.#failures - 1, 10)
      this.#readIn(Math.min(pause, retryAtMost))
    } else if (this.#changedMeanwhile) {
      this.#readSoon()
    } else {
      this.#readIn(this.every)
    }
  }

  /** Never moves a read that is due soon already: changes without end must not put it off. */
  #readSoon(): void {
    if (this.#isDueSoon) return
    this.#isDueSoon = true
    this.#readIn(Math.max(soon, this.#restUntil - this.#options.clock.elapsed()))
  }

  #readIn(ms: number): void {
    clearTimeout(this.#timer)
    if (this.#stopping.signal.aborted) return
    this.#timer = setTimeout(() => this.#read(), ms)
    this.#timer.unref()
  }
}
