// The login check: what a client has shown of its token becomes an Authorization or a reason. It has
// either sent the token in the place of a password, or proved by SCRAM to have it. Ignorant of SQL: the
// store is a port.
// To a stranger every refusal is one and the same, after the same work: one look-up, one comparison
// for each token found and at least one, one redemption. Otherwise answer or timing would tell which
// tokens, principals and targets exist. The reason is for the audit and the log.

import type { Clock } from '../clock.ts'
import type { Secret } from '../secret.ts'
import { proves, type ScramProof, serverFinal } from '../wire/scram-server.ts'
import type { Grant } from './access.ts'
import { Authorization } from './authorization.ts'
import { bearerId, hashBearer, noHash, sameHash } from './bearer.ts'
import type { Claim } from './claim.ts'
import { standing } from './grant.ts'
import type { GrantChanges } from './grant-changes.ts'
import type { TokenRules } from './token.ts'
import type { StoredToken, TokenStore } from './token-store.ts'

/** What a client has shown. */
export type Proof =
  | { readonly type: 'token'; readonly text: Secret }
  | { readonly type: 'scram'; readonly proof: ScramProof }

export interface LoginAttempt {
  readonly claim: Claim
  readonly proof: Proof
  /** The target that the client asked for; undefined when its database name leads to none. */
  readonly target: string | undefined
  /** The client's address without port, always written in the same way. */
  readonly address: string
}

export type RefusalReason =
  | 'malformed'
  | 'unknown'
  | 'wrong_secret'
  | 'wrong_principal'
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
  /** For a SCRAM client: the proof that its token is known here. */
  readonly serverFinal: Buffer | undefined
}

/** The token is genuine and could be used now, but not for what was asked. It was not redeemed. */
export interface Misdirected {
  readonly type: 'misdirected'
  readonly reason: 'wrong_target' | 'unknown_target'
  readonly grant: Grant
  readonly tokenId: string
  /** Targets of the principal's grants in force. */
  readonly granted: readonly string[]
  readonly serverFinal: Buffer | undefined
}

export interface Refused {
  readonly type: 'refused'
  readonly reason: RefusalReason
  /** What the client claimed to have; anybody can claim any. */
  readonly tokenId: string | undefined
  /** Known only where the secret was right, so that nobody is blamed for a stranger's guess. */
  readonly grant: Grant | undefined
}

/** What is known of a client's token. */
type Found =
  | { readonly type: 'genuine'; readonly token: StoredToken; readonly serverFinal?: Buffer }
  | {
      readonly type: 'unproven'
      readonly reason: 'malformed' | 'unknown' | 'wrong_secret'
      readonly tokenId: string | undefined
    }

// No token has this id, and no key hashes to that of the verifier.
const nobody = ''
const nobodysVerifier = { storedKey: noHash }

/** How many tokens of a principal one exchange is held against. */
const mostProvable = 32
const mostGranted = 32
const day = 24 * 60 * 60 * 1000

export class TokenLogin {
  readonly #tokens: TokenStore
  readonly #clock: Clock
  readonly #rules: () => Pick<TokenRules, 'sittingGraceMs' | 'sittingLogins'>
  readonly #changes: GrantChanges

  /** `changes` is what authorizations ask from then on. */
  constructor(
    tokens: TokenStore,
    clock: Clock,
    rules: () => Pick<TokenRules, 'sittingGraceMs' | 'sittingLogins'>,
    changes: GrantChanges,
  ) {
    this.#tokens = tokens
    this.#clock = clock
    this.#rules = rules
    this.#changes = changes
  }

