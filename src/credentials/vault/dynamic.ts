// Vault's database engine with dynamic roles: Vault makes a database role for each lease, and drops it
// when the lease is revoked or has run out. Ignorant of when a lease is renewed or revoked.
// Vault documentation: "Database secrets engine", and /sys/leases of its HTTP API.

import type { Grant } from '../../access/access.ts'
import type { LeaseRecord } from '../../access/lease.ts'
import type { Clock } from '../../clock.ts'
import { type Engine, type Issued, LeaseGone } from '../engine.ts'
import {
  type DatabaseLogin,
  databaseLogin,
  loginFor,
  notIssued,
  pathOf,
  unusable,
  type VaultEngineOptions,
  type VaultLogin,
} from './login.ts'
import { VaultProblem } from './problem.ts'
import type { Patience, Vault, VaultResponse } from './vault.ts'

/** Vault's own limit where nobody has set another (max_lease_ttl): 768 hours. */
const longestLease = 768 * 60 * 60 * 1000
/** How late a question may come to Vault: waiting for it, and a server that was away and woke up. */
const lateMs = 5 * 60 * 1000

export class VaultDynamic implements Engine {
  readonly kind = 'vault-dynamic'
  readonly roles = 'own'
  readonly #vault: Vault
  readonly #clock: Clock
  readonly #logins: ReadonlyMap<string, VaultLogin>
  /** By pgwarden role: how long the last lease was issued for. */
  readonly #lives = new Map<string, number>()

  constructor({ vault, logins }: VaultEngineOptions, clock: Clock) {
    this.#vault = vault
    this.#clock = clock
    this.#logins = logins
  }

  /** Vault chooses it, by the username_template of its database connection. */
  nameFor(): undefined {
    return undefined
  }

  /**
   * Vault ends what a token was issued together with the token, and everything at its own limit. A lease
   * that nobody knows is renewed by nobody either: it lives as long as the one before it was issued for.
   */
  boundFor({ role }: Grant): number {
    const { endsAt = Number.POSITIVE_INFINITY } = this.#vault.token ?? {}
    const tokenMs = Math.max(0, endsAt - this.#clock.elapsed())
    const life = this.#lives.get(role)
    const leaseMs = life === undefined ? longestLease : life + lateMs
    return this.#clock.now() + Math.min(tokenMs, leaseMs)
  }

  async issue(_record: LeaseRecord, grant: Grant): Promise<Issued> {
    const wanted = loginFor(this.#logins, grant)
    try {
      const { leaseId, leaseMs, renewable, token, ...login } = await issueLease(this.#vault, wanted)
      this.#lives.set(grant.role, leaseMs)
      return { ...login, vaultLease: leaseId, lifeMs: leaseMs, renewable, limit: token }
    } catch (error) {
      throw notIssued(error)
    }
  }

  async renew(record: LeaseRecord, until: number): Promise<number> {
    const now = this.#clock.now()
    // An increment of 0 would be Vault's default, which may be longer than what was asked for.
    const increment = Math.max(1, Math.floor((until - now) / 1000))
    try {
      const { leaseMs } = await this.#vault.write('sys/leases/renew', {
        lease_id: leaseOf(record),
        increment,
      })
      // What ends a lease says so: of an answer without a life its sessions must not die.
      if (leaseMs <= 0) throw unusable('sys/leases/renew', 'no "lease_duration"')
      return now + leaseMs
    } catch (error) {
      if (error instanceof VaultProblem && error.kind === 'missing') {
        throw new LeaseGone('Vault does not know the lease any more', { cause: error })
      }
      throw error
    }
  }

  async revoke(record: LeaseRecord): Promise<void> {
    await revokeLease(this.#vault, leaseOf(record))
  }
}

/** A lease of the database engine, and what logs in with it. */
export interface DynamicLogin extends DatabaseLogin, Omit<VaultResponse, 'data'> {}

/** One that cannot be used is not left behind: nobody else has its id. @throws VaultProblem */
export async function issueLease(
  vault: Vault,
  login: VaultLogin,
  patience?: Patience,
): Promise<DynamicLogin> {
  const path = pathOf('dynamic', login)
  const { data, ...lease } = await vault.read(path, patience)
  const { leaseId, leaseMs } = lease
  try {
    if (leaseId === '') throw unusable(path, 'no lease: is this a database mount?')
    if (!/^\P{Cc}{1,1000}$/u.test(leaseId)) throw unusable(path, 'no "lease_id" to be kept')
    if (leaseMs <= 0) throw unusable(path, 'a lease without a life')
    return { ...databaseLogin(path, data), ...lease }
  } catch (error) {
    // That it is not revoked must not pass for "nothing was issued".
    if (leaseId !== '') await revokeLease(vault, leaseId).catch(stillThere)
    throw error
  }
}

/**
 * `sync`: Vault answers when its revocation statements have run. An unknown lease is revoked already.
 * @throws VaultProblem
 */
export async function revokeLease(
  vault: Vault,
  leaseId: string,
  patience?: Patience,
): Promise<void> {
  await vault.write('sys/leases/revoke', { lease_id: leaseId, sync: true }, patience)
}

function leaseOf({ vaultLease }: LeaseRecord): string {
  if (vaultLease !== undefined) return vaultLease
  throw new Error('a lease whose id was never heard can only run out')
}

function stillThere(error: unknown): never {
  throw error instanceof VaultProblem
    ? new VaultProblem(error.kind, error.message, { unanswered: true })
    : error
}
