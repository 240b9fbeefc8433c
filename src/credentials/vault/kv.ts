// Logins that somebody keeps in Vault's KV store, version 2, for databases that Vault cannot manage: the
// keys "username" and "password" of a secret. Ignorant of who changes them, and of when they are read.
// Vault documentation: "KV secrets engine - version 2".

import type { Engine } from '../engine.ts'
import {
  databaseLogin,
  pathOf,
  unusable,
  type VaultEngineOptions,
  type VaultLogin,
} from './login.ts'
import { SharedLogin, type ToldLogin } from './shared.ts'
import type { Patience, Vault } from './vault.ts'

/** Nothing tells when a secret is changed: after this time it is read anew. */
const believedFor = 5 * 60 * 1000

export function vaultKv(options: VaultEngineOptions): Engine {
  return new SharedLogin('vault-kv', options, readKv)
}

/** @throws VaultProblem */
export async function readKv(
  vault: Vault,
  login: VaultLogin,
  patience?: Patience,
): Promise<ToldLogin> {
  const path = pathOf('kv', login)
  const secret = (await vault.read(path, patience)).data['data']
  if (typeof secret !== 'object' || secret === null) {
    throw unusable(path, 'no "data": is this a KV mount of version 2?')
  }
  return { ...databaseLogin(path, { ...secret }), lifeMs: believedFor }
}
