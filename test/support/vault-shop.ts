// A Vault that issues logins to the tests' PostgreSQL, and what a test asks both of them about it.

import { randomBytes } from 'node:crypto'
import { connectedTo } from './databases.ts'
import { startVault, type Vault } from './vault.ts'
import { type VaultDatabase, vaultFor } from './vault-database.ts'

export interface RoleTimes {
  /** Like `30s`. */
  readonly ttl: string
  readonly maxTtl: string
}

interface TokenOptions {
  readonly ttl?: string
  readonly renewable?: boolean
}

/** A superuser, so that what holds is pgwarden alone. */
const creation = [
  `create role "{{name}}" login superuser password '{{password}}' valid until '{{expiration}}'`,
]

export class VaultShop {
  readonly vault: Vault
  /** The mounts. It has the dynamic role `shop` and the static role `app`. */
  readonly mounts: VaultDatabase
  /** The database role of the static role. */
  readonly staticUser: string
  readonly #adminUrl: string

  private constructor(vault: Vault, mounts: VaultDatabase, staticUser: string, adminUrl: string) {
    this.vault = vault
    this.mounts = mounts
    this.staticUser = staticUser
    this.#adminUrl = adminUrl
  }

  /** `roles`: dynamic ones besides `shop`, whose leases are of an hour. */
  static async open(
    adminUrl: string,
    roles: Readonly<Record<string, RoleTimes>> = {},
    vault?: Vault,
  ): Promise<VaultShop> {
    const running = vault ?? (await startVault())
    const staticUser = `shop_app_${randomBytes(4).toString('hex')}`
    await connectedTo(adminUrl, (client) =>
      client.query(`create role ${staticUser} login superuser`),
    )
    const times = { shop: { ttl: '1h', maxTtl: '2h' }, ...roles }
    const mounts = await vaultFor(running, adminUrl, {
      dynamic: Object.fromEntries(
        Object.entries(times).map(([role, { ttl, maxTtl }]) => [
          role,
          { creation, defaultTtl: ttl, maxTtl },
        ]),
      ),
      static: { app: staticUser },
    })
    return new VaultShop(running, mounts, staticUser, adminUrl)
  }

  async rotate(): Promise<void> {
    await this.vault.request('POST', `${this.mounts.database}/rotate-role/app`)
  }

  /** A secret of the KV store. */
  async keep(path: string, secret: object): Promise<void> {
    await this.vault.request('POST', `${this.mounts.kv}/data/${path}`, { data: secret })
  }

  /** The leases of a role that Vault knows. */
  leases(role = 'shop'): Promise<readonly string[]> {
    return this.mounts.leases(role)
  }

  /** Roles in PostgreSQL that Vault has made for a role of its own. */
  async databaseRoles(role = 'shop'): Promise<readonly string[]> {
    return connectedTo(this.#adminUrl, async (client) => {
      const { rows } = await client.query<{ rolname: string }>(
        'select rolname from pg_roles where starts_with(rolname, $1)',
        [this.mounts.roleNames(role)],
      )
      return rows.map(({ rolname }) => rolname)
    })
  }

  /** Of what was made for a role nothing is left in Vault or in PostgreSQL. */
  async hasNothing(role = 'shop'): Promise<boolean> {
    return (await this.leases(role)).length + (await this.databaseRoles(role)).length === 0
  }

  /** A token for pgwarden, with what it needs and no more. */
  async newToken(options: TokenOptions = {}): Promise<string> {
    const body = { policies: [this.mounts.policy], no_parent: true, ttl: '1h', ...options }
    const { auth } = await this.vault.request('POST', 'auth/token/create', body)
    if (!auth) throw new Error('Vault gave no token')
    return auth.client_token
  }

  async close(): Promise<void> {
    await this.mounts.remove()
    await this.vault.stop()
    await connectedTo(this.#adminUrl, (client) => client.query(`drop role ${this.staticUser}`))
  }
}
