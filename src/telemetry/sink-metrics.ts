// The metrics of sinks, part of the catalogue in metrics.ts. Sinks are the configuration's. Ignorant of what is
// sent.

import { Counter, Gauge, type Registry } from 'prom-client'

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
  const registers = [registry]
  const labelNames = ['sink'] as const
  const records = new Counter({
    name: 'pgwarden_sink_records_total',
    help: 'Audit records that a sink has taken, those that were sent again included.',
    labelNames,
    registers,
  })
  const bytes = new Counter({
    name: 'pgwarden_sink_bytes_total',
    help: 'Bytes of audit records that a sink has taken.',
    labelNames,
    registers,
  })
  const failures = new Counter({
    name: 'pgwarden_sink_failures_total',
    help: 'Attempts to send to a sink that failed; each is repeated until it succeeds.',
    labelNames,
    registers,
  })
  const lagRecords = new Gauge({
    name: 'pgwarden_sink_lag_records',
    help: 'Audit records in the journal that a sink does not have.',
    labelNames,
    registers,
  })
  const lagBytes = new Gauge({
    name: 'pgwarden_sink_lag_bytes',
    help: 'Bytes of the journal, as they are on the disk, that a sink does not have.',
    labelNames,
    registers,
  })
  const waiting = new Map<string, number | undefined>()
  const oldest = new Gauge({
    name: 'pgwarden_sink_oldest_unsent_seconds',
    help: 'Age of the oldest audit record that waits for a sink; 0: none does.',
    labelNames,
    registers,
    // Asked for at each scrape: it grows also while nobody reports.
    collect: () => {
      for (const [sink, since] of waiting) {
        oldest.set({ sink }, since === undefined ? 0 : Math.max(0, (now() - since) / 1_000))
      }
    },
  })
  const successes = new Gauge({
    name: 'pgwarden_sink_last_success_timestamp_seconds',
    help: 'When a sink last took records, in Unix time.',
    labelNames,
    registers,
  })
  return {
    sent: (sink, count, length) => {
      records.inc({ sink }, count)
      bytes.inc({ sink }, length)
      failures.inc({ sink }, 0)
    },
    failed: (sink) => failures.inc({ sink }),
    lags: (sink, count, length) => {
      lagRecords.set({ sink }, count)
      lagBytes.set({ sink }, length)
    },
    waits: (sink, since) => waiting.set(sink, since),
    succeeded: (sink, at) => successes.set({ sink }, at / 1_000),
  }
}
