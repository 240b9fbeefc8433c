// The keys that the identity provider signs with, held and renewed. A provider that is down for a while
// is not noticed by whoever has a token: keys that are known go on. Tokens name keys that nobody knows
// as often as strangers like, so the provider is asked at most every half minute.
// jose's own remote key set forgets its keys when they cannot be renewed, and takes its own time: hence
// this one around its local one. OpenID Connect Discovery 1.0, section 4; RFC 7517.

import {
  createLocalJWKSet,
  errors,
  type JSONWebKeySet,
  type JWSHeaderParameters,
  type LocalJWKSet,
} from 'jose'
import type { Clock } from '../clock.ts'
import { Failure } from '../errors.ts'

export interface SigningKeysOptions {
  readonly issuer: string
  /** Where the keys are; undefined: where the issuer's metadata say. */
  readonly jwks: string | undefined
  readonly fetch: (url: string) => Promise<unknown>
  readonly clock: Clock
  /** Hears of renewals that failed while the keys go on being used. */
  readonly onProblem: (error: unknown) => void
}

/** After this the keys are asked for anew, behind whoever needs them. */
const freshMs = 10 * 60_000
/**
 * After this they are used no more: a key that was withdrawn must not open anything for ever to whoever
 * keeps the provider from being heard. Access tokens live no longer, as a rule.
 */
const keepMs = 60 * 60_000
const askEveryMs = 30_000
/** While there are no keys at all. */
const tryEveryMs = 2_000
const mostKeys = 100

export class SigningKeys {
  readonly #options: SigningKeysOptions
  #held: { readonly find: LocalJWKSet; readonly at: number } | undefined
  #triedAt = Number.NEGATIVE_INFINITY
  #renewing: Promise<void> | undefined

  constructor(options: SigningKeysOptions) {
    this.#options = options
  }

  /**
   * The key that a token with this header was signed with, if the provider has it.
   * @throws what jose throws when it has not; Failure cannot_connect_now when that cannot be known.
   */
  async find(header: JWSHeaderParameters): Promise<Awaited<ReturnType<LocalJWKSet>>> {
    const find = await this.#current()
    try {
      return await find(header)
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey) || this.#sinceTried < askEveryMs) throw error
    }
    // Keys are rotated: the provider may have one since, and another is about to be withdrawn.
    await this.#renewed()
    return (this.#held?.find ?? find)(header)
  }

  async #current(): Promise<LocalJWKSet> {
    const held = this.#held
    const age = held === undefined ? keepMs : this.#options.clock.elapsed() - held.at
    if (held !== undefined && age < keepMs) {
      if (age >= freshMs && this.#sinceTried >= askEveryMs) {
        this.#renewed().catch(this.#options.onProblem)
      }
      return held.find
    }
    if (this.#renewing === undefined && this.#sinceTried < tryEveryMs) throw silent()
    await this.#renewed()
    if (this.#held === undefined) throw silent()
    return this.#held.find
  }

  get #sinceTried(): number {
    return this.#options.clock.elapsed() - this.#triedAt
  }

  /** All who wait for the keys wait for one answer. */
  #renewed(): Promise<void> {
    this.#renewing ??= this.#renew().finally(() => {
      this.#renewing = undefined
    })
    return this.#renewing
  }

  async #renew(): Promise<void> {
    const { clock, fetch, jwks } = this.#options
    this.#triedAt = clock.elapsed()
    try {
      const keys = await fetch(jwks ?? (await this.#jwksAddress()))
      if (!isKeySet(keys))
        throw new Error('the key set of the identity provider holds no list of keys')
      this.#held = { find: createLocalJWKSet(keys), at: clock.elapsed() }
    } catch (cause) {
      throw silent(cause)
    }
  }

  async #jwksAddress(): Promise<string> {
    const { issuer, fetch } = this.#options
    const metadata = await fetch(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`)
    if (typeof metadata !== 'object' || metadata === null) {
      throw new Error('the metadata of the identity provider are no object')
    }
    // Section 4.3: metadata of another issuer, on a host of many, would bring that one's keys.
    if (!('issuer' in metadata) || metadata.issuer !== issuer) {
      throw new Error(`the metadata are not those of the issuer ${issuer}`)
    }
    if (!('jwks_uri' in metadata) || typeof metadata.jwks_uri !== 'string') {
      throw new Error('the metadata of the identity provider name no jwks_uri')
    }
    return metadata.jwks_uri
  }
}

function isKeySet(document: unknown): document is JSONWebKeySet {
  return (
    typeof document === 'object' &&
    document !== null &&
    'keys' in document &&
    Array.isArray(document.keys) &&
    document.keys.length <= mostKeys
  )
}

function silent(cause?: unknown): Failure {
  return new Failure(
    'cannot_connect_now',
    {
      message: 'pgwarden cannot read the keys of the identity provider',
      detail: 'Who is calling cannot be checked at the moment.',
      hint: 'Try again in a moment; if it stays like this, tell your administrator.',
    },
    { cause },
  )
}
