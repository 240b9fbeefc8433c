// What is known of each target's catalog, kept up to date: read at the start, every few minutes, and
// soon after something may have changed it. Ignorant of what is in a snapshot and of how it is read.

import { createHash } from 'node:crypto'
import type { Clock } from '../clock.ts'
import { Catalog, type CatalogSnapshot } from '../policy/catalog.ts'

export interface CatalogsOptions {
  /** Of the targets whose catalog is to be known: the longest time between two reads. */
  readonly refreshEveryMs: ReadonlyMap<string, number>
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
  readonly #targets: ReadonlyMap<string, WatchedCatalog>

  constructor(options: CatalogsOptions) {
    this.#targets = new Map(
      [...options.refreshEveryMs].map(([target, every]) => [
        target,
        new WatchedCatalog(target, every, options),
      ]),
    )
  }

  /** Begins to read, and returns at once. */
  start(): void {
    for (const target of this.#targets.values()) target.start()
  }

  /** Breaks off what is under way. */
  async stop(): Promise<void> {
    await Promise.all([...this.#targets.values()].map((target) => target.stop()))
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
  /** Resolves when there is nothing to wait for any more. */
  readonly first: Promise<void>
  readonly #target: string
  readonly #every: number
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
    this.#every = every
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
      this.#readIn(this.#every)
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
