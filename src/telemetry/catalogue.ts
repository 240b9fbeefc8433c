// Every metric there is, by subject, in the order of the documentation: docs/metrics.md is written from this list,
// and a test holds it against what a process shows. Ignorant of numbers.

import { apiMetrics } from './api-observer.ts'
import { checkpointMetrics } from './checkpoint-observer.ts'
import type { Definitions } from './definition.ts'
import { deskMetrics, storeMetrics } from './desk-metrics.ts'
import { journalMetrics } from './journal-metrics.ts'
import { leaseMetrics } from './lease-metrics.ts'
import { limitMetrics } from './limit-metrics.ts'
import { notificationMetrics } from './notification-metrics.ts'
import { buildMetrics, processMetrics } from './process-metrics.ts'
import { reloadMetrics } from './reload-observer.ts'
import { sessionMetrics } from './session-metrics.ts'
import { sinkMetrics } from './sink-metrics.ts'
import { statementMetrics } from './statement-metrics.ts'
import { certificateMetrics, targetMetrics } from './target-metrics.ts'
import { vaultMetrics } from './vault-metrics.ts'
import { workerMetrics } from './worker-observer.ts'

export interface Subject {
  readonly title: string
  /** Where they are shown, if not everywhere. */
  readonly shown?: string
  readonly metrics: Definitions
}

export const catalogue: readonly Subject[] = [
  { title: 'Connections and sessions', metrics: sessionMetrics },
  { title: 'Limits', metrics: limitMetrics },
  { title: 'Statements', metrics: statementMetrics },
  { title: 'The journal', metrics: journalMetrics },
  {
    title: 'Checkpoints',
    shown: 'Only where checkpoints are configured.',
    metrics: checkpointMetrics,
  },
  { title: 'Sinks', shown: 'Only where sinks are configured.', metrics: sinkMetrics },
  { title: 'Credentials', metrics: leaseMetrics },
  { title: 'Vault', shown: 'Only where a Vault is configured.', metrics: vaultMetrics },
  { title: 'Requests for access', metrics: deskMetrics },
  { title: 'The store', metrics: storeMetrics },
  { title: 'Notifications', metrics: notificationMetrics },
  { title: 'The API', metrics: apiMetrics },
  {
    title: 'Certificates',
    shown: 'Only of listeners with TLS, `http` included.',
    metrics: certificateMetrics,
  },
  { title: 'Targets', metrics: targetMetrics },
  { title: 'The configuration', metrics: reloadMetrics },
  { title: 'What runs', metrics: buildMetrics },
  { title: 'Workers', shown: 'Only with `workers`.', metrics: workerMetrics },
  { title: 'The process', metrics: processMetrics },
]
