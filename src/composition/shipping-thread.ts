// A root of its own: the thread in which records leave for the sinks, so that no statement waits for one. Reads
// the journal's files, tells the other end what came of it, and decides nothing.

import { parentPort, workerData } from 'node:worker_threads'
import { systemClock } from '../clock.ts'
import { JournalOutbox } from '../journal/outbox.ts'
import { settingsIn } from '../sinks/crossing.ts'
import { openSink } from '../sinks/open.ts'
import { Positions } from '../sinks/positions.ts'
import { Shipper } from '../sinks/shipper.ts'
import type { FromThread, ShippingData } from './shipping-words.ts'

const reportMs = 1_000
/** For what is in the journal already when it is stopped. */
const drainMs = 2_000

function say(words: FromThread): void {
  parentPort?.postMessage(words)
}

interface Way {
  readonly name: string
  readonly shipper: Shipper
  /** What it did since the last report. */
  readonly done: { records: number; bytes: number }
}

function begin({ directory, sinks, chains, stored }: ShippingData): void {
  const marks = new BigInt64Array(stored)
  const placeOf = new Map(chains.map((chain, at) => [chain, at]))
  const outbox = new JournalOutbox({
    directory,
    clock: systemClock,
    // Of the chains that this run writes the stored end is known.
    stored: (chain) => {
      const at = placeOf.get(chain)
      return at === undefined ? Number.POSITIVE_INFINITY : Number(Atomics.load(marks, at))
    },
  })
  const ways = settingsIn(sinks).map((settings): Way => {
    const { name } = settings
    const done = { records: 0, bytes: 0 }
    const shipper = new Shipper({
      sink: openSink(settings, systemClock),
      outbox,
      positions: Positions.of(directory, name),
      clock: systemClock,
      observer: {
        sent: (records, bytes) => {
          done.records += records
          done.bytes += bytes
        },
        failed: (why) => say({ type: 'failed', sink: name, why }),
        recovered: () => say({ type: 'recovered', sink: name }),
        note: (message) => say({ type: 'note', sink: name, message }),
      },
    })
    return { name, shipper, done }
  })

  const reports = setInterval(() => ways.forEach(report), reportMs)
  for (const { shipper } of ways) shipper.start()
  // The only word there is for it: stop.
  parentPort?.once('message', () => {
    clearInterval(reports)
    void Promise.allSettled(ways.map((way) => stop(way))).then(() => say({ type: 'stopped' }))
  })
}

async function stop(way: Way): Promise<void> {
  await way.shipper.stop(drainMs)
  report(way)
}

function report({ name, shipper, done }: Way): void {
  const { records, bytes } = done
  done.records = 0
  done.bytes = 0
  say({ type: 'report', sink: name, sent: { records, bytes }, state: shipper.state })
}

begin(workerData as ShippingData)
