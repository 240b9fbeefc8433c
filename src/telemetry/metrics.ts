// The catalogue of metrics: every name, label and bucket, but for Vault's, in a registry of its own. Label
// values come from the configuration and from fixed lists only, never from what a client may choose:
// a client could otherwise make series without end. Ignorant of who counts and of who scrapes.
// Names: Prometheus' conventions for metric and label names.

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { type ApiMeter, createApiMeter } from './api-observer.ts'
import { type CheckpointMeter, createCheckpointMeter } from './checkpoint-observer.ts'
import { createJournalMeter, type JournalMeter } from './journal-metrics.ts'
import { createLeaseMetrics, type LeaseMetrics } from './lease-metrics.ts'
import { createLimitMeter, type LimitMeter } from './limit-metrics.ts'
import { createNotificationMeter, type NotificationMeter } from './notification-metrics.ts'
import { createSinkMeter, type SinkMeter } from './sink-metrics.ts'
import { Tally } from './tally.ts'
import { createVaultMeter, type VaultMeter } from './vault-metrics.ts'

export interface Metrics extends LimitMeter {
  /** What a client connection turned out to be. */
  connection(result: 'login' | 'cancel' | 'rejected' | 'silent'): void
  /** `reason` is one of access/'s reasons for refusing, or another word from a fixed list. */
  login(result: 'ok' | 'refused' | 'failed', reason: string): void
  sessionOpened(role: string, target: string): void
  sessionClosed(role: string, target: string): void
  /** `tag` is a command tag as the parser tells it, never the client's text. */
  statement(role: string, tag: string, decision: 'allow' | 'deny'): void
  /** From its record to the upstream's last word. */
  statementEnded(role: string, seconds: number): void
  /** A pinned setting was changed behind the policy's back. */
  tripped(role: string, setting: string): void
  cancel(result: 'sent' | 'idle' | 'held' | 'failed' | 'passed' | 'unknown' | 'limited'): void
  bytes(direction: 'to_client' | 'to_upstream', count: number): void
  /** `listener`: its address and port. The certificate that it shows from now on. */
  certificateLoaded(listener: string, expiresAt: number): void
  /** Its files have changed and cannot be used. */
  certificateFailed(listener: string): void
  /** `functions`: how many the target has, where it could be read. */
  catalogRead(
    target: string,
    result: 'changed' | 'unchanged' | 'failed',
    functions: number | undefined,
  ): void
  /** For the Vault client's observer. What concerns Vault is shown from this call on. */
  vault(): VaultMeter
  /** Shown from this call on, as Vault's. */
  notifications(): NotificationMeter
  /** Shown from this call on, as Vault's. `now`: milliseconds since the epoch. */
  sinks(now: () => number): SinkMeter
  /** Shown from this call on, as Vault's. */
  checkpoints(): CheckpointMeter
  /** For the API's observer. */
  api(): ApiMeter
  readonly journal: JournalMeter
  readonly leases: LeaseMetrics

  readonly contentType: string
  /** What a scrape answers. */
  text(): Promise<string>
}

const statementBuckets = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300,
]
/** How often a query string was known already, as sums since the start. */
export interface Memory {
  readonly hits: number
  readonly misses: number
}

