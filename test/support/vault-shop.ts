// A Vault that issues logins to the tests' PostgreSQL, set up as an operator would: mounts and roles of
// this test file's own, and a token with no more rights than pgwarden needs.

import { randomBytes } from 'node:crypto'
import { connectedTo } from './databases.ts'

export interface VaultAt {
  readonly address: string
  /** One that may do everything. */
  readonly token: string
}

interface RoleTimes {
  /** In seconds. */
  readonly ttl: number
  readonly maxTtl: number
}

interface TokenOptions {
  readonly ttl?: string
  /** With one, it can be renewed for ever. */
  readonly period?: string
  readonly renewable?: boolean
}

/** The last part of what Vault answers. */
export type VaultData = Readonly<Record<string, unknown>>

export class VaultShop {
  readonly address: string
  readonly #token: string
  readonly #adminUrl: string
  readonly #policy: string
  readonly database: string
  readonly kv: string
  readonly appRole: string
  /** Of the static role: one of the whole server's. */
  readonly staticUser: string

  private constructor({ address, token }: VaultAt, adminUrl: string) {
    const suffix = randomBytes(4).toString('hex')
    this.address = address
    this.#token = token
    this.#adminUrl = adminUrl
    this.#policy = `pgwarden-${suffix}`
    this.database = `database-${suffix}`
    this.kv = `kv-${suffix}`
    this.appRole = `approle-${suffix}`
    this.staticUser = `shop_app_${suffix}`
  }

  /** With the dynamic role `shop`, leases of an hour, the static role `app` and the secret `legacy`. */
  static async open(vault: VaultAt, adminUrl: string): Promise<VaultShop> {
    const shop = new VaultShop(vault, adminUrl)
    const { database, kv, staticUser } = shop
    await connectedTo(adminUrl, (client) =>
      client.query(`create role ${staticUser} login superuser password 'first'`),
    )
    await shop.ask('POST', `sys/mounts/${database}`, { type: 'database' })
    await shop.ask('POST', `sys/mounts/${kv}`, { type: 'kv', options: { version: '2' } })
    const admin = new URL(adminUrl)
    await shop.ask('POST', `${database}/config/shop`, {
      plugin_name: 'postgresql-database-plugin',
      allowed_roles: '*',
      connection_url: `postgresql://{{username}}:{{password}}@${admin.host}${admin.pathname}?sslmode=disable`,
      username: decodeURIComponent(admin.username),
      password: decodeURIComponent(admin.password),
    })
    await shop.dynamicRole('shop', { ttl: 3600, maxTtl: 7200 })
    await shop.ask('POST', `${database}/static-roles/app`, {
      db_name: 'shop',
      username: staticUser,
      rotation_period: 86400,
    })
    await shop.ask('PUT', `sys/policies/acl/${shop.#policy}`, { policy: shop.#rules() })
    return shop
  }

  /** Superusers, so that what holds is pgwarden alone. */
  async dynamicRole(name: string, { ttl, maxTtl }: RoleTimes): Promise<void> {
    await this.ask('POST', `${this.database}/roles/${name}`, {
      db_name: 'shop',
      creation_statements: [
        `CREATE ROLE "{{name}}" LOGIN SUPERUSER PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`,
      ],
      default_ttl: ttl,
      max_ttl: maxTtl,
    })
  }

  async rotate(): Promise<void> {
    await this.ask('POST', `${this.database}/rotate-role/app`)
  }

  /** A secret of the KV store. */
  async keep(path: string, secret: object): Promise<void> {
    await this.ask('POST', `${this.kv}/data/${path}`, { data: secret })
  }

  /** The leases of a role that Vault knows. */
  async leases(role = 'shop'): Promise<readonly string[]> {
    const { keys } = await this.ask('LIST', `sys/leases/lookup/${this.database}/creds/${role}`)
    return Array.isArray(keys) ? keys.map(String) : []
  }

  /** Roles in PostgreSQL that Vault has made for this role. */
  async databaseRoles(role = 'shop'): Promise<readonly string[]> {
    return connectedTo(this.#adminUrl, async (client) => {
      const { rows } = await client.query<{ rolname: string }>(
        `select rolname from pg_roles where rolname like 'v-%-${role}-%'`,
      )
      return rows.map(({ rolname }) => rolname)
    })
  }

  /** A token for pgwarden, with what it needs and no more. */
  async newToken(options: TokenOptions = {}): Promise<string> {
    const body = { policies: [this.#policy], no_parent: true, ttl: '1h', ...options }
    const { status, answer } = await this.#ask('POST', 'auth/token/create', body)
    const token = answer.auth?.client_token
    if (typeof token !== 'string') throw new Error(`Vault gave no token but ${status}`)
    return token
  }

  /** An AppRole for pgwarden, mounted at `approle-...`. */
  async newAppRole(): Promise<{ mount: string; roleId: string; secretId: string }> {
    await this.ask('POST', `sys/auth/${this.appRole}`, { type: 'approle' })
    const role = `auth/${this.appRole}/role/pgwarden`
    await this.ask('POST', role, { token_policies: [this.#policy], token_ttl: '1h' })
    const { role_id } = await this.ask('GET', `${role}/role-id`)
    const { secret_id } = await this.ask('POST', `${role}/secret-id`)
    return { mount: this.appRole, roleId: String(role_id), secretId: String(secret_id) }
  }

  /** The `data` of Vault's answer; {} where there is none, also when there is no such thing. */
  async ask(method: string, path: string, body?: object): Promise<VaultData> {
    const { status, answer } = await this.#ask(method, path, body)
    if (status >= 400 && status !== 404) {
      throw new Error(`Vault: ${method} ${path}: ${status} ${JSON.stringify(answer.errors)}`)
    }
    return answer.data ?? {}
  }

  async close(): Promise<void> {
    await this.ask('PUT', `sys/leases/revoke-prefix/${this.database}`)
    await this.ask('DELETE', `sys/mounts/${this.database}`)
    await this.ask('DELETE', `sys/mounts/${this.kv}`)
    await this.ask('DELETE', `sys/auth/${this.appRole}`)
    await this.ask('DELETE', `sys/policies/acl/${this.#policy}`)
    await connectedTo(this.#adminUrl, (client) => client.query(`drop role ${this.staticUser}`))
  }

  async #ask(method: string, path: string, body?: object) {
    const response = await fetch(`${this.address}/v1/${path}`, {
      method,
      headers: { 'X-Vault-Token': this.#token },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    const answer = JSON.parse(text === '' ? '{}' : text) as {
      readonly data?: VaultData | null
      readonly auth?: { readonly client_token?: unknown }
      readonly errors?: unknown
    }
    return { status: response.status, answer }
  }

  #rules(): string {
    return [
      `path "${this.database}/creds/*" { capabilities = ["read"] }`,
      `path "${this.database}/static-creds/*" { capabilities = ["read"] }`,
      `path "${this.kv}/data/*" { capabilities = ["read"] }`,
      'path "sys/leases/renew" { capabilities = ["update"] }',
      'path "sys/leases/revoke" { capabilities = ["update"] }',
    ].join('\n')
  }
}
