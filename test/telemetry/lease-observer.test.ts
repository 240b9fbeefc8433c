// What is counted, logged and audited of leases.

import { describe, expect, it } from 'vitest'
import { leaseObserver } from '../../src/telemetry/lease-observer.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'

const lease = {
  record: {
    id: 'l1',
    grantId: 'g1',
    target: 'shop',
    engine: 'vault-dynamic',
    databaseRole: 'v-x',
    vaultLease: 'database/creds/r/1',
  },
  principal: 'alice',
  role: 'read_only',
}

function observed(recorded: () => Promise<void> = () => Promise.resolve()) {
  const metrics = createMetrics('1', () => ({ hits: 0, misses: 0 }))
  const lines: unknown[] = []
  const audited: unknown[] = []
  const write =
    (level: string) =>
    (fields: object, message: string): void => {
      lines.push({ level, ...fields, message })
    }
  const log = {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: () => log,
  }
  const observer = leaseObserver(metrics.leases, log, {
    issued: async () => {
      await recorded()
      audited.push('issued')
    },
    revoked: async (_, { result }) => audited.push(result),
    problem: (_, { attempts }) => audited.push(attempts),
  })
  return { observer, metrics, lines, audited }
}

describe('a revocation', () => {
  it('that is not confirmed is an error for operators, counted, and in the audit', async () => {
    const { observer, metrics, lines, audited } = observed()
    const error = new Error('the role is still there')
    observer.revokeFailed(lease, { reason: 'grant_over', seconds: 0.2, attempts: 3, error })
    expect(lines).toMatchObject([{ level: 'error', lease: 'l1', attempts: 3, err: error }])
    expect(audited).toEqual([3])
    const text = await metrics.text()
    expect(text).toContain(
      'pgwarden_lease_operation_duration_seconds_count{engine="vault-dynamic",operation="revoke",result="failed"} 1',
    )
    expect(text).not.toContain('pgwarden_revocation_seconds_count{')
  })

  it('is timed from when it was known that it had to be', async () => {
    const { observer, metrics, audited } = observed()
    await observer.revoked(lease, {
      reason: 'grant_over',
      result: 'confirmed',
      seconds: 0.2,
      sinceNoticed: 1.5,
    })
    expect(audited).toEqual(['confirmed'])
    expect(await metrics.text()).toContain(
      'pgwarden_revocation_seconds_sum{target="shop",result="confirmed"} 1.5',
    )
  })
})

describe('a lease that was issued', () => {
  const issuedOnce =
    'pgwarden_lease_operation_duration_seconds_count{engine="vault-dynamic",operation="issue",result="ok"} 1'

  it('is in the audit, counted, and in the log', async () => {
    const { observer, metrics, lines, audited } = observed()
    await observer.issued(lease, 0.1)
    expect(audited).toEqual(['issued'])
    expect(lines).toMatchObject([{ level: 'info', lease: 'l1' }])
    expect(await metrics.text()).toContain(issuedOnce)
  })

  it('and cannot be put on record is not said to be issued', async () => {
    const full = new Error('the disk is full')
    const { observer, metrics, lines } = observed(() => Promise.reject(full))
    await expect(observer.issued(lease, 0.1)).rejects.toBe(full)
    expect(lines).toEqual([])
    expect(await metrics.text()).not.toContain(issuedOnce)
  })
})

describe('the gauges of leases', () => {
  it('forget what is not held any more', async () => {
    const { observer, metrics } = observed()
    observer.held(new Map([['broker', { open: 2, closing: 1, ending: 0 }]]))
    observer.orphaned(4)
    const before = await metrics.text()
    expect(before).toContain('pgwarden_leases{engine="broker",state="open"} 2')
    expect(before).toContain('pgwarden_leases_orphaned 4')
    observer.held(new Map())
    const after = (await metrics.text()).split('\n')
    expect(after).toContain('pgwarden_leases{engine="broker",state="open"} 0')
  })
})
