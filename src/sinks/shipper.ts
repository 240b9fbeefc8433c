// Brings one sink what the journal holds: batch after batch, in the order of each chain, each until it is
// taken, however long that takes. What waits does so in the journal, and here no more than one batch; of
// another sink's trouble it knows nothing. Ignorant of what a sink does, and of how records are stored.

import type { Outbox, Outgoing } from '../audit/outbox.ts'
import type { Clock } from '../clock.ts'
import { pause } from '../waiting.ts'
import { Lane } from './lane.ts'
import type { Positions } from './positions.ts'
import { Settling, type Taken } from './settling.ts'
import { type BatchLimits, type Sink, SinkProblem } from './sink.ts'

interface ShipperObserver {
  sent(records: number, bytes: number): void
  /** It will be tried again. */
  failed(why: string): void
  /** The first success after failures. */
  recovered(): void
  /** What somebody should know: records that are sent again, or that are not there any more. */
  note(message: string): void
}

export interface ShipperOptions {
  readonly sink: Sink
  readonly outbox: Outbox
  readonly positions: Positions
  readonly observer: ShipperObserver
  readonly clock: Clock
  readonly limits?: BatchLimits
  /** How long a record waits at most to be sent with others. */
  readonly pollMs?: number
  /** How often positions are written. */
  readonly keepMs?: number
  readonly pauseMs?: (tries: number) => number
}

/** What is known of a sink from outside. */
export interface ShipperState {
  readonly backlog: { readonly records: number; readonly bytes: number }
  /** Of the oldest record that waits, in milliseconds since the epoch. */
  readonly oldestUnsentAt: number | undefined
  /** For each chain, the last record that is on the disk as sent. */
  readonly shipped: ReadonlyMap<string, number>
}

const usualLimits: BatchLimits = { records: 500, bytes: 1024 * 1024 }
const damagedPauseMs = 30_000

export class Shipper {
  readonly #options: ShipperOptions
  readonly #limits: BatchLimits
  readonly #lanes = new Map<string, Lane>()
  readonly #settling: Settling | undefined
  /** No new attempts and pauses; then none at all. */
  readonly #draining = new AbortController()
  readonly #stopping = new AbortController()
  /** Gathered and not taken yet. */
  #pending: readonly Outgoing[] = []
  #oldestUnsent: string | undefined
  #tries = 0
  #keeping: NodeJS.Timeout | undefined
  #cannotKeep = false
  #running: Promise<void> | undefined

  constructor(options: ShipperOptions) {
    this.#options = options
    this.#limits = options.limits ?? usualLimits
    const { settleMs } = options.sink
    if (settleMs !== undefined) this.#settling = new Settling(settleMs, options.clock)
  }

  start(): void {
    const { positions, observer, keepMs = 1_000 } = this.#options
    if (positions.note !== undefined) observer.note(positions.note)
    this.#keeping ??= setInterval(() => this.#keep(), keepMs)
    this.#running ??= this.#run()
  }

