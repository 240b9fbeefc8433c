// What a token that was verified says of its bearer: name, kind, groups, and the claims that sessions need.
// Whatever is not as it should be refuses the token; nothing is guessed, cut off or left out in silence.
// RFC 9068, sections 2.2 and 5; OpenID Connect Core 1.0, section 5.1.

import type { JWTPayload } from 'jose'
import type { Claims } from '../access/access.ts'
import { isPrincipal } from '../access/grant.ts'
import { type Identity, isClaimText } from '../access/identity.ts'
import { unauthenticated } from './refusal.ts'

export interface ClaimRules {
  /** Claims are given by name, or by a path of names: `realm_access.roles`. */
  readonly principalClaim: string
  readonly groupsClaim: string
  /** What tells a service's token, beside a subject that is its own client; any value when without. */
  readonly serviceClaim: { readonly name: string; readonly value: string | undefined } | undefined
  readonly servicePrefix: string
  /** Those that are to be kept. */
  readonly claims: readonly string[]
}

const mostGroups = 500
const longestGroup = 256

/** @throws Failure unauthenticated */
export function bearerOf(
  payload: JWTPayload,
  rules: ClaimRules,
): Pick<Identity, 'principal' | 'kind' | 'groups' | 'claims'> {
  const kind = isService(payload, rules) ? 'service' : 'person'
  return {
    principal: kind === 'service' ? serviceName(payload, rules) : personName(payload, rules),
    kind,
    groups: groupsOf(payload, rules),
    claims: claimsOf(payload, rules),
  }
}

/** Client credentials: nobody stands behind the token but the client. */
function isService(payload: JWTPayload, { serviceClaim }: ClaimRules): boolean {
  const client = payload['client_id']
  if (client !== undefined && client === payload.sub) return true
  if (serviceClaim === undefined) return false
  const value = claimAt(payload, serviceClaim.name)
  return serviceClaim.value === undefined
    ? value !== undefined
    : textOf(value) === serviceClaim.value
}

/**
 * A service is called by its client's name, with a prefix that no person's name has: else who may register
 * a client could call it `alice`, and have her grants.
 */
function serviceName(payload: JWTPayload, { servicePrefix }: ClaimRules): string {
  const client = payload['client_id'] ?? payload['azp'] ?? payload.sub
  if (typeof client !== 'string') throw unauthenticated('the token does not name its client')
  const name = `${servicePrefix}${client}`
  assertName(name, 'client_id')
  return name
}

function personName(payload: JWTPayload, { principalClaim, servicePrefix }: ClaimRules): string {
  const name = claimAt(payload, principalClaim)
  if (typeof name !== 'string') {
    throw unauthenticated(`the token has no claim ${principalClaim}`, {
      detail: 'That is where the name of its bearer is looked for.',
      hint: 'Log in with the scopes that it comes with, or have identity.oidc.principalClaim changed.',
    })
  }
  assertName(name, principalClaim)
  // Some providers let people write any address into their own profile (OpenID Connect Core 1.0, section 5.7).
  if (principalClaim === 'email' && String(claimAt(payload, 'email_verified')) === 'false') {
    throw unauthenticated('the address that the token calls its bearer by was never verified', {
      hint: 'Have the identity provider verify it, or identity.oidc.principalClaim changed.',
    })
  }
  if (name.startsWith(servicePrefix)) {
    throw unauthenticated(`the claim ${principalClaim} begins like the name of a service`)
  }
  return name
}

/** As a grant's principal must be, and the user name of a login. */
function assertName(name: string, claim: string): void {
  if (isPrincipal(name)) return
  throw unauthenticated(`the claim ${claim} cannot be the name of a principal`, {
    detail:
      'Expected 1 to 128 characters, none of them a space or invisible, not ending like "/<token id>".',
  })
}

/**
 * A text is a list of one, as some providers write it. It is not cut at its spaces: whoever may found a group
 * called "our dbas" would be in "dbas".
 */
function groupsOf(payload: JWTPayload, { groupsClaim }: ClaimRules): readonly string[] {
  const value = claimAt(payload, groupsClaim)
  const groups: readonly unknown[] | undefined =
    value === undefined
      ? []
      : typeof value === 'string'
        ? [value]
        : Array.isArray(value)
          ? value
          : undefined
  if (groups === undefined || !groups.every(isGroup)) {
    throw unauthenticated(`the claim ${groupsClaim} is no list of names`)
  }
  if (groups.length > mostGroups) {
    throw unauthenticated(`the claim ${groupsClaim} has more than ${mostGroups} names`, {
      hint: 'Have the identity provider leave out groups that pgwarden is not configured with.',
    })
  }
  return groups
}

function isGroup(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= longestGroup
}

/** Those that can be given as text. A session that needs another one is refused when it begins. */
function claimsOf(payload: JWTPayload, { claims }: ClaimRules): Claims {
  return Object.fromEntries(
    claims.flatMap((name) => {
      const text = textOf(claimAt(payload, name))
      return text === undefined ? [] : [[name, text]]
    }),
  )
}

function textOf(value: unknown): string | undefined {
  switch (typeof value) {
    case 'string':
      return isClaimText(value) ? value : undefined
    case 'number':
      // Past 2^53 two numbers of the token are one here: one person would see another's rows.
      return Number.isInteger(value) && !Number.isSafeInteger(value) ? undefined : String(value)
    case 'boolean':
      return String(value)
    default:
      return undefined
  }
}

/** Names with dots in them are common (`https://pgwarden.example/uid`), so the whole comes first. */
function claimAt(payload: object, path: string): unknown {
  const whole = own(payload, path)
  if (whole !== undefined || !path.includes('.')) return whole
  let value: unknown = payload
  for (const name of path.split('.')) value = own(value, name)
  return value
}

/** `constructor` is in every object, and in no token. */
function own(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
  return Object.getOwnPropertyDescriptor(value, name)?.value
}
