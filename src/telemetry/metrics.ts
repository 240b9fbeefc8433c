// All that is measured, in a registry of its own: each subject declares its metrics and has a meter to count
// them with (definition.ts, instruments.ts); catalogue.ts lists them all. Label values come from the configuration
// and from fixed lists only: a client could otherwise make series without end. Ignorant of who counts and of
// who scrapes.

import { AggregatorRegistry, collectDefaultMetrics, Registry } from 'prom-client'
import type { Clock } from '../clock.ts'
import { type ApiMeter, createApiMeter } from './api-observer.ts'
import { type CheckpointMeter, createCheckpointMeter } from './checkpoint-observer.ts'
import {
  createDeskMeter,
  createStoreMeter,
  type DeskMeter,
  type StoreConnections,
} from './desk-metrics.ts'
import { register } from './instruments.ts'
import { createJournalMeter, type JournalMeter } from './journal-metrics.ts'
import { createLeaseMetrics, type LeaseMetrics } from './lease-metrics.ts'
import { createLimitMeter, type LimitMeter } from './limit-metrics.ts'
import { createNotificationMeter, type NotificationMeter } from './notification-metrics.ts'
import { buildMetrics, misnamed } from './process-metrics.ts'
import { createReloadMeter, type ReloadMeter } from './reload-observer.ts'
import { createSessionMeter, type SessionMeter } from './session-metrics.ts'
import { createSinkMeter, type SinkMeter } from './sink-metrics.ts'
import { createStatementMeter, type Memory, type StatementMeter } from './statement-metrics.ts'
import {
  type CatalogMeter,
  type CertificateMeter,
  createCertificateMeter,
  createTargetMeter,
  type UpstreamMeter,
} from './target-metrics.ts'
import { createVaultMeter, type VaultMeter } from './vault-metrics.ts'
import { createWorkerMeter, type WorkerMeter } from './worker-observer.ts'

/** All metrics with their values now, as plain data: it can be sent to another process. */
export type Snapshot = Awaited<ReturnType<Registry['getMetricsAsJSON']>>

export interface Metrics
  extends SessionMeter,
    StatementMeter,
    LimitMeter,
    CertificateMeter,
    CatalogMeter,
    UpstreamMeter {
  /** So many, because the journal did not take their records. */
  statementsRefused(count: number, cause: unknown): void
  /** From here on it waits for its sessions to end. */
  draining(): void
  readonly journal: JournalMeter
  readonly leases: LeaseMetrics
  // What follows is shown from the call on: where there is no Vault, a gauge at 0 would look like an outage.
  vault(): VaultMeter
  notifications(): NotificationMeter
  /** `now`: milliseconds since the epoch. */
  sinks(now: () => number): SinkMeter
  checkpoints(): CheckpointMeter
  api(): ApiMeter
  workers(): WorkerMeter
  desk(countPending: () => Promise<number>, clock: Clock): DeskMeter
  /** Asked at each scrape. */
  store(connections: () => StoreConnections): void
  /** `now`: milliseconds since the epoch. */
  reloads(now: () => number): ReloadMeter

  readonly contentType: string
  /** What a scrape answers. */
  text(): Promise<string>
  /** The same for `textOf`, to be shown together with that of other processes. */
  snapshot(): Promise<Snapshot>
}

/** `worker`: a label that all series have, where several processes are shown as one and must be told apart. */
export function createMetrics(version: string, lookups: () => Memory, worker?: string): Metrics {
  const registry = new Registry()
  if (worker !== undefined) registry.setDefaultLabels({ worker })
  collectDefaultMetrics({ register: registry })
  for (const name of misnamed) registry.removeSingleMetric(name)
  const { info, draining } = register(registry, buildMetrics)
  info.set(1, version, process.version)
  draining.set(0)
  const journal = createJournalMeter(registry)
  return {
    ...createSessionMeter(registry),
    ...createStatementMeter(registry, lookups),
    ...createLimitMeter(registry),
    ...createCertificateMeter(registry),
    ...createTargetMeter(registry),
    draining: () => draining.set(1),
    journal,
    statementsRefused: journal.refused,
    leases: createLeaseMetrics(registry),
    vault: () => createVaultMeter(registry),
    notifications: () => createNotificationMeter(registry),
    sinks: (now) => createSinkMeter(registry, now),
    checkpoints: () => createCheckpointMeter(registry),
    api: () => createApiMeter(registry),
    workers: () => createWorkerMeter(registry),
    desk: (countPending, clock) => createDeskMeter(registry, countPending, clock),
    store: (connections) => createStoreMeter(registry, connections),
    reloads: (now) => createReloadMeter(registry, now),
    contentType: registry.contentType,
    text: () => registry.metrics(),
    snapshot: () => registry.getMetricsAsJSON(),
  }
}

/** What a scrape answers of several processes, whose series differ by `worker` and so are all kept as they are. */
export function textOf(snapshots: readonly Snapshot[]): Promise<string> {
  const kept = snapshots.map((metrics) =>
    metrics.map((metric) => ({ ...metric, aggregator: 'first' })),
  )
  return AggregatorRegistry.aggregate(kept).metrics()
}
