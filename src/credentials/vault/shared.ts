// A login that Vault tells and nobody makes: several grants use one database role, which is there before
// and after them. So nothing is renewed and nothing revoked; what Vault told holds for a while and is then
// read anew. Ignorant of where in Vault it stands.

import type { Grant } from '../../access/access.ts'
import type { LeaseRecord } from '../../access/lease.ts'
import { type Engine, type Issued, LeaseGone } from '../engine.ts'
import {
  type DatabaseLogin,
  loginFor,
  notIssued,
  type VaultEngineOptions,
  type VaultLogin,
} from './login.ts'
import type { Vault } from './vault.ts'

export interface ToldLogin extends DatabaseLogin {
  /** How long it can be believed. */
  readonly lifeMs: number
}

export class SharedLogin implements Engine {
  readonly kind: 'vault-static' | 'vault-kv'
  readonly roles = 'shared'
  readonly #options: VaultEngineOptions
  readonly #ask: (vault: Vault, login: VaultLogin) => Promise<ToldLogin>

  constructor(
    kind: SharedLogin['kind'],
    options: VaultEngineOptions,
    ask: (vault: Vault, login: VaultLogin) => Promise<ToldLogin>,
  ) {
    this.kind = kind
    this.#options = options
    this.#ask = ask
  }

  /** The role is known when Vault has told it. */
  nameFor(): undefined {
    return undefined
  }

  /** Nothing comes into being that could outlive anything. */
  boundFor(grant: Grant): number {
    return grant.endsAt
  }

  async issue(_record: LeaseRecord, grant: Grant): Promise<Issued> {
    const { vault, logins } = this.#options
    const login = loginFor(logins, grant)
    try {
      const told = await this.#ask(vault, login)
      return { ...told, vaultLease: undefined, renewable: false }
    } catch (error) {
      throw notIssued(error)
    }
  }

  async renew(): Promise<number> {
    throw new LeaseGone('a password is not prolonged but read anew')
  }

  /** There is nothing to end: the role is others' as well. */
  async revoke(): Promise<void> {}
}
