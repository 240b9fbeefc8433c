import { createServer, type Server, type Socket } from 'node:net'
import { inspect } from 'node:util'
import { Pool } from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import type { Grant } from '../../src/access/access.ts'
import { newGrant } from '../../src/access/grant.ts'
import type { LeaseRecord } from '../../src/access/lease.ts'
import { issueToken } from '../../src/access/token.ts'
import { Failure } from '../../src/errors.ts'
import { Secret } from '../../src/secret.ts'
import { migrationNames } from '../../src/store/migrations.ts'
import { Store } from '../../src/store/store.ts'
import { type FreshDatabase, freshDatabase } from '../support/databases.ts'

const start = Date.UTC(2026, 0, 1)
const hour = 3_600_000

let database: FreshDatabase
let direct: Pool
const problems: unknown[] = []

beforeAll(async () => {
  database = await freshDatabase(inject('adminUrl'), 'store')
  direct = new Pool({ connectionString: database.url })
  direct.on('error', () => {})
})

afterAll(async () => {
  await direct.end()
  await database.drop()
})

function open(url = database.url, timeouts = {}): Promise<Store> {
  const onProblem = (error: unknown): void => {
    problems.push(error)
  }
  return Store.open({ url: new Secret(url), onProblem, ...timeouts })
}

function grantFrom(startsAt: number): Grant {
  const terms = { principal: 'alice', target: 'shop', role: 'read_only', reason: 'report' }
  const known = { roles: new Set(['read_only']), targets: new Set(['shop']) }
  return newGrant({ ...terms, startsAt, durationMs: hour, requestId: 'r1' }, known)
}

/** What a client would be told of the failure that `work` ends in. */
async function failureOf(work: Promise<unknown>): Promise<Failure> {
  const error = await work.then(
    () => new Error('it succeeded'),
    (thrown: unknown) => thrown,
  )
  if (error instanceof Failure) return error
  throw error
}

function told({ message, detail, hint }: Failure): string {
  return [message, detail, hint].join(' ')
}

describe('opening the store', () => {
  it('makes its schema, once, however many processes start together', async () => {
    const stores = await Promise.all(Array.from({ length: 6 }, () => open()))
    await Promise.all(stores.map((store) => store.ping()))
    await Promise.all(stores.map((store) => store.close()))
    const { rows } = await direct.query('select name from pgwarden.migrations order by name')
    expect(rows).toEqual(migrationNames.map((name) => ({ name })))
  })

  it('refuses a store that a later version has migrated', async () => {
    await (await open()).close()
    await direct.query("insert into pgwarden.migrations (name) values ('9999-later')")
    try {
      const failure = await failureOf(open())
      expect(failure.code).toBe('invalid_configuration')
      expect(told(failure)).toContain('9999-later')
    } finally {
      await direct.query("delete from pgwarden.migrations where name = '9999-later'")
    }
  })

  it.each(['not a url', 'mysql://u:hidden@h/d', 'postgres://u:hidden@[h/d'])(
    'refuses %j without repeating it',
    async (url) => {
      const failure = await failureOf(open(url))
      expect(failure.code).toBe('invalid_configuration')
      expect(inspect(failure, { depth: 9 })).not.toContain('hidden')
    },
  )
})

describe('what is stored', () => {
  it('comes back as it was', async () => {
    const store = await open()
    const grant = grantFrom(start + 1)
    const { record } = await issueToken(grant, 'one-time', start + 2, { redeemWithinMs: 60_000 })
    await store.insertGrant(grant)
    await store.insertToken(record)
    expect(await store.findToken(record.id)).toEqual({
      ...record,
      grant,
      redeemedAt: undefined,
      revokedAt: undefined,
      sitting: undefined,
    })
    expect(await store.findToken('')).toBeUndefined()
    await store.close()
  })
})