  /** @throws whatever the store throws when it cannot answer. */
  async verify(attempt: LoginAttempt): Promise<Authorized | Misdirected | Refused> {
    const { address, claim, target } = attempt
    const found = await this.#find(attempt)
    const now = this.#clock.now()
    const { sittingGraceMs, sittingLogins } = this.#rules()
    const refusal =
      found.type === 'genuine' ? this.#unusable(found.token, attempt, now) : found.reason
    const redeemed =
      found.type === 'genuine' && refusal === undefined && found.token.grant.target === target
    const counted = await this.#tokens.redeem({
      tokenId: redeemed ? found.token.id : nobody,
      address,
      now,
      sittingUntil: now + sittingGraceMs,
      sittingLogins,
    })
    if (found.type === 'unproven') return { ...found, type: 'refused', grant: undefined }

    const { grant, groups, id: tokenId } = found.token
    if (redeemed && counted) {
      const authorization = Authorization.mint(grant, tokenId, address, this.#changes, groups)
      return { type: 'authorized', authorization, serverFinal: found.serverFinal }
    }
    if (redeemed || refusal !== undefined) {
      return { type: 'refused', reason: refusal ?? 'overtaken', tokenId, grant }
    }
    return {
      type: 'misdirected',
      reason: target === undefined ? 'unknown_target' : 'wrong_target',
      grant,
      tokenId,
      granted: await this.#tokens.grantedTargets(claim.principal, now, mostGranted),
      serverFinal: found.serverFinal,
    }
  }

  #find(attempt: LoginAttempt): Promise<Found> {
    const { proof } = attempt
    return proof.type === 'token'
      ? this.#findSent(attempt.claim, proof.text)
      : this.#findProved(attempt, proof.proof)
  }

  async #findSent(claim: Claim, secret: Secret): Promise<Found> {
    const text = secret.reveal()
    const written = bearerId('pgw', text)
    const id = claim.tokenId ?? written
    const hash = hashBearer(text)
    const token = await this.#tokens.findToken(id ?? nobody)
    const genuine = sameHash(hash, token?.hash ?? noHash)
    if (written === undefined) return { type: 'unproven', reason: 'malformed', tokenId: id }
    if (token === undefined) return { type: 'unproven', reason: 'unknown', tokenId: id }
    if (!genuine) return { type: 'unproven', reason: 'wrong_secret', tokenId: id }
    return { type: 'genuine', token }
  }

  /** The exchange was about a secret, and only one token has it. */
  async #findProved({ claim, target }: LoginAttempt, proof: ScramProof): Promise<Found> {
    const now = this.#clock.now()
    const tokens = await this.#tokens.findProvable({
      ...claim,
      target,
      now,
      endedAfter: now - day,
      limit: mostProvable,
    })
    let found: Found | undefined
    for (const token of tokens) {
      if (!proves(proof, token.verifier)) continue
      found = { type: 'genuine', token, serverFinal: serverFinal(proof, token.verifier) }
    }
    if (tokens.length === 0) proves(proof, nobodysVerifier)
    const reason = tokens.length === 0 ? 'unknown' : 'wrong_secret'
    return found ?? { type: 'unproven', reason, tokenId: claim.tokenId }
  }

  /** Why this token lets nobody in from there now. Undefined: nothing known speaks against it. */
  #unusable(
    token: StoredToken,
    { claim, address }: LoginAttempt,
    now: number,
  ): RefusalReason | undefined {
    if (token.grant.principal !== claim.principal) return 'wrong_principal'
    if (token.revokedAt !== undefined) return 'revoked'
    const grant = standing(token.grant, now)
    if (grant !== 'in_force') return grant
    return this.#usedUp(token, address, now)
  }

  #usedUp(token: StoredToken, address: string, now: number): RefusalReason | undefined {
    if (token.kind === 'reusable') return undefined
    if (token.redeemedAt === undefined) {
      return now < token.redeemBy ? undefined : 'not_redeemed_in_time'
    }
    const { sitting } = token
    if (token.kind === 'single-use' || sitting === undefined || now >= sitting.until) return 'spent'
    if (sitting.address !== address) return 'other_address'
    return sitting.logins < this.#rules().sittingLogins ? undefined : 'too_many_logins'
  }
}
