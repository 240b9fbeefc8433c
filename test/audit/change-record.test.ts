import { describe, expect, it } from 'vitest'
import type { Grant } from '../../src/access/access.ts'
import type { Change } from '../../src/access/change.ts'
import type { AccessRequest } from '../../src/access/request.ts'
import { changeRecord, changeUndoneRecord } from '../../src/audit/change-record.ts'
import { parseLine } from '../support/memory-journal.ts'

const request: AccessRequest = {
  id: 'r1',
  principal: 'ada',
  kind: 'person',
  groups: ['developers'],
  target: 'shop',
  role: 'admin',
  reason: 'incident "7"',
  durationMs: 90_500,
  startsAt: 60_000,
  relations: { deny: ['hr.*'] },
  claims: { uid: '42' },
  extends: undefined,
  createdAt: 0,
  expiresAt: 120_000,
  state: 'pending',
  decidedAt: undefined,
  grantId: undefined,
}
const grant: Grant = {
  id: 'g1',
  principal: 'ada',
  target: 'shop',
  role: 'admin',
  startsAt: 0,
  endsAt: 60_000,
  revokedAt: undefined,
  reason: 'incident "7"',
  requestId: 'r1',
  relations: undefined,
  claims: { uid: '42' },
}
const by = { principal: 'bob', via: 'oidc' }
const actor = { change: 7, by: 'bob', via: 'oidc' }
const whose = { principal: 'ada', target: 'shop', role: 'admin' }
const period = { startsAt: '1970-01-01T00:00:00.000Z', endsAt: '1970-01-01T00:01:00.000Z' }

const recordOf = (change: Change) => parseLine(`{${changeRecord(7, change)}}`)

describe('the record of a change', () => {
  it.each<[Change, object]>([
    [
      { type: 'request.created', request, by },
      {
        ...{ requestId: 'r1', ...whose, kind: 'person', groups: ['developers'] },
        ...{ startsAt: '1970-01-01T00:01:00.000Z', seconds: 90.5 },
        ...{ expiresAt: '1970-01-01T00:02:00.000Z', relations: { deny: ['hr.*'] } },
        reason: 'incident "7"',
      },
    ],
    [
      { type: 'request.endorsed', request, by, comment: 'fine', missing: ['dba'] },
      { requestId: 'r1', ...whose, comment: 'fine', missing: ['dba'] },
    ],
    [
      { type: 'request.approved', request, grant, by, comment: undefined },
      { requestId: 'r1', ...whose, grant: 'g1', ...period, reason: 'incident "7"' },
    ],
    [
      { type: 'request.denied', request: { ...request, extends: 'g0' }, by, comment: 'no' },
      { requestId: 'r1', ...whose, extends: 'g0', comment: 'no' },
    ],
    [
      { type: 'grant.extended', grant, by, reason: 'more', endedAt: 0 },
      {
        ...{ grant: 'g1', requestId: 'r1', ...whose, ...period },
        ...{ endedAt: '1970-01-01T00:00:00.000Z', reason: 'more' },
      },
    ],
    [
      { type: 'grant.revoked', grant, by, reason: 'enough' },
      { grant: 'g1', requestId: 'r1', ...whose, reason: 'enough' },
    ],
    [
      { type: 'token.issued', grant, by, tokenId: 't1', kind: 'one-time' },
      {
        ...{ grant: 'g1', requestId: 'r1', ...whose, ...period },
        ...{ token: 't1', kind: 'one-time', reason: 'incident "7"' },
      },
    ],
  ])('has who did it, its number and its subject: %j', (change, fields) => {
    expect(recordOf(change)).toEqual({ type: change.type, ...actor, ...fields })
  })

  it('is bounded, whatever comes from elsewhere', () => {
    const long = 'x'.repeat(100_000)
    const groups = Array.from({ length: 5_000 }, () => long)
    const change: Change = {
      type: 'request.created',
      request: { ...request, principal: long, groups, reason: long },
      by: { principal: long, via: long },
    }
    expect(changeRecord(7, change).length).toBeLessThan(40_000)
  })

  it('that came to nothing is followed by one that says so', () => {
    const change: Change = { type: 'grant.revoked', grant, by, reason: 'enough' }
    expect(parseLine(`{${changeUndoneRecord(7, change, 'unknown')}}`)).toEqual({
      type: 'change.undone',
      change: 7,
      of: 'grant.revoked',
      result: 'unknown',
    })
  })
})
