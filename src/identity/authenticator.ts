// Who is calling: the Authorization header of a call, to the identity that it proves. Two kinds of
// credentials, told apart by how they begin. Ignorant of what either may do.
// RFC 6750, section 2.1.

import { looksLikeApiKey } from '../access/api-key.ts'
import type { Identity } from '../access/identity.ts'
import type { Clock } from '../clock.ts'
import { type AccessTokenRules, AccessTokens } from './access-tokens.ts'
import { type ApiKeyStore, ApiKeys } from './api-keys.ts'
import { fetchDocument } from './documents.ts'
import { unauthenticated } from './refusal.ts'
import { SigningKeys } from './signing-keys.ts'

export interface AuthenticatorOptions {
  /** Without an identity provider only API keys are taken. */
  readonly oidc:
    | (AccessTokenRules & {
        /** Where its keys are, when not where its metadata say. */
        readonly jwks: string | undefined
        /** PEM; the authorities that Node trusts when absent. */
        readonly ca: string | undefined
      })
    | undefined
  readonly keys: ApiKeyStore
  readonly clock: Clock
  /** Hears of what failed and stopped nobody. */
  readonly onProblem: (error: unknown) => void
}

/** More than any provider's tokens have; what is longer is not looked at. */
const longestCredential = 16 * 1024

const logIn =
  'Log in with: pgwarden login; programs send an API key as "Authorization: Bearer pgk_..."'

export class Authenticator {
  readonly #keys: Pick<ApiKeys, 'identify'>
  readonly #tokens: Pick<AccessTokens, 'identify'> | undefined

  constructor(keys: Pick<ApiKeys, 'identify'>, tokens: Pick<AccessTokens, 'identify'> | undefined) {
    this.#keys = keys
    this.#tokens = tokens
  }

  /** Asks nobody anything yet. */
  static of({ oidc, keys, clock, onProblem }: AuthenticatorOptions): Authenticator {
    const apiKeys = new ApiKeys(keys, clock, onProblem)
    if (oidc === undefined) return new Authenticator(apiKeys, undefined)
    const { issuer, jwks, ca } = oidc
    const fetch = (url: string): Promise<unknown> => fetchDocument(url, { ca })
    const signingKeys = new SigningKeys({ issuer, jwks, fetch, clock, onProblem })
    return new Authenticator(apiKeys, new AccessTokens(oidc, signingKeys, clock))
  }

  /**
   * @throws Failure unauthenticated with what is wrong; cannot_connect_now when it cannot be told now,
   * because the store or the identity provider does not answer.
   */
  async identify(authorization: string | undefined): Promise<Identity> {
    if (authorization === undefined) {
      throw unauthenticated('the call does not say who is calling', { hint: `${logIn}.` })
    }
    if (authorization.length > longestCredential) {
      throw unauthenticated('the credential is longer than any that is taken')
    }
    const credential = /^Bearer +([A-Za-z0-9._~+/=-]+) *$/i.exec(authorization)?.[1]
    if (credential === undefined) {
      throw unauthenticated('the Authorization header holds no bearer token', { hint: `${logIn}.` })
    }
    if (looksLikeApiKey(credential)) return this.#keys.identify(credential)
    if (this.#tokens === undefined) {
      throw unauthenticated('only API keys are taken here', {
        hint: 'Send a key that begins with pgk_; logins need an identity provider (identity.oidc).',
      })
    }
    return this.#tokens.identify(credential)
  }
}
