// The records of leases: issued, revoked, and not known to be revoked. docs/audit.md lists the fields.
// Ignorant of who issues leases, and of passwords.

import type { LeaseEndReason, LeaseEndResult, LeaseRecord } from '../access/lease.ts'
import { nameField } from './json.ts'

/** A lease and whose it is. */
export interface LeaseFacts {
  readonly record: LeaseRecord
  readonly principal: string
  readonly role: string
}

export interface LeaseRevoked {
  readonly reason: LeaseEndReason
  readonly result: LeaseEndResult
  /** Since it was known that it had to be. */
  readonly sinceNoticed: number
}

export interface LeaseProblem {
  readonly reason: LeaseEndReason
  readonly attempts: number
}

/** A login exists from here on. */
export function leaseIssueRecord(facts: LeaseFacts): string {
  const { expiresAt } = facts.record
  const expires = expiresAt === undefined ? '' : `,"expires":"${new Date(expiresAt).toISOString()}"`
  return `"type":"lease.issue",${fieldsOf(facts)}${expires}`
}

/** It is gone: `confirmed` says that somebody looked. */
export function leaseRevokeRecord(
  facts: LeaseFacts,
  { reason, result, sinceNoticed }: LeaseRevoked,
): string {
  const seconds = Math.round(sinceNoticed * 1000) / 1000
  return (
    `"type":"lease.revoke",${fieldsOf(facts)},"result":"${result}","reason":"${reason}"` +
    `,"seconds":${seconds}`
  )
}

/** It may be in force still; another attempt will be made. Why is in the log. */
export function leaseProblemRecord(facts: LeaseFacts, { reason, attempts }: LeaseProblem): string {
  return `"type":"lease.problem",${fieldsOf(facts)},"reason":"${reason}","attempts":${attempts}`
}

/** A name of Vault's, with the paths that lead to it. */
const leaseLimit = 512

function fieldsOf({ record, principal, role }: LeaseFacts): string {
  const { databaseRole, vaultLease } = record
  return [
    nameField('lease', record.id),
    nameField('grant', record.grantId),
    nameField('principal', principal),
    nameField('target', record.target),
    nameField('role', role),
    `"engine":"${record.engine}"`,
    ...(databaseRole === undefined ? [] : [nameField('databaseRole', databaseRole)]),
    ...(vaultLease === undefined ? [] : [nameField('vaultLease', vaultLease, leaseLimit)]),
  ].join(',')
}
