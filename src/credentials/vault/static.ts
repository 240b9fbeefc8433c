// Vault's database engine with static roles: a database role that is there already, whose password Vault
// changes now and then. Ignorant of when a password is read.
// Vault documentation: "Database secrets engine", static roles.

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

export function vaultStatic(options: VaultEngineOptions): Engine {
  return new SharedLogin('vault-static', options, readStatic)
}

/** @throws VaultProblem */
export async function readStatic(
  vault: Vault,
  login: VaultLogin,
  patience?: Patience,
): Promise<ToldLogin> {
  const path = pathOf('static', login)
  const { data } = await vault.read(path, patience)
  // Seconds until the next rotation; at 0 it is being rotated, or Vault is late with it.
  const { ttl } = data
  if (typeof ttl !== 'number' || !(ttl >= 0)) throw unusable(path, 'no "ttl"')
  return { ...databaseLogin(path, data), lifeMs: Math.max(1, ttl) * 1000 }
}
