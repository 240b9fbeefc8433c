// The records of leases, as docs/audit.md lists them.

import { describe, expect, it } from 'vitest'
import {
  leaseIssueRecord,
  leaseProblemRecord,
  leaseRevokeRecord,
} from '../../src/audit/lease-record.ts'

const facts = {
  principal: 'alice',
  role: 'read_only',
  record: {
    id: 'l1',
    grantId: 'g1',
    target: 'shop',
    engine: 'vault-dynamic',
    instance: 'i1',
    issuedAt: 0,
    databaseRole: 'v-token-"ro"',
    vaultLease: 'database/creds/r/1',
    expiresAt: Date.UTC(2030, 0, 1),
  },
} as const
const common = {
  lease: 'l1',
  grant: 'g1',
  principal: 'alice',
  target: 'shop',
  role: 'read_only',
  engine: 'vault-dynamic',
  databaseRole: 'v-token-"ro"',
  vaultLease: 'database/creds/r/1',
}
const parse = (fields: string): unknown => JSON.parse(`{${fields}}`)

describe('a record of a lease', () => {
  it('says whose login it is, who issued it, and how long it lasts', () => {
    expect(parse(leaseIssueRecord(facts))).toEqual({
      type: 'lease.issue',
      ...common,
      expires: '2030-01-01T00:00:00.000Z',
    })
  })

  it('leaves out what the broker does not have', () => {
    const record = {
      ...facts.record,
      engine: 'broker',
      vaultLease: undefined,
      expiresAt: undefined,
    } as const
    const { vaultLease: _, ...rest } = common
    expect(parse(leaseIssueRecord({ ...facts, record }))).toEqual({
      type: 'lease.issue',
      ...rest,
      engine: 'broker',
    })
  })

  it('says why it was revoked, how long that took, and whether somebody looked', () => {
    const end = { reason: 'grant_over', result: 'unconfirmed', sinceNoticed: 1.23456 } as const
    expect(parse(leaseRevokeRecord(facts, end))).toEqual({
      type: 'lease.revoke',
      ...common,
      result: 'unconfirmed',
      reason: 'grant_over',
      seconds: 1.235,
    })
  })

  it('says that it is not known to be revoked', () => {
    expect(parse(leaseProblemRecord(facts, { reason: 'abandoned', attempts: 7 }))).toEqual({
      type: 'lease.problem',
      ...common,
      reason: 'abandoned',
      attempts: 7,
    })
  })
})
