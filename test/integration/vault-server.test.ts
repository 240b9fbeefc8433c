// The Vault that the other tests rely on: that it makes and removes logins of the real PostgreSQL, and
// that its failures are real ones.

import { randomBytes } from 'node:crypto'
import type { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { connectedTo } from '../support/databases.ts'
import { eventually } from '../support/eventually.ts'
import type { Vault } from '../support/vault.ts'
import {
  describeWithOwnVault,
  describeWithVault,
  startOwnVault,
  startVault,
} from '../support/vault.ts'
import { createLogin, type VaultDatabase, vaultFor } from '../support/vault-database.ts'
import type { OwnVault } from '../support/vault-process.ts'
import { type Answer, ask } from '../support/vault-request.ts'

const adminUrl = inject('adminUrl')
const grantRead = 'grant pg_read_all_data to "{{name}}"'
const fixedRole = `vault_fixed_${randomBytes(4).toString('hex')}`

beforeAll(() => connectedTo(adminUrl, (client) => client.query(`create role ${fixedRole} login`)))
afterAll(() => connectedTo(adminUrl, (client) => client.query(`drop role if exists ${fixedRole}`)))

describeWithVault('a Vault for the tests', () => {
  let vault: Vault
  let mounted: VaultDatabase

  beforeAll(async () => {
    vault = await startVault()
    mounted = await vaultFor(vault, adminUrl, {
      dynamic: {
        reader: { creation: [createLogin, grantRead] },
        brief: { defaultTtl: '2s', maxTtl: '2s' },
      },
      static: { fixed: fixedRole },
      kv: { legacy: { username: 'somebody', password: 'from the KV store' } },
    })
  })
  afterAll(async () => {
    await mounted.remove()
    await vault.stop()
  })

  const asApplication = async (path: string): Promise<Answer> =>
    ask(vault.caller(await mounted.logIn()), 'GET', path)

  it('makes a login that PostgreSQL lets in, and takes it away when its lease is revoked', async () => {
    const { data, lease_id } = await asApplication(`${mounted.database}/creds/reader`)
    expect(await whoIs(data)).toBe(data['username'])
    expect(await reads(data['username'])).toBe(true)
    expect(await mounted.leases('reader')).toEqual([lease_id])

    await vault.request('PUT', 'sys/leases/revoke', { lease_id, sync: true })
    await expect(whoIs(data)).rejects.toMatchObject({ code: '28P01' })
    expect(await exists(data['username'])).toBe(false)
    expect(await mounted.leases('reader')).toEqual([])
  })

  it('takes a login away at the end of its lease', async () => {
    const { data, lease_duration } = await asApplication(`${mounted.database}/creds/brief`)
    expect(lease_duration).toBe(2)
    expect(await exists(data['username'])).toBe(true)
    await eventually(async () => !(await exists(data['username'])))
  })

  it('knows the password of a role that was there before', async () => {
    const { data } = await asApplication(`${mounted.database}/static-creds/fixed`)
    expect(await whoIs(data)).toBe(fixedRole)
  })

  it('keeps a username and a password in a KV store', async () => {
    const { data } = await asApplication(`${mounted.kv}/data/legacy`)
    expect(data).toMatchObject({ data: { username: 'somebody', password: 'from the KV store' } })
  })

  it('lets an application have nothing but its own mounts', async () => {
    await expect(asApplication('sys/mounts')).rejects.toMatchObject({ status: 403 })
    await expect(asApplication(`${mounted.database}/config/target`)).rejects.toMatchObject({
      status: 403,
    })
  })

  it('unwraps a secret id once', async () => {
    const wrapped = vault.caller(await mounted.wrappedSecretId())
    const { data } = await ask(wrapped, 'PUT', 'sys/wrapping/unwrap')
    expect(data['secret_id']).toBeTypeOf('string')
    await expect(ask(wrapped, 'PUT', 'sys/wrapping/unwrap')).rejects.toMatchObject({ status: 400 })
  })
})

describeWithOwnVault('a Vault in a process of the test’s own', () => {
  let vault: OwnVault
  let mounted: VaultDatabase

  beforeAll(async () => {
    vault = await startOwnVault()
    mounted = await vaultFor(vault, adminUrl, { dynamic: { reader: {} } })
  })
  afterAll(() => vault.stop())

  it('answers nothing while it is sealed, and all again afterwards', async () => {
    const token = await mounted.logIn()
    await vault.seal()
    await expect(mounted.logIn()).rejects.toMatchObject({ status: 503 })
    await vault.unseal()
    const { auth } = await ask(vault.caller(token), 'PUT', 'auth/token/renew-self')
    expect(auth).toMatchObject({ client_token: token })
  })

  it('still has its leases after it was killed and started again', async () => {
    const { data, lease_id } = await vault.request('GET', `${mounted.database}/creds/reader`)
    await vault.kill()
    await expect(mounted.logIn()).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    await vault.restart()
    expect(await mounted.leases('reader')).toEqual([lease_id])
    await vault.request('PUT', 'sys/leases/revoke', { lease_id, sync: true })
    expect(await exists(data['username'])).toBe(false)
  })

  it('keeps a caller waiting while it is paused', async () => {
    vault.pause()
    let answered = false
    const token = mounted.logIn().finally(() => {
      answered = true
    })
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(answered).toBe(false)
    vault.resume()
    expect(await token).toBeTypeOf('string')
  })
})

describeWithOwnVault('a Vault with TLS', () => {
  describe('that wants a certificate', () => {
    let vault: OwnVault
    beforeAll(async () => {
      vault = await startOwnVault({ tls: 'mutual' })
    })
    afterAll(() => vault.stop())

    it('hears a client with one by its authority', async () => {
      expect(await vault.request('GET', 'sys/health')).toMatchObject({ sealed: false })
    })

    it('does not hear a client without', async () => {
      const { address, ca } = vault.caller()
      await expect(ask({ address, ca }, 'GET', 'sys/health')).rejects.toThrow(/certificate/i)
    })
  })

  it('logs a client in by its certificate', async () => {
    const vault = await startOwnVault({ tls: 'offered' })
    try {
      await vault.request('POST', 'sys/auth/cert', { type: 'cert' })
      const certificate = vault.tls?.authority.certificate
      await vault.request('POST', 'auth/cert/certs/pgwarden', { certificate })
      const { auth } = await ask(vault.caller(), 'POST', 'auth/cert/login', { name: 'pgwarden' })
      expect(auth?.policies).toEqual(['default'])
      const { address, ca } = vault.caller()
      await expect(ask({ address, ca }, 'POST', 'auth/cert/login')).rejects.toMatchObject({
        status: 400,
      })
    } finally {
      await vault.stop()
    }
  })
})

async function whoIs(data: Answer['data']): Promise<unknown> {
  const url = new URL(adminUrl)
  url.username = String(data['username'])
  url.password = encodeURIComponent(String(data['password']))
  return connectedTo(url.href, async (client: Client) => {
    const { rows } = await client.query<{ name: string }>('select current_user as name')
    return rows[0]?.name
  })
}

async function reads(role: unknown): Promise<boolean | undefined> {
  return connectedTo(adminUrl, async (client) => {
    const { rows } = await client.query<{ member: boolean }>(
      "select pg_has_role($1, 'pg_read_all_data', 'usage') as member",
      [role],
    )
    return rows[0]?.member
  })
}

async function exists(role: unknown): Promise<boolean> {
  return connectedTo(adminUrl, async (client) => {
    const { rowCount } = await client.query('select from pg_roles where rolname = $1', [role])
    return rowCount !== 0
  })
}
