// What leases go through: counted, said in the log, and handed to the audit. Ignorant of who issues them
// and of what an audit record is.

import type { LeaseCounts, LeaseMetrics } from './lease-metrics.ts'
import type { Log } from './log.ts'

interface Lease {
  readonly record: {
    readonly id: string
    readonly grantId: string
    readonly target: string
    readonly engine: string
    readonly databaseRole: string | undefined
  }
  readonly principal: string
  readonly role: string
}

interface Revoked {
  readonly reason: string
  readonly result: 'confirmed' | 'unconfirmed'
  readonly seconds: number
  readonly sinceNoticed: number
}

interface RevokeFailed {
  readonly reason: string
  readonly seconds: number
  readonly attempts: number
  readonly error: unknown
}

/** Fits the observer of credentials/. The audit hears of the same leases as that does. */
export function leaseObserver<L extends Lease, R extends Revoked, F extends RevokeFailed>(
  metrics: LeaseMetrics,
  log: Log,
  audit: {
    readonly issued: (lease: L) => Promise<unknown>
    readonly revoked: (lease: L, end: R) => Promise<unknown>
    readonly problem: (lease: L, problem: F) => void
  },
) {
  return {
    issued: async (lease: L, seconds: number): Promise<void> => {
      await audit.issued(lease)
      metrics.operation(lease.record.engine, 'issue', 'ok', seconds)
      log.info(said(lease), 'lease issued')
    },
    issueFailed: (lease: L, seconds: number, error: unknown): void => {
      metrics.operation(lease.record.engine, 'issue', 'failed', seconds)
      log.warn({ ...said(lease), err: error }, 'no database login could be issued')
    },
    renewed: (lease: L, seconds: number): void => {
      metrics.operation(lease.record.engine, 'renew', 'ok', seconds)
      log.debug(said(lease), 'lease renewed')
    },
    renewFailed: (lease: L, seconds: number, error: unknown): void => {
      metrics.operation(lease.record.engine, 'renew', 'failed', seconds)
      log.warn({ ...said(lease), err: error }, 'a lease could not be renewed')
    },
    revoked: async (lease: L, end: R): Promise<void> => {
      await audit.revoked(lease, end)
      const { engine, target } = lease.record
      const { reason, result, seconds, sinceNoticed } = end
      metrics.operation(engine, 'revoke', 'ok', seconds)
      metrics.revoked(target, result, sinceNoticed)
      log.info({ ...said(lease), reason, result, seconds: sinceNoticed }, 'lease revoked')
    },
    revokeFailed: (lease: L, problem: F): void => {
      const { reason, seconds, attempts, error } = problem
      metrics.operation(lease.record.engine, 'revoke', 'failed', seconds)
      audit.problem(lease, problem)
      log.error(
        { ...said(lease), reason, attempts, err: error },
        'a lease is not known to be revoked; it will be tried again',
      )
    },
    held: (counts: ReadonlyMap<string, LeaseCounts>): void => metrics.held(counts),
    orphaned: (count: number): void => metrics.orphaned(count),
    problem: (error: unknown): void =>
      log.warn({ part: 'leases', err: error }, 'a background task failed and will be tried again'),
  }
}

function said({ record, principal }: Lease): object {
  const { id, grantId, target, engine, databaseRole } = record
  return { lease: id, grant: grantId, principal, target, engine, databaseRole }
}