  /** Sends what is there already, for so long and as far as the sink takes it, and keeps its positions. */
  async stop(withinMs: number): Promise<void> {
    this.#draining.abort()
    const limit = setTimeout(() => this.#stopping.abort(), withinMs)
    await this.#running
    clearTimeout(limit)
    clearInterval(this.#keeping)
    this.#keep()
    await this.#options.sink.close()
  }

  get state(): ShipperState {
    const { outbox, positions } = this.#options
    const backlog = { records: 0, bytes: 0 }
    for (const chain of outbox.chains()) {
      const { records, bytes } = outbox.backlog(chain, this.#lane(chain).sent)
      backlog.records += records
      backlog.bytes += bytes
    }
    const since = this.#oldestUnsent
    return {
      backlog,
      oldestUnsentAt: since === undefined ? undefined : Date.parse(since),
      shipped: positions.kept,
    }
  }

  async #run(): Promise<void> {
    const { signal } = this.#draining
    while (!this.#stopping.signal.aborted) {
      try {
        const isNews = await this.#round()
        if (isNews) continue
        if (signal.aborted) return
        await pause(this.#options.pollMs ?? 50, signal)
      } catch (error) {
        if (!(await this.#failed(error))) return
      }
    }
  }

  /** A batch of each chain, or what is left of the round that failed. Whether there was anything to send. */
  async #round(): Promise<boolean> {
    let isNews = await this.#deliver()
    for (const chain of this.#options.outbox.chains()) {
      this.#pending = await this.#gather(this.#lane(chain))
      isNews = (await this.#deliver()) || isNews
    }
    if (!isNews && this.#settling?.isDue === true) {
      // Nothing to send: but has the connection lived on?
      await this.#options.sink.send([], this.#stopping.signal)
      this.#settle()
    }
    return isNews
  }

  async #deliver(): Promise<boolean> {
    const batch = this.#pending
    const last = batch.at(-1)
    if (last === undefined) return false
    this.#oldestUnsent = batch[0]?.shipment.time
    const shipments = batch.map(({ shipment }) => shipment)
    await this.#options.sink.send(shipments, this.#stopping.signal)
    this.#pending = []
    this.#oldestUnsent = undefined
    const lane = this.#lane(last.shipment.chain)
    lane.sent = last.behind
    const taken = { chain: lane.chain, position: last.behind }
    this.#settling?.add(taken, batch[0]?.shipment.time)
    this.#settle(taken)
    const bytes = shipments.reduce((sum, { line }) => sum + line.length + 1, 0)
    this.#options.observer.sent(batch.length, bytes)
    if (this.#tries > 0) this.#options.observer.recovered()
    this.#tries = 0
    return true
  }

  /** What has arrived for certain: without a time of settling, what was just taken. */
  #settle(...taken: readonly Taken[]): void {
    const arrived = this.#settling?.arrived() ?? taken
    for (const { chain, position } of arrived) this.#options.positions.set(chain, position)
  }

  async #gather(lane: Lane): Promise<readonly Outgoing[]> {
    const { clock, observer, outbox, positions } = this.#options
    if (clock.elapsed() < lane.restsUntil) return []
    try {
      const note = await lane.open(outbox)
      if (note !== undefined) {
        // Or retention would take what stands there now for sent.
        positions.forget(lane.chain)
        observer.note(note)
      }
      const { batch, gap } = await lane.gather(this.#limits)
      if (gap !== undefined) observer.note(gap)
      return batch
    } catch (error) {
      // One chain that cannot be read must not keep the others from being sent.
      lane.backTo(lane.sent)
      lane.restsUntil = clock.elapsed() + damagedPauseMs
      observer.note(`the chain ${lane.chain} cannot be read, and will be again: ${reason(error)}`)
      return []
    }
  }

  /** Whether to try again. */
  async #failed(error: unknown): Promise<boolean> {
    const { observer, pauseMs = growingPause } = this.#options
    if (this.#stopping.signal.aborted) return false
    observer.failed(reason(error))
    this.#goBack()
    if (this.#draining.signal.aborted) return false
    const asked = error instanceof SinkProblem ? error.retryAfterMs : 0
    await pause(Math.max(pauseMs(this.#tries), asked), this.#draining.signal)
    this.#tries += 1
    return true
  }

  /** Where batches were taken that may not have arrived, they are sent again, and this one behind them. */
  #goBack(): void {
    const since = this.#settling?.forget()
    if (since === undefined) return
    this.#pending = []
    this.#oldestUnsent = since
    for (const [chain, lane] of this.#lanes) lane.backTo(this.#options.positions.get(chain))
  }

  #lane(chain: string): Lane {
    const known = this.#lanes.get(chain)
    if (known !== undefined) return known
    const lane = new Lane(chain, this.#options.positions.get(chain))
    this.#lanes.set(chain, lane)
    return lane
  }

  #keep(): void {
    try {
      this.#options.positions.keep()
      this.#cannotKeep = false
    } catch (error) {
      if (!this.#cannotKeep) {
        this.#options.observer.note(
          `its position cannot be written, and more will be sent again after a restart: ${reason(error)}`,
        )
      }
      this.#cannotKeep = true
    }
  }
}

/** 250 ms, 500 ms, up to 30 s; half more or less, so that what failed together comes back apart. */
function growingPause(tries: number): number {
  return Math.min(250 * 2 ** tries, 30_000) * (0.5 + Math.random())
}

/** A receiver has its say in it, and may have much to say. */
const longestReason = 500

function reason(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  return text.slice(0, longestReason)
}
