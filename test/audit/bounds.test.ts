// A record is at most 64 KiB with the journal's own fields around it, whatever comes in.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Grant } from '../../src/access/access.ts'
import type { Change } from '../../src/access/change.ts'
import type { AccessRequest } from '../../src/access/request.ts'
import { changeRecord } from '../../src/audit/change-record.ts'
import {
  leaseIssueRecord,
  leaseProblemRecord,
  leaseRevokeRecord,
} from '../../src/audit/lease-record.ts'
import { auditReadRecord } from '../../src/audit/read-record.ts'
import {
  cancelRecord,
  loginRecord,
  proxyStopRecord,
  sessionContext,
  sessionEndRecord,
  sessionStartRecord,
  tripwireRecord,
} from '../../src/audit/record.ts'
import { outcomeRecord, type Statement, statementRecord } from '../../src/audit/statement-record.ts'
import { judgementOf } from '../support/judgement.ts'
import { parseLine } from '../support/memory-journal.ts'

/** `seq`, `v`, `event`, `time` and `hash` are shorter than this. */
const around = 512
const most = 65_536 - around

/** What is written longer than it is, in UTF-16, in UTF-8 or in JSON; and what is not. */
const pieces = ['x', '"', '\\', '\u0001', '\u007f', 'é', '\u202e', '\u{e0041}', '🙂', '\ud800', '.']
const hostile = fc
  .array(fc.constantFrom(...pieces), { minLength: 1, maxLength: 4 })
  .map((some) => some.join('').repeat(30_000))
const any = { numRuns: 5 }

function fits(fields: string): void {
  expect(Buffer.byteLength(fields)).toBeLessThanOrEqual(most)
  // Whatever was cut, it is one JSON object still.
  parseLine(`{${fields}}`)
}

describe('a record stays within 64 KiB, whatever comes in:', () => {
  it('of a session, a statement, an outcome', () => {
    fc.assert(
      fc.property(hostile, hostile, (wild, other) => {
        const many = Array.from({ length: 10_000 }, () => wild)
        const context = sessionContext({
          ...{ session: wild, principal: wild, groups: many, grant: wild, requestId: wild },
          ...{ requestReason: wild, role: wild, target: wild, databaseRole: wild, lease: wild },
          ...{ client: wild, application: wild, tls: wild },
        })
        const relations = Array.from({ length: 200 }, (_, at) => ({
          ...{ schema: `${at}${wild}`, name: other, access: 'maintain' as const },
        }))
        const decision = { outcome: 'allow', rule: wild, reason: other } as const
        const judgement = judgementOf(wild, { tags: many, relations, decision })
        const runs = Array.from({ length: 400 }, (_, at) => ({
          judgement: judgementOf(`${other.slice(0, at * 5)}${at}`),
          repeats: undefined,
        }))
        const value = { type: 0xffffffff, value: wild, bytes: 0x3fffffff, cut: true }
        const parameters = { count: 65_535, first: Array.from({ length: 64 }, () => value) }
        const statement: Statement = {
          protocol: 'functionCall',
          transaction: 'failed',
          ...{ number: 1, judgement, decision, bytesIn: 0x3fffffff, parameters },
          ...{ repeats: undefined, runs },
        }
        fits(statementRecord(context, 'full', statement).fields)
        fits(statementRecord(context, 'full', { ...statement, repeats: 1 }).fields)
        const certificate = { subject: wild, sha256: 'ab' }
        const numbers = { statements: 1, durationMs: 1, bytesFromClient: 1, bytesToClient: 1 }
        fits(sessionStartRecord(context, certificate))
        fits(sessionEndRecord(context, { reason: wild, ...numbers }))
        fits(tripwireRecord(context, { setting: wild, expected: wild, got: wild }, 1))
        fits(
          outcomeRecord(context, 1, {
            result: 'error',
            ...{ command: wild, rows: 1, bytesIn: 1, bytes: 1, durationMs: 1 },
            ...{ policyMs: 1, auditMs: 1, upstreamMs: 1, sqlstate: wild, message: other },
          }),
        )
      }),
      any,
    )
  })

  it('of a login, a cancel, the proxy, a lease, a reading', () => {
    fc.assert(
      fc.property(hostile, (wild) => {
        const certificate = { subject: wild, sha256: 'ab' }
        const claims = { principal: wild, target: wild, client: wild, session: wild }
        fits(
          loginRecord({
            result: 'refused',
            ...{ ...claims, reason: wild, certificate, tokenId: wild },
          }),
        )
        fits(cancelRecord({ ...claims, result: 'sent', askedBy: wild, takenBy: wild }))
        fits(proxyStopRecord(wild))
        const lease = {
          ...{ principal: wild, role: wild },
          record: {
            ...{ id: wild, grantId: wild, target: wild, databaseRole: wild, vaultLease: wild },
            ...{ engine: 'broker' as const, expiresAt: 0, issuedAt: 0, instance: wild },
          },
        }
        fits(leaseIssueRecord(lease))
        fits(leaseProblemRecord(lease, { reason: 'grant_over', attempts: 1 }))
        const revoked = { reason: 'grant_over', result: 'confirmed', sinceNoticed: 1 } as const
        fits(leaseRevokeRecord(lease, revoked))
        const by = { principal: wild, via: wild }
        fits(auditReadRecord({ by, how: 'events', filter: { principal: wild, text: wild } }))
      }),
      any,
    )
  })

  it('of any change', () => {
    fc.assert(
      fc.property(hostile, (wild) => {
        const many = Array.from({ length: 10_000 }, () => wild)
        const relations = { deny: many, read: many, write: many }
        const names = { principal: wild, target: wild, role: wild, reason: wild }
        const request: AccessRequest = {
          ...{ ...names, id: wild, kind: 'service', groups: many, relations, claims: {} },
          ...{ durationMs: 1, startsAt: 0, extends: wild, createdAt: 0, expiresAt: 0 },
          ...{ state: 'pending', decidedAt: undefined, grantId: undefined },
        }
        const grant: Grant = {
          ...{ ...names, id: wild, startsAt: 0, endsAt: 0, revokedAt: undefined },
          ...{ requestId: wild, relations, claims: {} },
        }
        const by = { principal: wild, via: wild }
        const key = { ...{ keyId: wild, principal: wild }, by }
        const claims = Object.fromEntries(many.map((name, at) => [`${at}${name.slice(0, 99)}`, '']))
        const changes: readonly Change[] = [
          { type: 'request.created', request, by },
          { type: 'request.endorsed', request, by, comment: wild, missing: many },
          { type: 'request.approved', request, grant, by, comment: wild },
          { type: 'request.denied', request, by, comment: wild },
          { type: 'request.withdrawn', request, by },
          { type: 'request.expired', request, by },
          { type: 'grant.extended', grant, by, reason: wild, endedAt: 0 },
          { type: 'grant.revoked', grant, by, reason: wild },
          { type: 'token.issued', grant, by, tokenId: wild, kind: 'reusable' },
          { type: 'session.ended', sessionId: wild, grant, by, reason: wild },
          { type: 'login.locked', ...names, address: wild, failures: 1, until: 0, by },
          {
            ...{ ...key, type: 'key.created', kind: 'service', groups: many, scopes: [], claims },
            expiresAt: 0,
          },
          { type: 'key.revoked', ...key },
        ]
        for (const change of changes) fits(changeRecord(1, change))
      }),
      any,
    )
  })
})
