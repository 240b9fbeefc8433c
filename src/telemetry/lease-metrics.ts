// The metrics of leases, part of the catalogue in metrics.ts. Labels are engines, targets and results:
// words of the configuration and of fixed lists.

import { Gauge, Histogram, type Registry } from 'prom-client'

type Result = 'ok' | 'failed'

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
  held(counts: ReadonlyMap<string, Readonly<Record<string, number>>>): void
  orphaned(count: number): void
}

const operationBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
const revocationBuckets = [0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 15, 30, 60, 300, 3600]

export function createLeaseMetrics(registry: Registry): LeaseMetrics {
  const registers = [registry]
  const operations = new Histogram({
    name: 'pgwarden_lease_operation_duration_seconds',
    help: 'Requests to whoever issues leases; of a revocation one attempt, with looking whether it worked.',
    labelNames: ['engine', 'operation', 'result'],
    buckets: operationBuckets,
    registers,
  })
  const revocations = new Histogram({
    name: 'pgwarden_revocation_seconds',
    help: 'From when it was known that a lease had to end until it had; unconfirmed: nobody could look.',
    labelNames: ['target', 'result'],
    buckets: revocationBuckets,
    registers,
  })
  const leases = new Gauge({
    name: 'pgwarden_leases',
    help: 'Leases that this process holds: open to new sessions, closing, or being ended.',
    labelNames: ['engine', 'state'],
    registers,
  })
  const orphans = new Gauge({
    name: 'pgwarden_leases_orphaned',
    help: 'Open leases in the store whose process is gone; the same number from every process.',
    registers,
  })
  return {
    operation: (engine, operation, result, seconds) =>
      operations.observe({ engine, operation, result }, seconds),
    revoked: (target, result, seconds) => revocations.observe({ target, result }, seconds),
    held: (counts) => {
      leases.reset()
      for (const [engine, states] of counts) {
        for (const [state, count] of Object.entries(states)) leases.set({ engine, state }, count)
      }
    },
    orphaned: (count) => orphans.set(count),
  }
}
