// Vault's engines behind the interface of all engines, against answers that are written down here.

import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import type { Grant } from '../../src/access/access.ts'
import type { LeaseRecord } from '../../src/access/lease.ts'
import { LeaseGone, NotIssued } from '../../src/credentials/engine.ts'
import { vaultCredentials } from '../../src/credentials/vault/credentials.ts'
import { VaultProblem } from '../../src/credentials/vault/problem.ts'
import type { VaultToken } from '../../src/credentials/vault/tokens.ts'
import type { Vault, VaultResponse } from '../../src/credentials/vault/vault.ts'
import { Failure } from '../../src/errors.ts'

const start = Date.UTC(2030, 0, 1)
const clock = { now: () => start, elapsed: () => 5_000 }
const tokenForAMinute: VaultToken = { endsAt: 65_000 }
const hour = 3_600_000

const login = { username: 'v-shop-ro-1', password: 'from vault' }
const creds: Partial<VaultResponse> = {
  data: login,
  leaseId: 'database/creds/shop-ro/abc',
  leaseMs: hour,
  renewable: true,
}

interface Asked {
  readonly path: string
  readonly body?: object
}

/** Answers by path; what is an error is thrown. Everything that was asked is kept. */
function setUp(
  answers: Readonly<Record<string, Partial<VaultResponse> | Error>>,
  token: VaultToken = tokenForAMinute,
) {
  const asked: Asked[] = []
  const answer = async (question: Asked): Promise<VaultResponse> => {
    asked.push(question)
    const found = answers[question.path]
    if (found instanceof Error) throw found
    return { data: {}, leaseId: '', leaseMs: 0, renewable: false, token, ...found }
  }
  const vault: Vault = {
    token,
    start: () => undefined,
    stop: async () => undefined,
    check: async () => undefined,
    read: (path) => answer({ path }),
    write: (path, body) => answer({ path, body }),
  }
  const credentials = vaultCredentials({
    name: 'shop',
    place: { database: 'shop', servers: ['127.0.0.1:5432'] },
    vault,
    clock,
    monitor: undefined,
    share: 'grant',
    unusedTimeoutMs: undefined,
    roles: new Map([
      ['read_only', { engine: 'dynamic', mount: 'database', role: 'shop-ro' }],
      ['admin', { engine: 'static', mount: 'team/database', role: 'shop-dba' }],
      ['reporter', { engine: 'kv', mount: 'secret', role: 'shop/reporter' }],
    ]),
  })
  return {
    asked,
    credentials,
    issue: (role: string) => credentials.engineFor(role).issue(record, { ...grant, role }),
  }
}

const grant: Grant = {
  id: 'g1',
  principal: 'alice',
  target: 'shop',
  role: 'read_only',
  startsAt: start,
  endsAt: start + hour,
  revokedAt: undefined,
  reason: 'report',
  requestId: undefined,
  relations: undefined,
  claims: {},
}

const record: LeaseRecord = {
  id: 'l1',
  grantId: 'g1',
  target: 'shop',
  engine: 'vault-dynamic',
  instance: 'i1',
  issuedAt: start,
  databaseRole: 'v-shop-ro-1',
  vaultLease: 'database/creds/shop-ro/abc',
  expiresAt: start + hour,
}

async function refusal(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => {
      throw new Error('not refused')
    },
    (error: unknown) => error,
  )
}

