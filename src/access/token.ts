// Access tokens: `pgw_<id>_<secret>`, sent in the place of a PostgreSQL password. Made here, shown
// once, and known afterwards by their SHA-256 and their SCRAM verifier only. Ignorant of who may use one
// (login.ts) and of where they are kept.

import { Secret } from '../secret.ts'
import type { ScramVerifier } from '../wire/scram.ts'
import type { Grant, TokenKind } from './access.ts'
import { hashBearer, newBearer } from './bearer.ts'
import { verifierOf } from './verifier.ts'

/** How long and how often a token is good. */
export interface TokenRules {
  /** From issue to the first login; after that an unused token is dead. */
  readonly redeemWithinMs: number
  /** How long a one-time token's sitting outlives its last session. */
  readonly sittingGraceMs: number
  /** How many logins one sitting may have. */
  readonly sittingLogins: number
}

/** What is kept of a token when it is issued. */
export interface TokenRecord {
  readonly id: string
  readonly grantId: string
  readonly kind: TokenKind
  readonly hash: Buffer
  /** Undefined for a token that an earlier version issued: it can only be sent, not proved. */
  readonly verifier: ScramVerifier | undefined
  /** Milliseconds since the epoch, like every time here. */
  readonly issuedAt: number
  readonly redeemBy: number
}

export interface IssuedToken {
  readonly record: TokenRecord
  /** The token itself: for its bearer, once. */
  readonly text: Secret
}

/** Makes a token of `grant`. The record is to be stored before the text is handed out. */
export async function issueToken(
  grant: Grant,
  kind: TokenKind,
  now: number,
  rules: Pick<TokenRules, 'redeemWithinMs'>,
): Promise<IssuedToken> {
  const { id, text } = newBearer('pgw')
  const secret = new Secret(text)
  // A BI tool's token may wait for the first report; the others are meant for somebody at a keyboard.
  const redeemBy =
    kind === 'reusable'
      ? grant.endsAt
      : Math.min(Math.max(now, grant.startsAt) + rules.redeemWithinMs, grant.endsAt)
  const record = {
    id,
    grantId: grant.id,
    kind,
    hash: hashBearer(text),
    verifier: await verifierOf(grant.principal, secret),
    issuedAt: now,
    redeemBy,
  }
  return { record, text: secret }
}