describe('a lease', () => {
  const lease = (grant: Grant, id: string, issuedAt = start) => ({
    id: `${grant.id}-${id}`,
    grantId: grant.id,
    target: 'shop',
    engine: 'broker' as const,
    instance: 'one',
    issuedAt,
    databaseRole: 'pgw_x',
    vaultLease: undefined,
    expiresAt: undefined,
  })
  /** Of a lease whose engine has not answered. */
  const asked = (grant: Grant, id: string, expiresAt: number): LeaseRecord => ({
    ...lease(grant, id),
    engine: 'vault-dynamic',
    databaseRole: undefined,
    expiresAt,
  })
  const age = (grant: Grant, seconds: number) =>
    direct.query(
      `update pgwarden.leases set renewed_at = renewed_at - $2 * interval '1 s',
              tried_at = tried_at - $2 * interval '1 s'
        where grant_id = $1`,
      [grant.id, seconds],
    )
  const staleOf = async (store: Store, grant: Grant, now: number) =>
    (await store.staleLeases(now, 60_000))
      .filter(({ record }) => record.grantId === grant.id)
      .map(({ record, reason }) => [record.id, reason])

  it('is not given on a grant that is over, revoked or unknown', async () => {
    const store = await open()
    const grant = grantFrom(start)
    expect(await store.insertLease(lease(grant, 'a'))).toBe(false)
    await store.insertGrant(grant)
    expect(await store.insertLease(lease(grant, 'b', start + hour))).toBe(false)
    expect(await store.insertLease(lease(grant, 'c'))).toBe(true)
    await direct.query('update pgwarden.grants set revoked_at = now() where id = $1', [grant.id])
    expect(await store.insertLease(lease(grant, 'd'))).toBe(false)
    expect(await store.openLeases(grant.id)).toEqual([lease(grant, 'c')])
    await store.close()
  })

  it('is either refused or seen by a revoke that comes at the same moment', async () => {
    const store = await open()
    const grant = grantFrom(start)
    await store.insertGrant(grant)
    const revoke = await direct.connect()
    await revoke.query('begin')
    await revoke.query('update pgwarden.grants set revoked_at = now() where id = $1', [grant.id])
    const inserted = store.insertLease(lease(grant, 'a'))
    await new Promise((resolve) => setTimeout(resolve, 100))
    await revoke.query('commit')
    revoke.release()
    expect(await inserted).toBe(false)
    await store.close()
  })

  it('is stale when its grant is over or nobody says that it is held, until it is ended', async () => {
    const store = await open()
    const grant = grantFrom(start)
    await store.insertGrant(grant)
    await store.insertLease(lease(grant, 'a'))
    await store.insertLease(lease(grant, 'b'))
    const a = `${grant.id}-a`
    const b = `${grant.id}-b`
    await age(grant, 55)
    expect(await staleOf(store, grant, start)).toEqual([])
    expect(await store.renewLeases([b, 'unknown'])).toEqual([b])
    await age(grant, 6)
    expect(await staleOf(store, grant, start)).toEqual([[a, 'abandoned']])
    expect(await store.orphanedLeases(60_000)).toBe(1)
    expect((await staleOf(store, grant, start + hour)).sort()).toEqual([
      [a, 'grant_over'],
      [b, 'grant_over'],
    ])
    await store.endLease(a, 'unconfirmed')
    expect(await store.renewLeases([a])).toEqual([])
    expect(await staleOf(store, grant, start + hour)).toEqual([[b, 'grant_over']])
    expect(await store.orphanedLeases(60_000)).toBe(0)
    await store.close()
  })

  it('tells whose it was to whoever finds it', async () => {
    const store = await open()
    const grant = grantFrom(start)
    await store.insertGrant(grant)
    await store.insertLease(lease(grant, 'a'))
    await age(grant, 61)
    const found = await store.staleLeases(start, 60_000)
    expect(found.find(({ record }) => record.grantId === grant.id)).toEqual({
      record: lease(grant, 'a'),
      principal: grant.principal,
      role: grant.role,
      reason: 'abandoned',
    })
    await store.endLease(`${grant.id}-a`, 'confirmed')
    await store.close()
  })

  it('is tried by one process at a time, and after a failure later and later', async () => {
    const store = await open()
    const grant = grantFrom(start)
    await store.insertGrant(grant)
    await store.insertLease(lease(grant, 'a'))
    const id = `${grant.id}-a`
    await age(grant, 61)
    const claims = await Promise.all([1, 2, 3].map(() => store.claimLeases([id])))
    expect(claims.flat()).toEqual([id])
    expect(await staleOf(store, grant, start)).toEqual([])
    await age(grant, 6)
    expect(await staleOf(store, grant, start)).toEqual([[id, 'abandoned']])
    expect(await store.claimLeases([id])).toEqual([id])
    await age(grant, 6)
    expect(await store.claimLeases([id])).toEqual([])
    await age(grant, 5)
    expect(await store.claimLeases([id])).toEqual([id])
    await store.endLease(id, 'confirmed')
    await store.close()
  })

  it('that nobody can name is left until it has ended by itself', async () => {
    const store = await open()
    const grant = grantFrom(start)
    await store.insertGrant(grant)
    await store.insertLease(asked(grant, 'a', start + 1_000))
    await age(grant, 61)
    expect(await staleOf(store, grant, start + 999)).toEqual([])
    expect(await store.orphanedLeases(60_000)).toBe(1)
    expect(await staleOf(store, grant, start + 1_000)).toEqual([[`${grant.id}-a`, 'abandoned']])
    await store.endLease(`${grant.id}-a`, 'unconfirmed')
    await store.close()
  })

  it('is not used when its grant was revoked while it was made, and can be found by its name', async () => {
    const store = await open()
    const grant = grantFrom(start)
    await store.insertGrant(grant)
    const named = {
      ...asked(grant, 'a', start + 2_000),
      databaseRole: 'v-x',
      vaultLease: 'database/creds/r/1',
    }
    await store.insertLease(asked(grant, 'a', start + 1_000))
    expect(await store.completeLease(named, start)).toBe(true)
    expect(await store.openLeases(grant.id)).toEqual([named])
    await store.moveLease(named.id, start + 3_000)
    expect(await store.openLeases(grant.id)).toEqual([{ ...named, expiresAt: start + 3_000 }])
    await direct.query('update pgwarden.grants set revoked_at = now() where id = $1', [grant.id])
    expect(await store.completeLease(named, start)).toBe(false)
    expect(await store.openLeases(grant.id)).toEqual([named])
    await store.endLease(named.id, 'confirmed')
    await store.close()
  })

  it('is open again when its login is made after all', async () => {
    const store = await open()
    const grant = grantFrom(start)
    await store.insertGrant(grant)
    const record = lease(grant, 'a')
    await store.insertLease(record)
    await store.endLease(record.id, 'confirmed')
    expect(await store.completeLease(record, start)).toBe(false)
    expect(await store.openLeases(grant.id)).toEqual([record])
    await store.endLease(record.id, 'confirmed')
    await store.close()
  })
})