describe('a dynamic role', () => {
  it('is a lease with a database role of its own, bound to the token that it was asked with', async () => {
    const { issue, asked } = setUp({ 'database/creds/shop-ro': creds })
    const issued = await issue('read_only')
    expect(asked).toEqual([{ path: 'database/creds/shop-ro' }])
    expect(issued).toMatchObject({
      user: 'v-shop-ro-1',
      vaultLease: 'database/creds/shop-ro/abc',
      lifeMs: hour,
      renewable: true,
    })
    expect(issued.password.reveal()).toBe('from vault')
    expect(issued.limit).toBe(tokenForAMinute)
    expect(inspect(issued, { depth: 9 })).not.toContain('from vault')
  })

  it('has ended with the token when its answer never came, or after Vault’s longest lease', () => {
    const bound = (token?: VaultToken): unknown =>
      setUp({}, token).credentials.engineFor('read_only').boundFor(grant)
    expect(bound()).toBe(start + 60_000)
    expect(bound({ endsAt: undefined })).toBe(start + 32 * 24 * hour)
  })

  it('has ended soon after the life that Vault gave the lease before it', async () => {
    const { credentials, issue } = setUp({ 'database/creds/shop-ro': creds }, { endsAt: undefined })
    await issue('read_only')
    expect(credentials.engineFor('read_only').boundFor(grant)).toBe(start + hour + 300_000)
  })

  it('is prolonged in whole seconds that do not pass the end, and never by 0, which is Vault’s default', async () => {
    const { credentials, asked } = setUp({ 'sys/leases/renew': { leaseMs: 59_000 } })
    const engine = credentials.engineFor('read_only')
    expect(await engine.renew(record, start + 90_700)).toBe(start + 59_000)
    await engine.renew(record, start + 300)
    await engine.renew(record, start - 5_000)
    expect(asked.map(({ body }) => body)).toEqual([
      { lease_id: record.vaultLease, increment: 90 },
      { lease_id: record.vaultLease, increment: 1 },
      { lease_id: record.vaultLease, increment: 1 },
    ])
  })

  it('is gone when Vault does not know the lease, and not when Vault only fails', async () => {
    const gone = setUp({ 'sys/leases/renew': new VaultProblem('missing', 'lease not found') })
    const renewed = gone.credentials.engineFor('read_only').renew(record, start + hour)
    expect(await refusal(renewed)).toBeInstanceOf(LeaseGone)
    const down = setUp({ 'sys/leases/renew': new VaultProblem('sealed', 'is sealed') })
    const tried = down.credentials.engineFor('read_only').renew(record, start + hour)
    expect(await refusal(tried)).toBeInstanceOf(VaultProblem)
  })

  it('is revoked when Vault says that its statements have run', async () => {
    const { credentials, asked } = setUp({})
    await credentials.engineOf('vault-dynamic')?.revoke(record)
    expect(asked).toEqual([
      { path: 'sys/leases/revoke', body: { lease_id: record.vaultLease, sync: true } },
    ])
  })

  it('cannot be revoked without its lease id, and says so', async () => {
    const { credentials } = setUp({})
    const nameless = { ...record, vaultLease: undefined }
    const engine = credentials.engineOf('vault-dynamic')
    await expect(engine?.revoke(nameless)).rejects.toThrow('can only run out')
  })

  it.each([
    ['no username', { password: 'p' }],
    ['an empty username', { username: '', password: 'p' }],
    ['a username that is a number', { username: 7, password: 'p' }],
    ['a username that PostgreSQL would cut', { username: 'v'.repeat(64), password: 'p' }],
    ['a NUL in the username', { username: 'admin\0x', password: 'p' }],
    ['a line break in the username', { username: 'a\nb', password: 'p' }],
    ['no password', { username: 'v' }],
    ['a NUL in the password', { username: 'v', password: 'x\0y' }],
  ])('with %s is refused, and its lease revoked', async (_, data) => {
    const { issue, asked } = setUp({ 'database/creds/shop-ro': { ...creds, data } })
    expect(await refusal(issue('read_only'))).toBeInstanceOf(NotIssued)
    expect(asked.at(-1)).toMatchObject({ path: 'sys/leases/revoke' })
  })

  it('that cannot be used is not taken for "not issued" while its lease could not be revoked', async () => {
    const { issue } = setUp({
      'database/creds/shop-ro': { ...creds, data: {} },
      'sys/leases/revoke': new VaultProblem('failing', 'status 500'),
    })
    expect(await refusal(issue('read_only'))).not.toBeInstanceOf(NotIssued)
  })

  it.each([
    ['no lease', { leaseId: '' }],
    ['no life', { leaseMs: 0 }],
    ['a lease that would fill every record', { leaseId: 'x'.repeat(100_000) }],
    ['a lease that no store takes', { leaseId: 'database/creds/shop-ro/\0' }],
  ])('with %s is refused', async (_, more) => {
    const { issue } = setUp({ 'database/creds/shop-ro': { ...creds, ...more } })
    expect(await refusal(issue('read_only'))).toBeInstanceOf(NotIssued)
  })

  it('is not taken for ended by a renewal whose answer says nothing', async () => {
    const { credentials } = setUp({ 'sys/leases/renew': {} })
    const renewal = credentials.engineFor('read_only').renew(record, start + hour)
    expect(await refusal(renewal)).toBeInstanceOf(VaultProblem)
  })

  it('whose answer was lost may have been made all the same', async () => {
    const lost = new VaultProblem('unreachable', 'no answer', { unanswered: true })
    const { issue } = setUp({ 'database/creds/shop-ro': lost })
    const error = await refusal(issue('read_only'))
    expect(error).toBeInstanceOf(Failure)
    expect(error).toMatchObject({ sqlstate: '57P03' })
  })
})

