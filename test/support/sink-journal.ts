// A journal on the disk whose records a test sends somewhere, and a sink that takes them as the test says.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Journal } from '../../src/audit/journal.ts'
import type { Shipment } from '../../src/audit/outbox.ts'
import { systemClock } from '../../src/clock.ts'
import { JournalFiles } from '../../src/journal/files.ts'
import { JournalOutbox } from '../../src/journal/outbox.ts'
import { Positions } from '../../src/sinks/positions.ts'
import { Shipper, type ShipperOptions } from '../../src/sinks/shipper.ts'
import type { Sink } from '../../src/sinks/sink.ts'

export class SinkJournal {
  readonly directory = mkdtempSync(join(tmpdir(), 'pgwarden-sink-'))
  /** What a shipper said, in order. */
  readonly notes: string[] = []
  readonly failures: string[] = []
  recoveries = 0
  #journal: Journal | undefined
  #storage: { close(): void } | undefined
  #added = 0
  readonly #shippers: Shipper[] = []

  /** Opens it, again too: a start begins a segment. */
  open(segmentBytes = 1024 * 1024 * 1024): void {
    const options = { directory: this.directory, segmentBytes, segmentMs: 86_400_000 }
    const { storage, tip } = JournalFiles.open({ ...options, clock: systemClock })
    this.#storage = storage
    this.#journal = new Journal(storage, tip, systemClock)
  }

  close(): void {
    this.#storage?.close()
    this.#storage = undefined
  }

  /** So many records more. */
  async add(count: number, text = ''): Promise<void> {
    for (let n = 0; n < count; n += 1) {
      this.#added += 1
      await this.#journal?.record(`"type":"test","number":${this.#added},"text":"${text}"`)
    }
  }

  /** The number of the last record stored. */
  get stored(): number {
    return this.#journal?.tip.sequence ?? 0
  }

  ship(
    sink: Sink,
    more: Partial<ShipperOptions> & { readonly name?: string; readonly upTo?: () => number } = {},
  ): Shipper {
    const { name = 'siem', upTo = () => this.stored, ...options } = more
    const { directory } = this
    const shipper = new Shipper({
      sink,
      outbox: new JournalOutbox({ directory, clock: systemClock, stored: upTo, everyMs: 10 }),
      positions: Positions.of(directory, name),
      clock: systemClock,
      observer: {
        sent: () => undefined,
        failed: (why) => void this.failures.push(why),
        recovered: () => {
          this.recoveries += 1
        },
        note: (message) => void this.notes.push(message),
      },
      pollMs: 5,
      keepMs: 10,
      pauseMs: () => 5,
      ...options,
    })
    shipper.start()
    this.#shippers.push(shipper)
    return shipper
  }

  async end(): Promise<void> {
    for (const shipper of this.#shippers) await shipper.stop(100)
    this.close()
    rmSync(this.directory, { recursive: true, force: true })
  }
}

export class MemorySink implements Sink {
  /** Sequence numbers, batch by batch. */
  readonly batches: (readonly number[])[] = []
  readonly taken: Shipment[] = []
  /** Asked before each batch; throws what the receiver would. */
  before: (batch: readonly Shipment[]) => void | Promise<void> = () => undefined

  get sequences(): readonly number[] {
    return this.taken.map(({ sequence }) => sequence)
  }

  async send(batch: readonly Shipment[]): Promise<void> {
    await this.before(batch)
    this.batches.push(batch.map(({ sequence }) => sequence))
    this.taken.push(...batch)
  }

  async close(): Promise<void> {}
}

/** 1 to n. */
export function upTo(n: number): readonly number[] {
  return Array.from({ length: n }, (_, at) => at + 1)
}
