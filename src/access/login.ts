// The login check: a token, as a client sent it in the place of a password, becomes an Authorization
// or a reason. Ignorant of the wire and of SQL: the store is a port.
// To the client every refusal is one and the same, after the same work: one hash, one lookup, one
// comparison, one redemption. Otherwise its answer or its timing would tell a stranger which tokens,
// principals and targets exist. The reason is for the audit and the log.

import type { Clock } from '../clock.ts'
import type { Secret } from '../secret.ts'
import type { Grant } from './access.ts'
import { Authorization } from './authorization.ts'
import { standing } from './grant.ts'
import { hashToken, sameHash, type TokenRecord, type TokenRules, tokenId } from './token.ts'

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
  readonly redeemedAt: number | undefined
  readonly revokedAt: number | undefined
  readonly sitting: Sitting | undefined
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

/** Implemented by store/. */
export interface TokenStore {
  findToken(id: string): Promise<StoredToken | undefined>
  /**
   * Counts the login if, in that same atomic step, token and grant are in force and the token is
   * reusable; or never redeemed and still in time; or one-time with its sitting open for this
   * address and below its limit of logins. Whether it was counted.
   */
  redeem(redemption: Redemption): Promise<boolean>
  /** Moves the end of these tokens' sittings to `until`, never back. Other kinds are left alone. */
  keepSittings(tokenIds: readonly string[], until: number): Promise<void>
}

export interface LoginAttempt {
  /** `user` and `database` of the startup packet. */
  readonly user: string
  readonly database: string
  readonly password: Secret
  /** The client's address without port, always written in the same way. */
  readonly address: string
}

export type RefusalReason =
  | 'malformed'
  | 'unknown'
  | 'wrong_secret'
  | 'wrong_principal'
  | 'wrong_target'
  | 'revoked'
  | 'not_yet'
  | 'expired'
  | 'not_redeemed_in_time'
  | 'other_address'
  | 'too_many_logins'
  | 'spent'
  /** Another login, a revoke or the clock came between lookup and redemption. */
  | 'overtaken'

export interface Authorized {
  readonly type: 'authorized'
  readonly authorization: Authorization
}

export interface Refused {
  readonly type: 'refused'
  readonly reason: RefusalReason
  /** What the client claimed to have; anybody can claim any. */
  readonly tokenId: string | undefined
  /** Known only where the secret was right, so that nobody is blamed for a stranger's guess. */
  readonly grant: Grant | undefined
}

// No token has this id, and no input hashes to this value.
const nobody = ''
const noHash = Buffer.alloc(32)

export class TokenLogin {
  readonly #tokens: TokenStore
  readonly #clock: Clock
  readonly #rules: Pick<TokenRules, 'sittingGraceMs' | 'sittingLogins'>

  constructor(
    tokens: TokenStore,
    clock: Clock,
    rules: Pick<TokenRules, 'sittingGraceMs' | 'sittingLogins'>,
  ) {
    this.#tokens = tokens
    this.#clock = clock
    this.#rules = rules
  }

  /** @throws whatever the store throws when it cannot answer. */
  async verify(attempt: LoginAttempt): Promise<Authorized | Refused> {
    const text = attempt.password.reveal()
    const id = tokenId(text)
    const hash = hashToken(text)
    const token = await this.#tokens.findToken(id ?? nobody)
    const now = this.#clock.now()
    const genuine = sameHash(hash, token?.hash ?? noHash)

    const refusal = this.#refusal(attempt, id, token, genuine, now)
    const counted = await this.#tokens.redeem({
      tokenId: refusal === undefined && token !== undefined ? token.id : nobody,
      address: attempt.address,
      now,
      sittingUntil: now + this.#rules.sittingGraceMs,
      sittingLogins: this.#rules.sittingLogins,
    })
    if (token !== undefined && refusal === undefined && counted) {
      const authorization = Authorization.mint(token.grant, token.id, attempt.address)
      return { type: 'authorized', authorization }
    }
    return {
      type: 'refused',
      reason: refusal ?? 'overtaken',
      tokenId: id,
      grant: genuine ? token?.grant : undefined,
    }
  }

  /** Undefined: nothing known speaks against it, so the redemption decides. */
  #refusal(
    attempt: LoginAttempt,
    id: string | undefined,
    token: StoredToken | undefined,
    genuine: boolean,
    now: number,
  ): RefusalReason | undefined {
    if (id === undefined) return 'malformed'
    if (token === undefined) return 'unknown'
    if (!genuine) return 'wrong_secret'
    if (token.grant.principal !== attempt.user) return 'wrong_principal'
    if (token.grant.target !== attempt.database) return 'wrong_target'
    if (token.revokedAt !== undefined) return 'revoked'
    const grant = standing(token.grant, now)
    if (grant !== 'in_force') return grant
    return this.#usedUp(token, attempt.address, now)
  }

  #usedUp(token: StoredToken, address: string, now: number): RefusalReason | undefined {
    if (token.kind === 'reusable') return undefined
    if (token.redeemedAt === undefined) {
      return now < token.redeemBy ? undefined : 'not_redeemed_in_time'
    }
    const { sitting } = token
    if (token.kind === 'single-use' || sitting === undefined || now >= sitting.until) return 'spent'
    if (sitting.address !== address) return 'other_address'
    return sitting.logins < this.#rules.sittingLogins ? undefined : 'too_many_logins'
  }
}