describe('a static role', () => {
  const told = { data: { ...login, ttl: 90, rotation_period: 3_600 } }

  it('is believed until its password is changed, and shared with others', async () => {
    const { issue, credentials } = setUp({ 'team/database/static-creds/shop-dba': told })
    expect(await issue('admin')).toMatchObject({
      user: 'v-shop-ro-1',
      lifeMs: 90_000,
      renewable: false,
      vaultLease: undefined,
    })
    expect(credentials.engineFor('admin')).toMatchObject({ roles: 'shared', kind: 'vault-static' })
  })

  it.each([0, 0.4])('that is being rotated (%d s left) is read again soon', async (ttl) => {
    const data = { ...told.data, ttl }
    const { issue } = setUp({ 'team/database/static-creds/shop-dba': { data } })
    expect((await issue('admin')).lifeMs).toBe(1_000)
  })

  it.each([[{}], [{ ttl: '90' }], [{ ttl: -1 }]])('with the ttl of %j is refused', async (ttl) => {
    const { issue } = setUp({
      'team/database/static-creds/shop-dba': { data: { ...login, ...ttl } },
    })
    expect(await refusal(issue('admin'))).toBeInstanceOf(NotIssued)
  })

  it('is left alone by a revocation', async () => {
    const { credentials, asked } = setUp({})
    await credentials.engineOf('vault-static')?.revoke(record)
    expect(asked).toEqual([])
  })
})

describe('a login in the KV store', () => {
  const path = 'secret/data/shop/reporter'

  it('is read anew after five minutes', async () => {
    const { issue } = setUp({ [path]: { data: { data: login, metadata: { version: 3 } } } })
    expect(await issue('reporter')).toMatchObject({ user: 'v-shop-ro-1', lifeMs: 300_000 })
  })

  it.each([
    ['version 1 of the store', login, 'KV mount of version 2'],
    ['a deleted secret', { data: null }, 'KV mount of version 2'],
    ['a secret without a password', { data: { username: 'v' } }, '"password"'],
    ['a secret without a username', { data: { password: 'hidden' } }, '"username"'],
  ])(
    'that is %s is refused: a client hears little, the log what to change',
    async (_, data, said) => {
      const { issue } = setUp({ [path]: { data } })
      const error = await refusal(issue('reporter'))
      if (!(error instanceof NotIssued)) throw new Error('not certain')
      expect(error.failure).toMatchObject({ sqlstate: '57P03' })
      const shown = `${error.failure.message} ${error.failure.detail} ${error.failure.hint}`
      expect(shown).not.toMatch(/secret|shop.reporter/)
      expect(String(error.failure.cause)).toContain(path)
      expect(String(error.failure.cause)).toContain(said)
      expect(inspect(error, { depth: 9 })).not.toContain('hidden')
    },
  )
})

it('a role that the target does not offer is refused before Vault is asked', async () => {
  const { credentials, asked } = setUp({})
  expect(() => credentials.engineFor('read_full_write')).toThrow('has no role "read_full_write"')
  expect(asked).toEqual([])
})
