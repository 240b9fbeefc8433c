// Access tokens: `pgw_<id>_<secret>`, sent in the place of a PostgreSQL password. Made here, shown
// once, and known afterwards by their SHA-256 and their SCRAM verifier only. Ignorant of who may use one
// (login.ts) and of where they are kept.
// A fast hash is the right one here: the secret has 256 random bits, so there is nothing to guess.

import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { Secret } from '../secret.ts'
import type { ScramVerifier } from '../wire/scram.ts'
import type { Grant, TokenKind } from './access.ts'
import { randomId } from './id.ts'
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

// No quote, space, semicolon or brace, and far below what drivers and .pgpass lines truncate.
// Bounded repetitions only, so that a hostile 64 KiB password costs nothing to refuse.
const form = /^pgw_([a-z2-7]{16})_[A-Za-z0-9_-]{43}$/
const longest = 200

/** Makes a token of `grant`. The record is to be stored before the text is handed out. */
export async function issueToken(
  grant: Grant,
  kind: TokenKind,
  now: number,
  rules: Pick<TokenRules, 'redeemWithinMs'>,
): Promise<IssuedToken> {
  const id = randomId()
  const text = `pgw_${id}_${randomBytes(32).toString('base64url')}`
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
    hash: hashToken(text),
    verifier: await verifierOf(grant.principal, secret),
    issuedAt: now,
    redeemBy,
  }
  return { record, text: secret }
}

/** The id in a token's text; undefined when the text cannot be a token at all. */
export function tokenId(text: string): string | undefined {
  return text.length > longest ? undefined : form.exec(text)?.[1]
}

/** SHA-256 over the whole text, so that neither half can be exchanged. */
export function hashToken(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

/** In constant time: how much of a guess was right must not be measurable. */
export function sameHash(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b)
}
