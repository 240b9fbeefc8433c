// Who calls with an access token of the identity provider: a JWT, verified with jose. What is compared,
// and with what, is decided here; the token decides nothing, not even where its key is to be found.
// RFC 7519; RFC 8725 (best current practices); RFC 9068, section 4.

import { createHash } from 'node:crypto'
import { errors, type JWTPayload, type JWTVerifyResult, jwtVerify } from 'jose'
import { type Identity, scopes } from '../access/identity.ts'
import type { Clock } from '../clock.ts'
import type { Failure } from '../errors.ts'
import { unauthenticated } from './refusal.ts'
import type { SigningKeys } from './signing-keys.ts'
import { bearerOf, type ClaimRules } from './token-claims.ts'

export interface AccessTokenRules extends ClaimRules {
  readonly issuer: string
  /** One of these must be in the token's `aud`. */
  readonly audience: readonly string[]
  readonly clockSkewMs: number
}

/** Signatures only: with a shared secret (HS256) the public key would do for one. */
const algorithms = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
]

/** RFC 9068 says at+jwt; most providers write JWT, some nothing. A logout token is none of these. */
const types: ReadonlySet<string | undefined> = new Set([
  ...[undefined, 'jwt', 'at+jwt', 'application/at+jwt'],
])

/** For how long a token that was verified is not verified again: clients make many calls with one. */
const rememberMs = 60_000
const mostRemembered = 1_000
const latest = 8.64e15
const logInAgain = 'Log in again with: pgwarden login.'

interface Remembered {
  readonly identity: Identity
  readonly until: number
}

export class AccessTokens {
  readonly #rules: AccessTokenRules
  readonly #keys: Pick<SigningKeys, 'find'>
  readonly #clock: Clock
  /** By the SHA-256 of the token, least recently used first. */
  readonly #remembered = new Map<string, Remembered>()

  constructor(rules: AccessTokenRules, keys: Pick<SigningKeys, 'find'>, clock: Clock) {
    this.#rules = rules
    this.#keys = keys
    this.#clock = clock
  }

  /** @throws Failure unauthenticated; cannot_connect_now when the provider's keys cannot be had. */
  async identify(token: string): Promise<Identity> {
    const digest = createHash('sha256').update(token).digest('base64')
    const known = this.#recall(digest)
    if (known !== undefined) return known
    const { payload, protectedHeader } = await this.#verified(token)
    assertAccessToken(payload, protectedHeader.typ)
    const identity: Identity = {
      ...bearerOf(payload, this.#rules),
      // What it may be used for, its bearer's groups say.
      scopes: new Set(scopes),
      via: 'oidc',
      expiresAt: Math.min((payload.exp ?? 0) * 1000 + this.#rules.clockSkewMs, latest),
    }
    this.#remember(digest, identity)
    return identity
  }

  async #verified(token: string): Promise<JWTVerifyResult> {
    const { issuer, audience, clockSkewMs } = this.#rules
    try {
      return await jwtVerify(token, (header) => this.#keys.find(header), {
        algorithms,
        issuer,
        audience: [...audience],
        clockTolerance: clockSkewMs / 1000,
        currentDate: new Date(this.#clock.now()),
        requiredClaims: ['exp', 'sub'],
      })
    } catch (error) {
      throw error instanceof errors.JOSEError ? refusalOf(error) : error
    }
  }

  #recall(digest: string): Identity | undefined {
    const found = this.#remembered.get(digest)
    if (found === undefined) return undefined
    this.#remembered.delete(digest)
    // By both clocks: the machine's may be set, and a token ends by what it says then.
    if (this.#clock.elapsed() >= found.until) return undefined
    if (this.#clock.now() >= found.identity.expiresAt) return undefined
    this.#remembered.set(digest, found)
    return found.identity
  }

  #remember(digest: string, identity: Identity): void {
    const [oldest] = this.#remembered.keys()
    if (this.#remembered.size >= mostRemembered && oldest !== undefined) {
      this.#remembered.delete(oldest)
    }
    this.#remembered.set(digest, { identity, until: this.#clock.elapsed() + rememberMs })
  }
}

/** What the provider signs for other purposes must not open anything here, though audience and key fit. */
function assertAccessToken(payload: JWTPayload, type: string | undefined): void {
  if (!types.has(type?.toLowerCase())) {
    throw unauthenticated('the token is of another type than access tokens are')
  }
  // It says that a login took place, and is shown to clients that are not us.
  if (payload['at_hash'] !== undefined || payload['c_hash'] !== undefined) {
    throw unauthenticated('an ID token is no access token')
  }
  // Good only with a proof of its key (RFC 9449, RFC 8705), which a bearer cannot give.
  if (payload['cnf'] !== undefined) {
    throw unauthenticated('the token is bound to a key, and cannot be used as a bearer token')
  }
}

function refusalOf(error: errors.JOSEError): Failure {
  if (error instanceof errors.JWTExpired) {
    return unauthenticated('the token has expired', { hint: logInAgain }, error)
  }
  if (error instanceof errors.JWTClaimValidationFailed) {
    return unauthenticated(...claimProblem(error.claim), error)
  }
  if (error instanceof errors.JWKSNoMatchingKey) {
    const message = 'the token is signed with a key that the identity provider does not have'
    return unauthenticated(message, { hint: logInAgain }, error)
  }
  return unauthenticated('the token cannot be verified', { hint: logInAgain }, error)
}

function claimProblem(claim: string): [message: string, more: { detail?: string; hint?: string }] {
  switch (claim) {
    case 'aud':
      return ['the token is not meant for pgwarden', { detail: 'Its audience is another one.' }]
    case 'iss':
      return ['the token was issued by another identity provider', { hint: logInAgain }]
    case 'nbf':
      return ['the token is not valid yet', { detail: 'The clocks may disagree.' }]
    default:
      return [`the claim ${claim} of the token is missing or cannot be used`, { hint: logInAgain }]
  }
}
