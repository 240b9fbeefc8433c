// What becomes of a grant after it was made: revoked, ended by the clock, or asked for a token. Pure; whether it
// is the caller's to do is asked before.

import { Failure } from '../errors.ts'
import type { Grant } from './access.ts'
import type { Actor, Change } from './change.ts'
import type { GrantState } from './desk.ts'
import { standing } from './grant.ts'

/** In the words that callers are shown. */
export function stateOf(grant: Grant, now: number): GrantState {
  switch (standing(grant, now)) {
    case 'in_force':
      return 'active'
    case 'not_yet':
      return 'scheduled'
    case 'expired':
      return 'expired'
    case 'revoked':
      return 'revoked'
  }
}

/** The grant, taken back, and the change. It must not be over. */
export function revocation(
  grant: Grant,
  by: Actor,
  reason: string,
  now: number,
): { readonly grant: Grant; readonly change: Change } {
  const revoked = { ...grant, revokedAt: now }
  return { grant: revoked, change: { type: 'grant.revoked', grant: revoked, by, reason } }
}

/**
 * Nothing can be done with a grant that is over. `revokedBy` is who revoked it, where that is known.
 * @throws Failure conflict that says what happened
 */
export function checkNotOver(grant: Grant, now: number, revokedBy: string | undefined): void {
  const { id, revokedAt, endsAt } = grant
  if (revokedAt === undefined && now < endsAt) return
  const at = new Date(revokedAt ?? endsAt).toISOString()
  const message = revokedAt === undefined ? 'the grant has ended' : 'the grant is revoked'
  const detail =
    revokedAt === undefined
      ? `Grant ${id} ended at ${at}.`
      : `${revokedBy ?? 'An operator'} revoked grant ${id} at ${at}.`
  throw new Failure('conflict', { message, detail, hint: 'Ask for a new grant.' })
}
