// The part of the composition root that is about sinks: the thread that ships, started again when it dies, and
// what is known of it here: what is counted, said in the log, and may be deleted. Decides nothing.

import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { Journal } from '../audit/journal.ts'
import { textOf } from '../sinks/crossing.ts'
import { Positions } from '../sinks/positions.ts'
import { sinkObserver } from '../telemetry/sink-observer.ts'
import { chainsOfRun } from './chains.ts'
import type { Ships } from './journal.ts'
import type { Run } from './run.ts'
import { type FromThread, type ShippingData, stopWord } from './shipping-words.ts'

/** `.ts` from the sources, `.js` where they have been compiled. */
const threadFile = new URL(`./shipping-thread${extname(import.meta.url)}`, import.meta.url)

/** What it has been told to send at most, several times over: more than that would be a defect. */
const maxOldGenerationSizeMb = 256

/** How late the thread may hear that a record is stored. */
const markMs = 20
const stopMs = 3_000
const longestRestartMs = 30_000

type Surroundings = Pick<Run, 'part' | 'config' | 'log' | 'clock' | 'metrics'>

export class Shipping implements Ships {
  readonly #run: Surroundings
  readonly #observer: ReturnType<typeof sinkObserver>
  /** The chains of this run, this process's own first, and how far each is stored. */
  readonly #chains: readonly string[]
  readonly #marks: BigInt64Array<SharedArrayBuffer>
  /** For each sink, what it has of each chain. */
  readonly #shipped: Map<string, ReadonlyMap<string, number>>
  #journal: Journal | undefined
  #worker: Worker | undefined
  #marking: NodeJS.Timeout | undefined
  #restart: NodeJS.Timeout | undefined
  #deaths = 0

  constructor(run: Surroundings) {
    this.#run = run
    this.#chains = chainsOfRun(run.part)
    this.#marks = new BigInt64Array(new SharedArrayBuffer(8 * this.#chains.length))
    const { sinks } = run.config.audit
    this.#observer = sinkObserver(
      run.metrics.sinks(() => run.clock.now()),
      run.log,
      run.clock,
    )
    this.#shipped = new Map(sinks.map(({ name }) => [name, new Map()] as const))
  }

  /**
   * The last record of a chain that every sink has: what comes later must not be deleted. Infinity where
   * there is no sink. While the thread is down it is what was known last.
   */
  shippedUpTo(chain: string): number {
    const all = [...this.#shipped.values()].map((shipped) => shipped.get(chain) ?? 0)
    return Math.min(Number.POSITIVE_INFINITY, ...all)
  }

  /** To be called with the journal open: nobody else sends then. */
  start(journal: Journal): void {
    if (this.#shipped.size === 0) return
    const { directory } = this.#run.config.journal
    for (const name of this.#shipped.keys()) {
      this.#shipped.set(name, Positions.of(directory, name).kept)
    }
    this.#journal = journal
    this.#tell()
    this.#marking = setInterval(() => this.#tell(), markMs)
    this.#marking.unref()
    this.#begin()
  }

  /** To be called when nothing is recorded any more: what is stored is sent, as far as sinks take it at once. */
  async stop(): Promise<void> {
    clearInterval(this.#marking)
    clearTimeout(this.#restart)
    const worker = this.#worker
    if (worker === undefined) return
    this.#tell()
    await new Promise<void>((resolve) => {
      const limit = setTimeout(resolve, stopMs)
      const done = (): void => {
        clearTimeout(limit)
        resolve()
      }
      worker.on('message', ({ type }: FromThread) => {
        if (type === 'stopped') done()
      })
      worker.on('exit', done)
      worker.postMessage(stopWord)
    })
    this.#worker = undefined
    await worker.terminate()
  }

  /** How far a chain that another process of the run writes is stored: no further is it read. */
  stored(chain: string, sequence: number): void {
    const at = this.#chains.indexOf(chain)
    if (at !== -1) Atomics.store(this.#marks, at, BigInt(sequence))
  }

  /** How far the thread may read. */
  #tell(): void {
    Atomics.store(this.#marks, 0, BigInt(this.#journal?.tip.sequence ?? 0))
  }

  #begin(): void {
    try {
      const workerData: ShippingData = {
        directory: this.#run.config.journal.directory,
        sinks: textOf(this.#run.config.audit.sinks),
        chains: this.#chains,
        stored: this.#marks.buffer,
      }
      const worker = new Worker(threadFile, {
        workerData,
        resourceLimits: { maxOldGenerationSizeMb },
      })
      this.#worker = worker
      worker.on('message', (words: FromThread) => this.#take(words))
      // Of what a thread says that was ended on purpose, or that has died already, nothing follows.
      const died = (error: unknown): void => {
        if (worker === this.#worker) this.#died(error)
      }
      worker.on('error', died)
      worker.on('exit', () => died(new Error('the shipping thread ended')))
    } catch (error) {
      // The system has no thread to give.
      this.#died(error)
    }
  }

  #died(error: unknown): void {
    this.#worker = undefined
    const restartMs = Math.min(1_000 * 2 ** this.#deaths, longestRestartMs)
    this.#deaths += 1
    this.#run.log.error(
      { err: error, restartMs },
      'the thread that sends records to sinks has died and will be started again',
    )
    this.#restart = setTimeout(() => this.#begin(), restartMs)
    this.#restart.unref()
  }

  #take(words: FromThread): void {
    switch (words.type) {
      case 'report':
        this.#deaths = 0
        this.#shipped.set(words.sink, words.state.shipped)
        this.#observer.report(words.sink, words.sent, words.state)
        return
      case 'failed':
        this.#observer.failed(words.sink, words.why)
        return
      case 'recovered':
        this.#observer.recovered(words.sink)
        return
      case 'note':
        this.#observer.note(words.sink, words.message)
        return
      case 'stopped':
        return
    }
  }
}
