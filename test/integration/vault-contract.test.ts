// What the tests' fake Vault answers when nothing is wrong is what a real one answers: the same questions
// to both, and of the answers all that pgwarden looks at.

import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { problemOf } from '../../src/credentials/vault/problem.ts'
import { connectedTo } from '../support/databases.ts'
import { FakeVault } from '../support/fake-vault.ts'
import { describeWithVault, startVault } from '../support/vault.ts'
import { vaultFor } from '../support/vault-database.ts'

interface Subject {
  readonly address: string
  /** Mounts. */
  readonly database: string
  readonly kv: string
  readonly approle: string
  readonly roleId: string
  readonly secretId: string
  newToken(terms: { readonly ttlSeconds: number; readonly renewable?: boolean }): Promise<string>
  wrappedSecretId(): Promise<string>
}

interface Reply {
  readonly status: number
  readonly body: Readonly<Record<string, unknown>>
}

function contract(subject: () => Subject): void {
  const ask = async (
    method: string,
    path: string,
    token?: string,
    body?: object,
  ): Promise<Reply> => {
    const response = await fetch(`${subject().address}/v1/${path}`, {
      method,
      headers: token === undefined ? {} : { 'X-Vault-Token': token },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    const parsed: unknown = text === '' ? {} : JSON.parse(text)
    return { status: response.status, body: record(parsed) }
  }
  const login = (secretId: string): Promise<Reply> =>
    ask('POST', `auth/${subject().approle}/login`, undefined, {
      role_id: subject().roleId,
      secret_id: secretId,
    })
  const loggedIn = async (): Promise<string> =>
    String(record((await login(subject().secretId)).body['auth'])['client_token'])
  const said = ({ status, body }: Reply): [number, string] => [
    status,
    Array.isArray(body['errors']) ? body['errors'].map(String).join('; ') : '',
  ]

  it('says that it is well', async () => {
    expect(await ask('GET', 'sys/health')).toMatchObject({
      status: 200,
      body: { initialized: true, sealed: false, standby: false },
    })
  })

  it('gives a token to an AppRole, and none to another', async () => {
    const { status, body } = await login(subject().secretId)
    expect(status).toBe(200)
    const auth = record(body['auth'])
    expect(types(auth)).toMatchObject({ client_token: 'string', accessor: 'string' })
    expect(auth).toMatchObject({ renewable: true, token_type: 'service' })
    expect(Number(auth['lease_duration'])).toBeGreaterThan(60)
    expect(body).toMatchObject({ lease_id: '', renewable: false, lease_duration: 0, data: null })

    // Status and words differ between versions; what they mean must not.
    const [refused, why] = said(await login('00000000-0000-4000-8000-000000000000'))
    expect(['denied', 'invalid']).toContain(problemOf('', refused, why).kind)
    expect(why).toMatch(/invalid.* secret id/i)
  })

  it('tells of a token how long it lives', async () => {
    const token = await subject().newToken({ ttlSeconds: 600 })
    const { data } = (await ask('GET', 'auth/token/lookup-self', token)).body
    expect(types(record(data))).toMatchObject({ ttl: 'number', expire_time: 'string' })
    expect(data).toMatchObject({ id: token, creation_ttl: 600, renewable: true, type: 'service' })
    expect(Number(record(data)['ttl'])).toBeGreaterThan(590)
    expect(Number(record(data)['ttl'])).toBeLessThanOrEqual(600)
  })

  it('renews a token that may be renewed', async () => {
    const token = await subject().newToken({ ttlSeconds: 600 })
    const { status, body } = await ask('POST', 'auth/token/renew-self', token, {})
    expect(status).toBe(200)
    expect(body['auth']).toMatchObject({ client_token: token, renewable: true })
    expect(Math.round(Number(record(body['auth'])['lease_duration']))).toBe(600)

    const fixed = await subject().newToken({ ttlSeconds: 600, renewable: false })
    expect(said(await ask('POST', 'auth/token/renew-self', fixed, {}))).toEqual([
      400,
      expect.stringContaining('lease is not renewable'),
    ])
  })

  it('takes a token back, and knows it no more', async () => {
    const token = await subject().newToken({ ttlSeconds: 600 })
    expect(await ask('POST', 'auth/token/revoke-self', token, {})).toEqual({
      status: 204,
      body: {},
    })
    for (const unknown of [token, 'hvs.never-was']) {
      expect(said(await ask('GET', 'auth/token/lookup-self', unknown))).toEqual([
        403,
        expect.stringContaining('permission denied'),
      ])
    }
    expect((await ask('GET', `${subject().database}/creds/reader`)).status).toBe(403)
  })

  it('tells where a wrapped secret id comes from, and hands it out once', async () => {
    const token = await subject().wrappedSecretId()
    const looked = await ask('POST', 'sys/wrapping/lookup', undefined, { token })
    expect(looked.status).toBe(200)
    expect(record(looked.body['data'])['creation_path']).toBe(
      `auth/${subject().approle}/role/pgwarden/secret-id`,
    )
    const { status, body } = await ask('POST', 'sys/wrapping/unwrap', token, {})
    expect(status).toBe(200)
    const secretId = String(record(body['data'])['secret_id'])
    expect((await login(secretId)).status).toBe(200)

    const used = 'wrapping token is not valid or does not exist'
    const again = [
      await ask('POST', 'sys/wrapping/unwrap', token, {}),
      await ask('POST', 'sys/wrapping/lookup', undefined, { token }),
    ]
    for (const reply of again) expect(said(reply)).toEqual([400, expect.stringContaining(used)])
  })

  it('issues a login of a database, renews its lease, tells of it, and takes it back', async () => {
    const token = await loggedIn()
    const { status, body } = await ask('GET', `${subject().database}/creds/reader`, token)
    expect(status).toBe(200)
    expect(types(record(body['data']))).toEqual({ username: 'string', password: 'string' })
    expect(body).toMatchObject({ renewable: true, auth: null })
    expect(Math.round(Number(body['lease_duration']))).toBe(600)
    const lease_id = String(body['lease_id'])
    expect(lease_id.startsWith(`${subject().database}/creds/reader/`)).toBe(true)

    const renewed = await ask('POST', 'sys/leases/renew', token, { lease_id, increment: 600 })
    expect(renewed).toMatchObject({ status: 200, body: { lease_id, renewable: true } })
    expect(Math.round(Number(renewed.body['lease_duration']))).toBe(600)
    const looked = await ask('POST', 'sys/leases/lookup', token, { lease_id })
    expect(looked).toMatchObject({ status: 200, body: { data: { id: lease_id, renewable: true } } })
    expect(typeof record(looked.body['data'])['ttl']).toBe('number')

    const revoke = { lease_id, sync: true }
    expect(await ask('POST', 'sys/leases/revoke', token, revoke)).toEqual({ status: 204, body: {} })
    // Again: what is gone is gone.
    expect((await ask('POST', 'sys/leases/revoke', token, revoke)).status).toBe(204)
    expect(said(await ask('POST', 'sys/leases/renew', token, { lease_id }))).toEqual([
      400,
      expect.stringContaining('lease not found'),
    ])
    expect(said(await ask('POST', 'sys/leases/lookup', token, { lease_id }))).toEqual([
      400,
      expect.stringContaining('invalid lease'),
    ])
  })

  it('takes the leases of a token back with it', async () => {
    const token = await loggedIn()
    const { body } = await ask('GET', `${subject().database}/creds/reader`, token)
    await ask('POST', 'auth/token/revoke-self', token, {})
    const { lease_id } = body
    const renewed = await ask('POST', 'sys/leases/renew', await loggedIn(), { lease_id })
    expect(renewed.status).toBe(400)
  })

  it('knows no role that was not made', async () => {
    const path = `${subject().database}/creds/unknown`
    expect(said(await ask('GET', path, await loggedIn()))).toEqual([
      400,
      expect.stringContaining('unknown role'),
    ])
  })

  it('has static logins without a lease', async () => {
    const path = `${subject().database}/static-creds/fixed`
    const { status, body } = await ask('GET', path, await loggedIn())
    expect(status).toBe(200)
    expect(body).toMatchObject({ lease_id: '', renewable: false })
    expect(types(record(body['data']))).toMatchObject({
      username: 'string',
      password: 'string',
      ttl: 'number',
    })
  })

  it('has secrets, and says 404 of those that it does not have', async () => {
    const token = await loggedIn()
    const { status, body } = await ask('GET', `${subject().kv}/data/legacy`, token)
    expect(status).toBe(200)
    expect(body['data']).toMatchObject({
      data: { username: 'somebody', password: 'from the KV store' },
      metadata: { version: 1 },
    })
    expect((await ask('GET', `${subject().kv}/data/nothing`, token)).status).toBe(404)
  })

  it('tells what a token may do', async () => {
    const path = `${subject().database}/creds/reader`
    const { status, body } = await ask('POST', 'sys/capabilities-self', await loggedIn(), {
      paths: [path],
    })
    expect(status).toBe(200)
    expect([['read'], ['root']]).toContainEqual(record(body['data'])[path])
  })
}

describe('the fake Vault', () => {
  let subject: Subject
  let fake: FakeVault
  beforeAll(async () => {
    fake = await FakeVault.start()
    const { state } = fake
    state.leaseTerms = { ttlMs: 600_000, maxTtlMs: 3_600_000 }
    state.secrets.set('kv/legacy', { username: 'somebody', password: 'from the KV store' })
    subject = {
      address: fake.address,
      database: 'database',
      kv: 'kv',
      approle: 'approle',
      roleId: state.roleId,
      secretId: state.newSecretId(),
      newToken: ({ ttlSeconds, renewable = true }) =>
        Promise.resolve(state.newToken({ ttlMs: ttlSeconds * 1000, renewable })),
      wrappedSecretId: () =>
        Promise.resolve(
          state.wrap('auth/approle/role/pgwarden/secret-id', { secret_id: state.newSecretId() }),
        ),
    }
  })
  afterAll(() => fake.stop())
  contract(() => subject)
})

describeWithVault('a real Vault', () => {
  const adminUrl = inject('adminUrl')
  const fixedRole = `vault_contract_${randomBytes(4).toString('hex')}`
  let subject: Subject
  const ends: (() => Promise<unknown>)[] = []
  beforeAll(async () => {
    await connectedTo(adminUrl, (client) => client.query(`create role ${fixedRole} login`))
    ends.push(() =>
      connectedTo(adminUrl, (client) => client.query(`drop role if exists ${fixedRole}`)),
    )
    const vault = await startVault()
    ends.push(() => vault.stop())
    const mounted = await vaultFor(vault, adminUrl, {
      dynamic: { reader: { defaultTtl: '10m' } },
      static: { fixed: fixedRole },
      kv: { legacy: { username: 'somebody', password: 'from the KV store' } },
    })
    ends.push(() => mounted.remove())
    subject = {
      ...mounted,
      address: vault.address,
      newToken: async ({ ttlSeconds, renewable = true }) => {
        const terms = { ttl: `${ttlSeconds}s`, renewable, policies: [mounted.policy] }
        const { auth } = await vault.request('POST', 'auth/token/create', terms)
        return auth?.client_token ?? ''
      },
    }
  })
  afterAll(async () => {
    for (const end of ends.reverse()) await end()
  })
  contract(() => subject)
})

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}

function types(of: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(Object.entries(of).map(([key, value]) => [key, typeof value]))
}
