// Who is calling the control plane: a person or a service that an identity provider or an API key vouches
// for. Ignorant of how that was proved.

import type { Claims } from './access.ts'

/** Services are programs: some roles are not for them, and they approve nothing. */
export type PrincipalKind = 'person' | 'service'

/**
 * What a credential may be used for. access: ask, extend, get tokens, end one's own sessions. approve:
 * decide on requests. administer: revoke and end what belongs to others, lift lock-outs. audit: read it.
 * A scope only takes away: whether somebody is an approver or an administrator is for their groups to say.
 */
export type Scope = 'access' | 'approve' | 'administer' | 'audit'

export const scopes: readonly Scope[] = ['access', 'approve', 'administer', 'audit']

export interface Identity {
  readonly principal: string
  readonly kind: PrincipalKind
  /** Groups of the identity provider. */
  readonly groups: readonly string[]
  readonly claims: Claims
  readonly scopes: ReadonlySet<Scope>
  /** What vouches for it, for the audit: `oidc` or the id of an API key. */
  readonly via: string
  /** Milliseconds since the epoch; after this the credential is none. */
  readonly expiresAt: number
}

const longestClaim = 1024

/** Whether a claim can have this value: it may become a parameter of a startup packet, where a NUL ends one. */
export function isClaimText(text: string): boolean {
  return text.length <= longestClaim && !/\p{Cc}/u.test(text)
}
