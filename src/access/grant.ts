// Making a grant: what must be true of one before it exists, and whether it is in force. Ignorant of
// approvals (who may ask for what) and of storage.

import { Failure } from '../errors.ts'
import type { Claims, Grant, RelationRules } from './access.ts'
import { claimOf } from './claim.ts'
import { randomId } from './id.ts'

const day = 24 * 60 * 60 * 1000
const longestGrant = 30 * day

/** What a grant is asked for. Times in milliseconds. */
export interface GrantTerms {
  readonly principal: string
  readonly target: string
  readonly role: string
  readonly startsAt: number
  readonly durationMs: number
  readonly reason: string
  readonly requestId?: string | undefined
  readonly relations?: RelationRules | undefined
  readonly claims?: Claims
}

interface Names {
  has(name: string): boolean
  keys(): Iterable<string>
}

/** The names that exist. A Map of definitions fits as well as a Set of names. */
export interface KnownNames {
  readonly roles: Names
  readonly targets: Names
}

/**
 * A grant with these terms, under a new id.
 * @throws Failure invalid_parameter that says which term is wrong and what is right.
 */
export function newGrant(terms: GrantTerms, known: KnownNames): Grant {
  const { principal, target, role, startsAt, durationMs, requestId } = terms
  const reason = terms.reason.trim()
  checkPrincipal(principal)
  if (!known.roles.has(role)) refuse(`there is no role "${role}"`, known.roles)
  if (!known.targets.has(target)) refuse(`there is no target "${target}"`, known.targets)
  if (!Number.isSafeInteger(startsAt)) refuse('the start of a grant must be a time')
  if (!Number.isSafeInteger(durationMs) || durationMs <= 0 || durationMs > longestGrant) {
    refuse('a grant lasts longer than nothing and at most 30 days')
  }
  if (reason === '') refuse('a grant needs a reason')
  return {
    id: randomId(),
    principal,
    target,
    role,
    startsAt,
    endsAt: startsAt + durationMs,
    revokedAt: undefined,
    reason,
    requestId,
    relations: terms.relations,
    claims: terms.claims ?? {},
  }
}

/** The name must survive a startup packet and a line of a log as it is. @throws Failure invalid_parameter */
export function checkPrincipal(principal: string): void {
  if (!isPlainName(principal)) {
    refuse('a principal is a name of 1 to 128 characters, none of them a space or invisible')
  }
  if (claimOf(principal).tokenId !== undefined) {
    refuse('a principal may not end like "/<token id>": that names a token at login')
  }
}

/** Whether it can be the name of one. */
export function isPrincipal(name: string): boolean {
  return isPlainName(name) && claimOf(name).tokenId === undefined
}

/** Why the grant gives no access at `now`, or that it does. */
export function standing(
  grant: Grant,
  now: number,
): 'in_force' | 'not_yet' | 'expired' | 'revoked' {
  if (grant.revokedAt !== undefined) return 'revoked'
  if (now < grant.startsAt) return 'not_yet'
  return now < grant.endsAt ? 'in_force' : 'expired'
}

/**
 * Whether the name survives a startup packet and a line of a log as it is, and an approver's eyes: one with a
 * character that is not seen in it would pass for somebody else's. Half surrogates would all be one in the store.
 */
function isPlainName(name: string): boolean {
  return (
    name.length <= 128 && /^[^\s\p{Cc}\p{Cf}\p{Cs}\p{Default_Ignorable_Code_Point}]+$/u.test(name)
  )
}

function refuse(message: string, instead?: Names): never {
  const hint = instead && { hint: `Choose one of ${[...instead.keys()].join(', ')}.` }
  throw new Failure('invalid_parameter', { message, ...hint })
}

const askAgain = 'Ask for a new grant and connect again with its token.'

/** The failure that ends a session whose grant is over. */
export function grantEnded(): Failure {
  return new Failure('session_terminated', {
    message: 'terminating connection because the grant has ended',
    detail: 'The time for which access was granted is over.',
    hint: askAgain,
  })
}

/** The failure that ends a session whose grant was taken back. */
export function grantRevoked(): Failure {
  return new Failure('session_terminated', {
    message: 'terminating connection because the grant was revoked',
    detail: 'The access that was granted has been taken back before its time was over.',
    hint: askAgain,
  })
}