export function createMetrics(version: string, memory: () => Memory): Metrics {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })

  new Gauge({
    name: 'pgwarden_build_info',
    help: 'Always 1; the labels tell what is running.',
    labelNames: ['version', 'node'],
    registers,
  }).set({ version, node: process.version }, 1)

  const connections = new Tally(
    registry,
    'pgwarden_connections_total',
    'Client connections by what they turned out to be.',
    ['result'],
  )
  const logins = new Tally(
    registry,
    'pgwarden_logins_total',
    'Logins by result and, where there was one, the true reason of a refusal.',
    ['result', 'reason'],
  )
  const sessions = new Gauge({
    name: 'pgwarden_sessions',
    help: 'Sessions open now.',
    labelNames: ['role', 'target'],
    registers,
  })
  const statements = new Tally(
    registry,
    'pgwarden_statements_total',
    'Statements decided, by command tag.',
    ['role', 'tag', 'decision'],
  )
  const durations = new Histogram({
    name: 'pgwarden_statement_duration_seconds',
    help: "From a statement's record to the end of its answer.",
    labelNames: ['role'],
    buckets: statementBuckets,
    registers,
  })
  const tripwires = new Tally(
    registry,
    'pgwarden_tripwires_total',
    'Sessions ended because a pinned setting was changed: something got round the policy.',
    ['role', 'setting'],
  )
  const cancels = new Tally(
    registry,
    'pgwarden_cancels_total',
    'Cancel requests by what became of them.',
    ['result'],
  )
  let counted: Memory = { hits: 0, misses: 0 }
  const lookups = new Counter({
    name: 'pgwarden_policy_lookups_total',
    help: 'Query strings looked up among those that were judged before.',
    labelNames: ['result'],
    registers,
    collect: () => {
      const { hits, misses } = memory()
      lookups.inc({ result: 'hit' }, hits - counted.hits)
      lookups.inc({ result: 'miss' }, misses - counted.misses)
      counted = { hits, misses }
    },
  })
  const bytes = new Tally(
    registry,
    'pgwarden_client_bytes_total',
    'Bytes relayed between clients and upstreams.',
    ['direction'],
  )
  const certificateExpiry = new Gauge({
    name: 'pgwarden_tls_certificate_expiry_timestamp_seconds',
    help: "When a listener's certificate expires, in Unix time.",
    labelNames: ['listener'],
    registers,
  })
  const certificateLoads = new Counter({
    name: 'pgwarden_tls_certificate_loads_total',
    help: "Changes of a listener's certificate files by what came of them.",
    labelNames: ['listener', 'result'],
    registers,
  })
  const catalogReads = new Counter({
    name: 'pgwarden_catalog_reads_total',
    help: "Reads of a target's catalog by what came of them.",
    labelNames: ['target', 'result'],
    registers,
  })
  const catalogFunctions = new Gauge({
    name: 'pgwarden_catalog_functions',
    help: "Functions in the last snapshot of a target's catalog.",
    labelNames: ['target'],
    registers,
  })
  const durationOf = new Map<string, Histogram.Internal<'role'>>()

  return {
    connection: (result) => connections.add(1, result),
    login: (result, reason) => logins.add(1, result, reason),
    sessionOpened: (role, target) => sessions.inc({ role, target }),
    sessionClosed: (role, target) => sessions.dec({ role, target }),
    statement: (role, tag, decision) => statements.add(1, role, tag, decision),
    statementEnded: (role, seconds) => {
      let duration = durationOf.get(role)
      if (duration === undefined) {
        duration = durations.labels(role)
        durationOf.set(role, duration)
      }
      duration.observe(seconds)
    },
    tripped: (role, setting) => tripwires.add(1, role, setting),
    cancel: (result) => cancels.add(1, result),
    bytes: (direction, count) => bytes.add(count, direction),
    certificateLoaded: (listener, expiresAt) => {
      certificateExpiry.set({ listener }, expiresAt / 1000)
      certificateLoads.inc({ listener, result: 'ok' })
      certificateLoads.inc({ listener, result: 'failed' }, 0)
    },
    certificateFailed: (listener) => certificateLoads.inc({ listener, result: 'failed' }),
    catalogRead: (target, result, functions) => {
      catalogReads.inc({ target, result })
      if (functions !== undefined) catalogFunctions.set({ target }, functions)
    },
    vault: () => createVaultMeter(registry),
    notifications: () => createNotificationMeter(registry),
    sinks: (now) => createSinkMeter(registry, now),
    checkpoints: () => createCheckpointMeter(registry),
    api: () => createApiMeter(registry),
    ...createLimitMeter(registry),
    journal: createJournalMeter(registry),
    leases: createLeaseMetrics(registry),
    contentType: registry.contentType,
    text: () => registry.metrics(),
  }
}
