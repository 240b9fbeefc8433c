// What sinks go through: counted, and said in the log, trouble once when it begins and once when it is over.
// Ignorant of what is sent, and how.

import type { Log } from './log.ts'
import type { SinkMeter } from './sink-metrics.ts'

interface SinkState {
  readonly backlog: { readonly records: number; readonly bytes: number }
  readonly oldestUnsentAt: number | undefined
}

interface SinkObserver {
  report(
    sink: string,
    sent: { readonly records: number; readonly bytes: number },
    state: SinkState,
  ): void
  failed(sink: string, why: string): void
  recovered(sink: string): void
  note(sink: string, message: string): void
}

export function sinkObserver(meter: SinkMeter, log: Log, clock: { now(): number }): SinkObserver {
  const failing = new Set<string>()
  return {
    report: (sink, { records, bytes }, { backlog, oldestUnsentAt }) => {
      meter.sent(sink, records, bytes)
      if (records > 0) meter.succeeded(sink, clock.now())
      meter.lags(sink, backlog.records, backlog.bytes)
      meter.waits(sink, oldestUnsentAt)
    },
    failed: (sink, why) => {
      if (!failing.has(sink)) {
        log.warn({ sink, why }, 'a sink does not take audit records; they wait in the journal')
      }
      failing.add(sink)
      meter.failed(sink)
    },
    recovered: (sink) => {
      if (failing.delete(sink)) log.info({ sink }, 'the sink takes audit records again')
    },
    note: (sink, message) => log.warn({ sink, note: message }, 'a sink of audit records'),
  }
}
