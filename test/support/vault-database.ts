// What a test mounts in its Vault, under names of its own: a database secrets engine on the test's
// PostgreSQL, a KV v2 store, and an AppRole whose policy allows just these. Ignorant of who logs in.

import { randomBytes } from 'node:crypto'
import { eventually } from './eventually.ts'
import type { Vault } from './vault.ts'
import { type Answer, ask, list, Refusal } from './vault-request.ts'

interface DynamicRole {
  readonly creation?: readonly string[]
  /** Vault's own (revoke all, drop) without. */
  readonly revocation?: readonly string[]
  /** Like `30s`. */
  readonly defaultTtl?: string
  readonly maxTtl?: string
}

export interface VaultTerms {
  /** By the name of the Vault role. */
  readonly dynamic?: Readonly<Record<string, DynamicRole>>
  /** Name of the Vault role, and the PostgreSQL role, which must exist: its password is changed. */
  readonly static?: Readonly<Record<string, string>>
  /** By path. */
  readonly kv?: Readonly<Record<string, Readonly<Record<string, string>>>>
  /** Of the AppRole's tokens. */
  readonly tokenTtl?: string
  readonly tokenMaxTtl?: string
}

export interface VaultDatabase {
  /** Mounts, without slashes at their ends. */
  readonly database: string
  readonly kv: string
  readonly approle: string
  readonly policy: string
  readonly roleId: string
  readonly secretId: string
  /** A token of the AppRole. */
  logIn(): Promise<string>
  /** A secret id inside a wrapping token. */
  wrappedSecretId(ttlSeconds?: number): Promise<string>
  /** What the names of the PostgreSQL roles that it makes for a dynamic role begin with. */
  roleNames(role: string): string
  /** Lease ids that Vault holds of a dynamic role. */
  leases(role: string): Promise<readonly string[]>
  /** Unmounts all of it, which revokes its leases: before the PostgreSQL goes. */
  remove(): Promise<void>
}

/** Statement of Vault's that makes a login, before what it is granted. */
export const createLogin = `create role "{{name}}" login password '{{password}}' valid until '{{expiration}}'`

/** `databaseUrl` is a superuser's. */
export async function vaultFor(
  vault: Vault,
  databaseUrl: string,
  terms: VaultTerms,
): Promise<VaultDatabase> {
  const unique = randomBytes(4).toString('hex')
  const database = `database-${unique}`
  const kv = `kv-${unique}`
  const approle = `approle-${unique}`
  const policy = `pgwarden-${unique}`
  const write = (path: string, body: unknown): Promise<Answer> => vault.request('POST', path, body)

  await write(`sys/mounts/${database}`, { type: 'database' })
  await write(`${database}/config/target`, connection(databaseUrl, `v-${unique}`))
  for (const [name, role] of Object.entries(terms.dynamic ?? {})) {
    await write(`${database}/roles/${name}`, {
      db_name: 'target',
      creation_statements: role.creation ?? [createLogin],
      revocation_statements: role.revocation ?? [],
      default_ttl: role.defaultTtl ?? '10m',
      max_ttl: role.maxTtl ?? '1h',
    })
  }
  for (const [name, username] of Object.entries(terms.static ?? {})) {
    const role = { db_name: 'target', username, rotation_period: '24h' }
    await write(`${database}/static-roles/${name}`, role)
  }

  await write(`sys/mounts/${kv}`, { type: 'kv', options: { version: '2' } })
  // A moment after the mount it is ready, and refuses until then.
  await eventually(() =>
    vault.request('GET', `${kv}/config`).then(
      () => true,
      () => false,
    ),
  )
  for (const [path, data] of Object.entries(terms.kv ?? {})) {
    await write(`${kv}/data/${path}`, { data })
  }

  await vault.request('PUT', `sys/policies/acl/${policy}`, { policy: rules(database, kv) })
  await write(`sys/auth/${approle}`, { type: 'approle' })
  const role = `auth/${approle}/role/pgwarden`
  await write(role, {
    token_policies: policy,
    token_ttl: terms.tokenTtl ?? '20m',
    token_max_ttl: terms.tokenMaxTtl ?? '4h',
  })
  const roleId = String((await vault.request('GET', `${role}/role-id`)).data['role_id'])
  const secretId = String((await write(`${role}/secret-id`, {})).data['secret_id'])

  return {
    database,
    kv,
    approle,
    policy,
    roleId,
    secretId,
    roleNames: (name) => `v-${unique}-${name}-`,
    logIn: async () => {
      const { auth } = await ask(vault.caller(), 'POST', `auth/${approle}/login`, {
        role_id: roleId,
        secret_id: secretId,
      })
      if (!auth) throw new Error('no token for the AppRole')
      return auth.client_token
    },
    wrappedSecretId: async (ttlSeconds = 60) => {
      const caller = {
        ...vault.caller(vault.rootToken),
        headers: { 'X-Vault-Wrap-TTL': String(ttlSeconds) },
      }
      const { wrap_info: wrapped } = await ask(caller, 'POST', `${role}/secret-id`, {})
      if (!wrapped) throw new Error('no wrapped secret id')
      return wrapped.token
    },
    leases: async (name) => {
      const prefix = `${database}/creds/${name}/`
      const keys = await vault.request('LIST', `sys/leases/lookup/${prefix}`).then(
        ({ data }) => list(data['keys']),
        (error: unknown) => {
          // Its way to say that there are none.
          if (error instanceof Refusal && error.status === 404) return []
          throw error
        },
      )
      return keys.map((key) => `${prefix}${key}`)
    },
    remove: async () => {
      for (const path of [`sys/mounts/${database}`, `sys/mounts/${kv}`, `sys/auth/${approle}`]) {
        await vault.request('DELETE', path)
      }
      await vault.request('DELETE', `sys/policies/acl/${policy}`)
    },
  }
}

/** The names of its roles begin with `prefix`: other files' Vaults may have the same PostgreSQL. */
function connection(databaseUrl: string, prefix: string): unknown {
  const url = new URL(databaseUrl)
  const username = decodeURIComponent(url.username)
  const password = decodeURIComponent(url.password)
  url.username = ''
  url.password = ''
  url.searchParams.set('sslmode', 'disable')
  return {
    plugin_name: 'postgresql-database-plugin',
    allowed_roles: '*',
    // The braces are Vault's, and a URL would escape them.
    connection_url: url.href.replace('//', '//{{username}}:{{password}}@'),
    username,
    password,
    username_template: `${prefix}-{{ .RoleName }}-{{ random 20 }}`,
  }
}

function rules(database: string, kv: string): string {
  return `
    path "${database}/creds/*" { capabilities = ["read"] }
    path "${database}/static-creds/*" { capabilities = ["read"] }
    path "${kv}/data/*" { capabilities = ["read"] }
    path "sys/leases/renew" { capabilities = ["update"] }
    path "sys/leases/revoke" { capabilities = ["update"] }
    path "sys/leases/lookup" { capabilities = ["update"] }
  `
}
