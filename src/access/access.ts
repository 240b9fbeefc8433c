// Who may reach what, until when: the words shared by every room. State changes live beside this file.

import type { Secret } from '../secret.ts'

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
