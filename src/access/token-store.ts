// Tokens as the store knows them, and what the login check asks of it. Ignorant of how a token was shown
// (login.ts) and of SQL.

import type { ScramVerifier } from '../wire/scram.ts'
import type { Grant } from './access.ts'
import type { Claim } from './claim.ts'
import type { TokenRecord } from './token.ts'

/** The one place and time in which a one-time token is good. */
interface Sitting {
  readonly address: string
  /** It ends by itself unless somebody who has a session of it open keeps moving this. */
  readonly until: number
  readonly logins: number
}

/** A token as the store knows it. */
export interface StoredToken extends TokenRecord {
  readonly grant: Grant
  /** The principal's, as the request says that the grant came from; undefined where there was none. */
  readonly groups: readonly string[] | undefined
  readonly redeemedAt: number | undefined
  readonly revokedAt: number | undefined
  readonly sitting: Sitting | undefined
}

/** One that SCRAM can be about. */
export interface ProvableToken extends StoredToken {
  readonly verifier: ScramVerifier
}

/** One attempt to log in, for the store to accept or refuse in one atomic step. */
export interface Redemption {
  readonly tokenId: string
  readonly address: string
  readonly now: number
  /** Until when the sitting lasts if this login is accepted. */
  readonly sittingUntil: number
  readonly sittingLogins: number
}

/** Which tokens a SCRAM exchange may be about. */
export interface TokenSearch extends Claim {
  /** Tokens for this one come first. */
  readonly target: string | undefined
  readonly now: number
  /** Tokens of grants that ended before this are left out: nobody needs to be told their reason. */
  readonly endedAfter: number
  readonly limit: number
}

/** Implemented by store/. */
export interface TokenStore {
  findToken(id: string): Promise<StoredToken | undefined>
  /**
   * Tokens of the principal that have a verifier; with a tokenId only that one. Those for the target
   * come first, among them those that can still be used, among them the newest.
   */
  findProvable(search: TokenSearch): Promise<readonly ProvableToken[]>
  /** The targets of the principal's grants in force, by name; at most `limit`. */
  grantedTargets(principal: string, now: number, limit: number): Promise<readonly string[]>
  /**
   * Counts the login if, in that same atomic step, token and grant are in force and the token is
   * reusable; or never redeemed and still in time; or one-time with its sitting open for this
   * address and below its limit of logins. Whether it was counted.
   */
  redeem(redemption: Redemption): Promise<boolean>
  /** Moves the end of these tokens' sittings to `until`, never back. Other kinds are left alone. */
  keepSittings(tokenIds: readonly string[], until: number): Promise<void>
}
