// The metrics of sinks. Sinks are the configuration's. Ignorant of what is sent.

import type { Registry } from 'prom-client'
import type { Definitions } from './definition.ts'
import { register } from './instruments.ts'

const labels = [{ name: 'sink', values: 'the sinks of the configuration' }] as const

export const sinkMetrics = {
  records: {
    type: 'counter',
    name: 'pgwarden_sink_records_total',
    help: 'Audit records that a sink has taken, those that were sent again included.',
    labels,
  },
  bytes: {
    type: 'counter',
    name: 'pgwarden_sink_bytes_total',
    help: 'Bytes of audit records that a sink has taken.',
    labels,
  },
  failures: {
    type: 'counter',
    name: 'pgwarden_sink_failures_total',
    help: 'Attempts to send to a sink that failed; each is repeated until it succeeds.',
    labels,
  },
  lagRecords: {
    type: 'gauge',
    name: 'pgwarden_sink_lag_records',
    help: 'Audit records in the journal that a sink does not have.',
    labels,
  },
  lagBytes: {
    type: 'gauge',
    name: 'pgwarden_sink_lag_bytes',
    help: 'Bytes of the journal, as they are on the disk, that a sink does not have.',
    labels,
    note: 'Of compressed segments fewer than were written.',
  },
  oldest: {
    type: 'gauge',
    name: 'pgwarden_sink_oldest_unsent_seconds',
    help: 'Age of the oldest audit record that waits for a sink; 0: none does.',
    labels,
    across: 'max',
    note: 'It grows also while the sending thread is down.',
  },
  lastSuccess: {
    type: 'gauge',
    name: 'pgwarden_sink_last_success_timestamp_seconds',
    help: 'When a sink last took records, in Unix time.',
    labels,
    across: 'max',
  },
} as const satisfies Definitions

export interface SinkMeter {
  sent(sink: string, records: number, bytes: number): void
  failed(sink: string): void
  lags(sink: string, records: number, bytes: number): void
  /** `since`: in milliseconds since the epoch, of the oldest record that waits; undefined: none does. */
  waits(sink: string, since: number | undefined): void
  succeeded(sink: string, at: number): void
}

/** `now`: milliseconds since the epoch. */
export function createSinkMeter(registry: Registry, now: () => number): SinkMeter {
  const { records, bytes, failures, lagRecords, lagBytes, oldest, lastSuccess } = register(
    registry,
    sinkMetrics,
  )
  const waiting = new Map<string, number | undefined>()
  // Asked for at each scrape: it grows also while nobody reports.
  oldest.onScrape(() => {
    for (const [sink, since] of waiting) {
      oldest.set(since === undefined ? 0 : Math.max(0, (now() - since) / 1_000), sink)
    }
  })
  return {
    sent: (sink, count, length) => {
      records.add(count, sink)
      bytes.add(length, sink)
      failures.add(0, sink)
    },
    failed: (sink) => failures.add(1, sink),
    lags: (sink, count, length) => {
      lagRecords.set(count, sink)
      lagBytes.set(length, sink)
    },
    waits: (sink, since) => waiting.set(sink, since),
    succeeded: (sink, at) => lastSuccess.set(at / 1_000, sink),
  }
}
