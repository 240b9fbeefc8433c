// The metrics of leases. Labels are engines, targets and results: words of the configuration and of fixed lists.
// Ignorant of who issues leases.

import type { Registry } from 'prom-client'
import { type Definitions, target } from './definition.ts'
import { register } from './instruments.ts'

const engine = {
  name: 'engine',
  values: 'broker, and the engines of Vault that are configured',
} as const

const states = ['open', 'closing', 'ending'] as const

export const leaseMetrics = {
  operations: {
    type: 'histogram',
    name: 'pgwarden_lease_operation_duration_seconds',
    help: 'Requests to whoever issues leases; of a revocation one attempt, with looking whether it worked.',
    labels: [
      engine,
      { name: 'operation', values: ['issue', 'renew', 'revoke'] },
      { name: 'result', values: ['ok', 'failed'] },
    ],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
  },
  revocations: {
    type: 'histogram',
    name: 'pgwarden_revocation_seconds',
    help: 'From when it was known that a lease had to end until it had; unconfirmed: nobody could look.',
    labels: [target, { name: 'result', values: ['confirmed', 'unconfirmed'] }],
    buckets: [0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 15, 30, 60, 300, 3600],
  },
  leases: {
    type: 'gauge',
    name: 'pgwarden_leases',
    help: 'Leases that this process holds: open to new sessions, closing, or being ended.',
    labels: [engine, { name: 'state', values: states }],
    note: '`ending` that stays is a revocation that does not succeed.',
  },
  orphans: {
    type: 'gauge',
    name: 'pgwarden_leases_orphaned',
    help: 'Open leases in the store whose process is gone.',
    across: 'max',
    note: 'After a crash 0 for a minute, then above 0 until they are revoked.',
  },
} as const satisfies Definitions

type Result = 'ok' | 'failed'

/** Of one engine. */
export type LeaseCounts = Readonly<Record<(typeof states)[number], number>>

export interface LeaseMetrics {
  /** One request to whoever issues leases. */
  operation(
    engine: string,
    operation: 'issue' | 'renew' | 'revoke',
    result: Result,
    seconds: number,
  ): void
  /** A lease has ended. `seconds`: since it was known that it had to. */
  revoked(target: string, result: 'confirmed' | 'unconfirmed', seconds: number): void
  /** What this process holds, by engine and state. */
  held(counts: ReadonlyMap<string, LeaseCounts>): void
  orphaned(count: number): void
}

export function createLeaseMetrics(registry: Registry): LeaseMetrics {
  const { operations, revocations, leases, orphans } = register(registry, leaseMetrics)
  return {
    operation: (engine, operation, result, seconds) =>
      operations.observe(seconds, engine, operation, result),
    revoked: (target, result, seconds) => revocations.observe(seconds, target, result),
    held: (counts) => {
      leases.zero()
      for (const [engine, held] of counts) {
        for (const state of states) leases.set(held[state], engine, state)
      }
    },
    orphaned: (count) => orphans.set(count),
  }
}
