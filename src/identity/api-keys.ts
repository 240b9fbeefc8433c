// Who calls with an API key. The store is asked each time, so that a key that was revoked is none at the
// next call, on every replica. Ignorant of SQL and of headers.

import type { StoredApiKey } from '../access/api-key.ts'
import { bearerId, hashBearer, noHash, sameHash } from '../access/bearer.ts'
import type { Identity } from '../access/identity.ts'
import type { Clock } from '../clock.ts'
import { unauthenticated } from './refusal.ts'

/** Implemented by store/. */
export interface ApiKeyStore {
  findApiKey(id: string): Promise<StoredApiKey | undefined>
  /** Moves the time of the last use, never back. */
  apiKeyUsed(id: string, at: number): Promise<void>
}

/** Between two notes of a key's use: whether it is used still is for people to know, not each call. */
const noteEveryMs = 60_000
const lookAtIt = 'Look whether all of it was copied, and whether it is a key for this server.'
const makeAnother = 'Have an operator make another: pgwarden key create.'

export class ApiKeys {
  readonly #store: ApiKeyStore
  readonly #clock: Clock
  readonly #onProblem: (error: unknown) => void

  /** `onProblem` hears of uses that could not be noted. */
  constructor(store: ApiKeyStore, clock: Clock, onProblem: (error: unknown) => void) {
    this.#store = store
    this.#clock = clock
    this.#onProblem = onProblem
  }

  /** @throws Failure unauthenticated; cannot_connect_now when the store does not answer. */
  async identify(text: string): Promise<Identity> {
    const id = bearerId('pgk', text)
    const key = id === undefined ? undefined : await this.#store.findApiKey(id)
    const genuine = sameHash(hashBearer(text), key?.hash ?? noHash)
    // One answer for an id that nobody has and a secret that is wrong.
    if (key === undefined || !genuine) {
      throw unauthenticated('there is no such API key', { hint: lookAtIt })
    }
    const now = this.#clock.now()
    // From here on it is the key's bearer who asks, and may know.
    if (key.revokedAt !== undefined) {
      throw unauthenticated('the API key has been revoked', { hint: makeAnother })
    }
    if (now >= key.expiresAt) {
      throw unauthenticated('the API key has expired', { hint: makeAnother })
    }
    if (now - (key.lastUsedAt ?? 0) >= noteEveryMs) {
      this.#store.apiKeyUsed(key.id, now).catch(this.#onProblem)
    }
    const { principal, kind, groups, claims, scopes, expiresAt } = key
    return { principal, kind, groups, claims, scopes: new Set(scopes), via: key.id, expiresAt }
  }
}
