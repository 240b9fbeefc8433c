// How the logins of one target are had from Vault: which engine serves which pgwarden role. Ignorant of
// what the engines do.

import type { LeaseEngine } from '../../access/lease.ts'
import type { Clock } from '../../clock.ts'
import {
  type Engine,
  type Monitor,
  noSuchRole,
  type Place,
  type TargetCredentials,
} from '../engine.ts'
import { VaultDynamic } from './dynamic.ts'
import { vaultKv } from './kv.ts'
import type { VaultLogin } from './login.ts'
import { vaultStatic } from './static.ts'
import type { Vault } from './vault.ts'

export interface VaultCredentialsOptions {
  /** The target's name. */
  readonly name: string
  readonly place: Place
  readonly vault: Vault
  readonly clock: Clock
  readonly monitor: Monitor | undefined
  readonly share: TargetCredentials['share']
  readonly unusedTimeoutMs: number | undefined
  /** By pgwarden role. */
  readonly roles: ReadonlyMap<string, VaultLogin & { readonly engine: 'dynamic' | 'static' | 'kv' }>
}

export function vaultCredentials(options: VaultCredentialsOptions): TargetCredentials {
  const { name, place, vault, clock, monitor, share, unusedTimeoutMs, roles } = options
  const logins = { vault, logins: roles }
  const engines = {
    dynamic: new VaultDynamic(logins, clock),
    static: vaultStatic(logins),
    kv: vaultKv(logins),
  }
  return {
    place,
    monitor,
    share,
    unusedTimeoutMs,
    engineFor: (role) => {
      const login = roles.get(role)
      if (login === undefined) throw noSuchRole(name, role)
      return engines[login.engine]
    },
    // All three, whatever is configured now: a lease may be older than the configuration.
    engineOf: (kind: LeaseEngine) =>
      Object.values<Engine>(engines).find((engine) => engine.kind === kind),
  }
}