describe('a store that cannot answer', () => {
  it('is said to a client without where it is or who we are there', async () => {
    const secretive = database.url.replace(/\/\/[^@]*@/, '//somebody:hidden@')
    for (const url of [secretive, 'postgres://somebody:hidden@127.0.0.1:1/nothing']) {
      const failure = await failureOf(open(url))
      expect(failure).toMatchObject({ code: 'cannot_connect_now', sqlstate: '57P03' })
      expect(told(failure)).not.toMatch(/hidden|somebody|127\.0\.0\.1|nothing|ECONN/)
      expect(inspect(failure, { depth: 9 })).not.toContain('hidden')
    }
  })

  it('is not waited for when it accepts and says nothing', async () => {
    const sockets = new Set<Socket>()
    const silent: Server = createServer((socket) => sockets.add(socket))
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    const address = silent.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    const began = performance.now()
    const url = `postgres://u:p@127.0.0.1:${address.port}/d`
    const failure = await failureOf(open(url, { connectTimeoutMs: 300 }))
    expect(failure.code).toBe('cannot_connect_now')
    expect(performance.now() - began).toBeLessThan(3_000)
    for (const socket of sockets) socket.destroy()
    silent.close()
  })

  it('loses the statement that waits too long, not the process', async () => {
    const store = await open(database.url, { statementTimeoutMs: 200 })
    const grant = grantFrom(start)
    const { record } = await issueToken(grant, 'reusable', start, { redeemWithinMs: 60_000 })
    await store.insertGrant(grant)
    await store.insertToken(record)
    const blocker = await direct.connect()
    await blocker.query('begin')
    await blocker.query('lock table pgwarden.access_tokens')
    expect((await failureOf(store.findToken(record.id))).code).toBe('cannot_connect_now')
    await blocker.query('rollback')
    blocker.release()
    expect((await store.findToken(record.id))?.id).toBe(record.id)
    await store.close()
  })

  it('is reported when its idle connections break, and used again afterwards', async () => {
    const store = await open()
    await store.ping()
    problems.length = 0
    await direct.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and application_name = 'pgwarden store'`,
    )
    await expect.poll(() => problems.length).toBeGreaterThan(0)
    await store.ping()
    await store.close()
  })
})
