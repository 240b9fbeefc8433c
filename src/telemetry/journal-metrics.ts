// The journal in numbers: what is written, how long it takes, what fails and what waits to be written.
// Ignorant of files.

import type { Registry } from 'prom-client'
import type { Definitions, LabelValues } from './definition.ts'
import { register } from './instruments.ts'

export const journalMetrics = {
  records: {
    type: 'counter',
    name: 'pgwarden_journal_records_total',
    help: 'Audit records stored.',
  },
  bytes: {
    type: 'counter',
    name: 'pgwarden_journal_bytes_total',
    help: 'Bytes of audit records stored.',
  },
  writes: {
    type: 'histogram',
    name: 'pgwarden_journal_write_duration_seconds',
    help: 'One write to the journal: everything that one turn of the event loop brought.',
    buckets: [
      0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.01, 0.05, 0.25, 1,
    ],
  },
  syncs: {
    type: 'histogram',
    name: 'pgwarden_journal_sync_duration_seconds',
    help: 'One flush of the journal to the disk, for roles with fsync: batch.',
    buckets: [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10],
  },
  failures: {
    type: 'counter',
    name: 'pgwarden_journal_failures_total',
    help: 'Writes to the journal that failed; statements waiting for them were refused.',
  },
  refused: {
    type: 'counter',
    name: 'pgwarden_journal_refused_statements_total',
    help: 'Statements that were not run because the journal did not take their records.',
    labels: [
      {
        name: 'cause',
        values: ['disk_full', 'io_error', 'read_only', 'forbidden', 'missing', 'other'],
      },
    ],
  },
  backlog: {
    type: 'gauge',
    name: 'pgwarden_journal_backlog_records',
    help: 'Audit records that are kept in memory because the journal cannot be written.',
  },
  lost: {
    type: 'counter',
    name: 'pgwarden_journal_lost_records_total',
    help: 'Audit records that could neither be written nor kept in memory; journal.lost counts them.',
  },
} as const satisfies Definitions

/** Fits the Journal's observer. */
export interface JournalMeter {
  wrote(records: number, bytes: number, ms: number): void
  synced(ms: number): void
  failed(waiting: number, error: unknown): void
  recovered(): void
  kept(records: number, lost: number): void
}

/** By the system's name for an error. */
const causes = new Map<unknown, Exclude<LabelValues<typeof journalMetrics.refused>[0], 'other'>>([
  ['ENOSPC', 'disk_full'],
  ['EDQUOT', 'disk_full'],
  ['EFBIG', 'disk_full'],
  ['EIO', 'io_error'],
  ['EROFS', 'read_only'],
  ['EACCES', 'forbidden'],
  ['EPERM', 'forbidden'],
  ['ENOENT', 'missing'],
])

export function createJournalMeter(
  registry: Registry,
): JournalMeter & { refused(statements: number, cause: unknown): void } {
  const { records, bytes, writes, syncs, failures, refused, backlog, lost } = register(
    registry,
    journalMetrics,
  )
  return {
    refused: (count, cause) => {
      const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
      refused.add(count, causes.get(code) ?? 'other')
    },
    wrote: (count, length, ms) => {
      records.add(count)
      bytes.add(length)
      writes.observe(ms / 1000)
    },
    synced: (ms) => syncs.observe(ms / 1000),
    failed: () => failures.add(1),
    recovered: () => undefined,
    kept: (count, more) => {
      backlog.set(count)
      lost.add(more)
    },
  }
}
