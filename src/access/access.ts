// Who may reach what, until when: the words shared by every room. State changes live beside this file.

import type { Secret } from '../secret.ts'

/** Which relations may be touched, as patterns of `schema.name` with `*` for either. Deny beats the others. */
export interface RelationRules {
  /** Neither read nor written. */
  readonly deny?: readonly string[]
  /** When given, nothing else may be read. */
  readonly read?: readonly string[]
  /** When given, nothing else may be written. */
  readonly write?: readonly string[]
}

/** What the identity provider says of a principal, as text: `{ uid: '42' }`. */
export type Claims = Readonly<Record<string, string>>

export interface Grant {
  readonly id: string
  /** The authenticated person or service, as in the startup packet's `user`. */
  readonly principal: string
  readonly target: string
  readonly role: string
  /** Milliseconds since the epoch. In force from startsAt (inclusive) to endsAt (exclusive). */
  readonly startsAt: number
  readonly endsAt: number
  readonly revokedAt: number | undefined
  readonly reason: string
  /** The access request that it came from, where there was one. */
  readonly requestId: string | undefined
  /** What was asked for is less than the role allows; undefined: all that it allows. */
  readonly relations: RelationRules | undefined
  /** Of the principal when it asked: those that the sessions need (session context). */
  readonly claims: Claims
}

/** one-time: one sitting from one address. single-use: exactly one login. reusable: until the grant ends. */
export type TokenKind = 'one-time' | 'single-use' | 'reusable'

/** An issued database login: what the upstream is opened with. Never shown to the principal. */
export interface Lease {
  readonly id: string
  readonly grantId: string
  /** The database role that logs in. */
  readonly user: string
  readonly password: Secret
  /** What Vault calls it, where it comes from there; for the audit. */
  readonly vaultLease: string | undefined
}
