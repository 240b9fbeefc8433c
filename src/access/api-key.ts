// API keys: `pgk_<id>_<secret>`, what services (and people without an identity provider) call the control
// plane with. Made here, shown once, and known afterwards by their SHA-256 only. Ignorant of where they
// are kept and of what they open.

import { Failure } from '../errors.ts'
import { Secret } from '../secret.ts'
import type { Claims } from './access.ts'
import { hashBearer, newBearer } from './bearer.ts'
import { isPrincipal } from './grant.ts'
import { isClaimText, type PrincipalKind, type Scope } from './identity.ts'

const day = 24 * 60 * 60 * 1000
const longestKeyMs = 365 * day

/** What a key is made for. */
export interface ApiKeyTerms {
  readonly principal: string
  readonly kind: PrincipalKind
  readonly groups: readonly string[]
  readonly claims: Claims
  readonly scopes: readonly Scope[]
  readonly durationMs: number
}

/** What anybody who looks after keys may see. Times in milliseconds since the epoch. */
export interface ApiKey extends Omit<ApiKeyTerms, 'durationMs'> {
  readonly id: string
  readonly createdAt: number
  readonly expiresAt: number
  readonly revokedAt: number | undefined
  /** As of a minute ago or so. */
  readonly lastUsedAt: number | undefined
}

/** A key as it is kept. */
export interface StoredApiKey extends ApiKey {
  readonly hash: Buffer
}

export interface NewApiKey {
  readonly record: StoredApiKey
  /** The key itself: for its bearer, once. */
  readonly text: Secret
}

/**
 * A key with these terms. The record is to be stored before the text is handed out.
 * @throws Failure invalid_parameter that says which term is wrong and what is right.
 */
export function newApiKey(terms: ApiKeyTerms, now: number): NewApiKey {
  const { durationMs, ...others } = terms
  if (!isPrincipal(terms.principal)) {
    refuse(
      'a principal is a name of 1 to 128 characters, none a space or invisible, not ending in /<token id>',
    )
  }
  if (terms.scopes.length === 0) refuse('a key needs at least one scope')
  if (terms.groups.some((group) => group === '')) refuse('a group needs a name')
  if (!Object.values(terms.claims).every(isClaimText)) {
    refuse('a claim is a text of at most 1024 characters, none of them a control character')
  }
  if (!Number.isSafeInteger(durationMs) || durationMs <= 0 || durationMs > longestKeyMs) {
    refuse('a key lasts longer than nothing and at most 365 days')
  }
  const { id, text } = newBearer('pgk')
  return {
    record: {
      ...others,
      id,
      hash: hashBearer(text),
      createdAt: now,
      expiresAt: now + durationMs,
      revokedAt: undefined,
      lastUsedAt: undefined,
    },
    text: new Secret(text),
  }
}

/** Whether somebody means this to be a key, good or not. */
export function looksLikeApiKey(text: string): boolean {
  return text.startsWith('pgk_')
}

function refuse(message: string): never {
  throw new Failure('invalid_parameter', { message })
}
