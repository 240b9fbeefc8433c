// The metrics of requests for access, and of the store that keeps them: how many wait for people, how long people
// take, and whether there are connections enough. Ignorant of who may decide what.

import type { Registry } from 'prom-client'
import type { Clock } from '../clock.ts'
import { unlessAborted } from '../waiting.ts'
import type { Definitions, LabelValues } from './definition.ts'
import { register } from './instruments.ts'

export const deskMetrics = {
  pending: {
    type: 'gauge',
    name: 'pgwarden_requests_pending',
    help: 'Requests for access that wait for a decision; NaN while the store does not say.',
    across: 'max',
    note: 'Asked for at a scrape, and not more often than every 5 s.',
  },
  decisions: {
    type: 'histogram',
    name: 'pgwarden_request_decision_seconds',
    help: 'From a request for access to what became of it.',
    labels: [{ name: 'outcome', values: ['approved', 'denied', 'withdrawn', 'expired'] }],
    buckets: [1, 10, 30, 60, 300, 900, 1800, 3600, 7200, 14400, 28800, 86400, 259200],
    note: 'Told by the process that wrote it down. What the rules approve by themselves takes no time.',
  },
} as const satisfies Definitions

export const storeMetrics = {
  connections: {
    type: 'gauge',
    name: 'pgwarden_store_connections',
    help: 'Connections to the store in use and at hand, and how many wait for one.',
    labels: [{ name: 'state', values: ['busy', 'idle', 'waiting'] }],
    note: '`waiting` for longer: the store is slow, or away.',
  },
} as const satisfies Definitions

/** What has been written down, at the desk or by the clock. */
interface Change {
  readonly type: string
  readonly request?: { readonly createdAt: number; readonly decidedAt: number | undefined }
}

export interface DeskMeter {
  changed(change: Change): void
}

const outcomes = new Map<string, LabelValues<typeof deskMetrics.decisions>[0]>([
  ['request.approved', 'approved'],
  ['request.denied', 'denied'],
  ['request.withdrawn', 'withdrawn'],
  ['request.expired', 'expired'],
])
const freshMs = 5_000
const limitMs = 1_000

/** `countPending` asks the store: not more often than every few seconds, and not waited for for long. */
export function createDeskMeter(
  registry: Registry,
  countPending: () => Promise<number>,
  clock: Clock,
): DeskMeter {
  const { pending, decisions } = register(registry, deskMetrics)
  let asked = Number.NEGATIVE_INFINITY
  pending.onScrape(async () => {
    if (clock.elapsed() - asked < freshMs) return
    asked = clock.elapsed()
    const limit = AbortSignal.timeout(limitMs)
    const count = unlessAborted(limit, countPending())
    pending.set(await count.catch(() => Number.NaN))
  })
  return {
    changed: ({ type, request }) => {
      const outcome = outcomes.get(type)
      if (outcome === undefined || request === undefined) return
      const endedAt = request.decidedAt ?? clock.now()
      decisions.observe(Math.max(0, endedAt - request.createdAt) / 1_000, outcome)
    },
  }
}

/** As the pool counts them. */
export interface StoreConnections {
  readonly busy: number
  readonly idle: number
  readonly waiting: number
}

export function createStoreMeter(registry: Registry, now: () => StoreConnections): void {
  const { connections } = register(registry, storeMetrics)
  connections.onScrape(() => {
    const { busy, idle, waiting } = now()
    connections.set(busy, 'busy')
    connections.set(idle, 'idle')
    connections.set(waiting, 'waiting')
  })
}
