// How the workers of a run fare: how many serve, how often one ended that should not have. Shown by a
// supervisor only. Ignorant of processes.

import type { Registry } from 'prom-client'
import type { Definitions } from './definition.ts'
import { register } from './instruments.ts'
import type { Log } from './log.ts'

export const workerMetrics = {
  workers: {
    type: 'gauge',
    name: 'pgwarden_workers',
    help: 'Processes that serve clients, by whether they do already.',
    labels: [{ name: 'state', values: ['running', 'starting'] }],
    note: 'One that waits to be replaced is `starting`.',
  },
  deaths: {
    type: 'counter',
    name: 'pgwarden_worker_deaths_total',
    help: 'Workers that ended without being told to, each with its sessions.',
  },
  unanswered: {
    type: 'counter',
    name: 'pgwarden_worker_unanswered_scrapes_total',
    help: 'Scrapes from which the metrics of a worker are missing, because it did not answer.',
    note: 'Within two seconds.',
  },
} as const satisfies Definitions

interface Counts {
  readonly running: number
  readonly starting: number
}

export interface WorkerMeter {
  died(): void
  unanswered(): void
  /** Asked for at each scrape. */
  counted(counts: () => Counts): void
}

export function createWorkerMeter(registry: Registry): WorkerMeter {
  const { workers, deaths, unanswered } = register(registry, workerMetrics)
  deaths.add(0)
  unanswered.add(0)
  return {
    died: () => deaths.add(1),
    unanswered: () => unanswered.add(1),
    counted: (counts) =>
      workers.onScrape(() => {
        const { running, starting } = counts()
        workers.set(running, 'running')
        workers.set(starting, 'starting')
      }),
  }
}

interface One {
  readonly number: number
  readonly pid: number | undefined
}

interface WorkerObserver {
  died(worker: One & { readonly how: string; readonly restartMs: number | undefined }): void
  hangs(worker: One & { readonly silentSeconds: number }): void
  replaced(worker: One): void
}

export function workerObserver(meter: WorkerMeter, log: Log): WorkerObserver {
  return {
    died: ({ number, ...how }) => {
      meter.died()
      log.error({ worker: number, ...how }, 'a worker has ended, and its sessions with it')
    },
    hangs: ({ number, ...how }) =>
      log.error({ worker: number, ...how }, 'a worker hangs, and is killed'),
    replaced: ({ number, pid }) => log.info({ worker: number, pid }, 'a worker has been replaced'),
  }
}
