// Leases of the built-in broker against a real PostgreSQL and a real store, both as a superuser and as
// the login with CREATEROLE that an operator would give it.

import { readFile } from 'node:fs/promises'
import { inspect } from 'node:util'
import { Client, Pool } from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import type { Grant, Lease } from '../../src/access/access.ts'
import { newGrant } from '../../src/access/grant.ts'
import { randomId } from '../../src/access/id.ts'
import {
  Administration,
  type BrokerTarget,
  type OwnedObjects,
} from '../../src/credentials/administration.ts'
import type { Connect } from '../../src/credentials/administrative-connection.ts'
import { brokerCredentials } from '../../src/credentials/broker.ts'
import { Leases } from '../../src/credentials/leases.ts'
import { Secret } from '../../src/secret.ts'
import { Store } from '../../src/store/store.ts'
import { encodeBackend } from '../../src/wire/backend-encoder.ts'
import { type FreshDatabase, freshDatabase } from '../support/databases.ts'
import { eventually } from '../support/eventually.ts'
import { silentObserver } from '../support/leases.ts'
import { connectorTo, serverAt } from '../support/upstream.ts'

const hour = 3_600_000
const start = Date.UTC(2030, 0, 1)
// Roles belong to the whole server, which other runs may share.
const serverLog = inject('serverLog')
const suffix = randomId(6)
const reader = `reader_${suffix}`
const owner = `owner_${suffix}`
const administrator = `broker_${suffix}`
const administratorPassword = 'broker-password'

let now = start
const clock = { now: () => now, elapsed: () => now }

let database: FreshDatabase
let store: Store
let direct: Pool
let brokers: Leases[] = []
let administrations: Administration[] = []
let problems: unknown[] = []

beforeAll(async () => {
  database = await freshDatabase(inject('adminUrl'), 'broker')
  store = await Store.open({ url: new Secret(database.url), onProblem: () => {} })
  direct = new Pool({ connectionString: database.url })
  await direct.query(`
    create role ${reader};
    create role ${owner};
    create role ${administrator} login createrole password '${administratorPassword}';
    grant ${reader}, ${owner} to ${administrator} with admin option;
    create table stock (id int);
    insert into stock values (1), (2);
    grant select on stock to ${reader};
    create schema workshop;
    grant create, usage on schema workshop to ${reader}, ${owner};`)
})

beforeEach(() => {
  now = start
  problems = []
})

afterEach(async () => {
  await Promise.all(brokers.map((broker) => broker.stop()))
  await Promise.all(administrations.map((administration) => administration.close()))
  brokers = []
  administrations = []
})

afterAll(async () => {
  await store.close()
  await direct.query(`
    drop owned by ${reader}, ${owner}, ${administrator};
    drop role ${reader}, ${owner}, ${administrator}`)
  await direct.end()
  await database.drop()
})

interface Setup {
  readonly instance?: string
  readonly superuser?: boolean
  readonly owned?: OwnedObjects
  readonly creation?: readonly string[]
  readonly port?: number
  readonly connect?: Connect
}

/** One process. */
function broker(setup: Setup = {}): Leases {
  const target = targetOf(setup)
  const made = new Leases({
    targets: new Map([['shop', brokerCredentials('shop', target, administration(setup))]]),
    store,
    clock,
    instance: setup.instance ?? randomId(),
    observer: {
      ...silentObserver,
      revokeFailed: (_, { error }) => problems.push(error),
      problem: (error) => problems.push(error),
    },
  })
  brokers.push(made)
  return made
}

function administration(setup: Setup = {}): Administration {
  const url = new URL(database.url)
  const port = setup.port ?? Number(url.port || 5432)
  const connector = connectorTo([serverAt(port, {}, url.hostname)], { connectTimeoutMs: 2_000 })
  const made = new Administration(
    'shop',
    targetOf(setup),
    setup.connect ?? ((request) => connector.connect(request)),
    (error) => problems.push(error),
  )
  administrations.push(made)
  return made
}

function targetOf(setup: Setup): BrokerTarget {
  const url = new URL(database.url)
  return {
    database: database.name,
    connectTimeoutMs: 2_000,
    servers: [{ host: url.hostname, port: Number(url.port || 5432) }],
    targetSessionAttrs: 'any',
    credentials: {
      broker: {
        user: setup.superuser === true ? decodeURIComponent(url.username) : administrator,
        password: new Secret(
          setup.superuser === true ? decodeURIComponent(url.password) : administratorPassword,
        ),
        owned: setup.owned ?? { reassignTo: owner },
        creation: new Map([['read_only', setup.creation ?? [`grant ${reader} to {{name}}`]]]),
      },
    },
  }
}

/** It has been at work for long enough to know who is silent. */
async function watching(keeper: Leases, beside?: Leases): Promise<Leases> {
  for (let seconds = 0; seconds <= 60; seconds += 5) {
    await keeper.sweep()
    await beside?.sweep()
    now += 5_000
  }
  return keeper
}

/** For so long nobody has said that the grant's leases are held; by the store's clock. */
async function silentFor(grant: Grant, seconds: number): Promise<void> {
  await direct.query(
    `update pgwarden.leases set renewed_at = renewed_at - $2 * interval '1 s',
            tried_at = tried_at - $2 * interval '1 s'
      where grant_id = $1`,
    [grant.id, seconds],
  )
}

async function acquired(keeper: Leases, grant: Grant): Promise<Lease> {
  return (await keeper.acquire(grant)).lease
}

async function newStoredGrant(role = 'read_only'): Promise<Grant> {
  const grant = newGrant(
    {
      principal: 'alice',
      target: 'shop',
      role,
      startsAt: start,
      durationMs: hour,
      reason: 'report',
    },
    { roles: new Set([role]), targets: new Set(['shop']) },
  )
  await store.insertGrant(grant)
  return grant
}

async function logIn(lease: Lease): Promise<Client> {
  const url = new URL(database.url)
  url.username = lease.user
  url.password = encodeURIComponent(lease.password.reveal())
  const client = new Client({ connectionString: url.href })
  client.on('error', () => {})
  await client.connect()
  return client
}

async function rolesOf(grant: Grant): Promise<string[]> {
  const { rows } = await direct.query<{ rolname: string }>(
    'select rolname from pg_roles where starts_with(rolname, $1)',
    [`pgw_${grant.id}_`],
  )
  return rows.map(({ rolname }) => rolname)
}

async function revoke(grant: Grant): Promise<void> {
  await direct.query('update pgwarden.grants set revoked_at = now() where id = $1', [grant.id])
}

describe('a lease', () => {
  it('is a login of its own that may what the creation statements give, and no more', async () => {
    const lease = await acquired(broker(), await newStoredGrant())
    const client = await logIn(lease)
    const { rows } = await client.query('select count(*)::int as n from stock')
    expect(rows).toEqual([{ n: 2 }])
    await expect(client.query('delete from stock')).rejects.toThrow(/permission denied/)
    await expect(client.query('create role x')).rejects.toThrow(/permission denied/)
    await client.end()
  })

  it('is a role with the right membership that ends with the grant', async () => {
    const grant = await newStoredGrant()
    const lease = await acquired(broker(), grant)
    const { rows } = await direct.query(
      `select r.rolsuper, r.rolcreaterole, r.rolcreatedb, r.rolreplication, r.rolbypassrls,
              r.rolcanlogin, r.rolvaliduntil,
              array(select g.rolname::text from pg_auth_members m join pg_roles g on g.oid = m.roleid
                     where m.member = r.oid) as member_of
         from pg_roles r where rolname = $1`,
      [lease.user],
    )
    expect(rows).toEqual([
      {
        rolsuper: false,
        rolcreaterole: false,
        rolcreatedb: false,
        rolreplication: false,
        rolbypassrls: false,
        rolcanlogin: true,
        rolvaliduntil: new Date(grant.endsAt),
        member_of: [reader],
      },
    ])
    expect(lease.user.startsWith(`pgw_${grant.id}_`)).toBe(true)
  })

  it('is one for 100 simultaneous sessions of a grant', async () => {
    const grant = await newStoredGrant()
    const shared = broker()
    const leases = await Promise.all(Array.from({ length: 100 }, () => acquired(shared, grant)))
    expect(new Set(leases.map(({ user }) => user)).size).toBe(1)
    expect(await rolesOf(grant)).toHaveLength(1)
    expect(await store.openLeases(grant.id)).toHaveLength(1)
  })

  it('is written to the store before the role exists', async () => {
    const grant = await newStoredGrant()
    const failing = broker({ creation: ['select pg_sleep(0.5)', 'grant no_such_role to {{name}}'] })
    const failed = failing.acquire(grant).catch((error: unknown) => error)
    await expect.poll(() => store.openLeases(grant.id), { interval: 20 }).toHaveLength(1)
    await failed
    await expect.poll(() => store.openLeases(grant.id)).toEqual([])
    expect(await rolesOf(grant)).toEqual([])
    expect(await store.openLeases(grant.id)).toEqual([])
  })

  it('is refused when the grant was revoked since the login was checked', async () => {
    const grant = await newStoredGrant()
    await revoke(grant)
    await expect(broker().acquire(grant)).rejects.toMatchObject({ code: 'invalid_authorization' })
    expect(await rolesOf(grant)).toEqual([])
  })

  it('does not show its password in print', async () => {
    const lease = await acquired(broker(), await newStoredGrant())
    expect(inspect(lease) + JSON.stringify(lease)).not.toContain(lease.password.reveal())
  })

  it.runIf(serverLog)('does not show its password in the log of the server', async () => {
    const lease = await acquired(broker(), await newStoredGrant())
    const written = await readFile(serverLog ?? '', 'utf8')
    expect(written).toContain(lease.user)
    expect(written).not.toContain(lease.password.reveal())
  })
})

describe('a failure to issue', () => {
  it('leaves nothing behind, says nothing of the inside, and is not remembered', async () => {
    const grant = await newStoredGrant()
    const failing = broker({ creation: [`grant no_such_role to {{name}}`] })
    for (let attempt = 0; attempt < 2; attempt++) {
      const error: unknown = await failing.acquire(grant).catch((thrown: unknown) => thrown)
      expect(error).toMatchObject({
        code: 'cannot_connect_now',
        message: 'no database login can be prepared for target "shop"',
        detail: undefined,
      })
    }
    expect(await rolesOf(grant)).toEqual([])
  })

  it('for a role that the target does not offer says which', async () => {
    const grant = await newStoredGrant('admin')
    await expect(broker().acquire(grant)).rejects.toThrow('target "shop" has no role "admin"')
  })

  it('is not taken for never made when the server goes down in the middle of its COMMIT', async () => {
    const grant = await newStoredGrant()
    const url = new URL(database.url)
    const connector = connectorTo([serverAt(Number(url.port || 5432), {}, url.hostname)])
    let goesDown = true
    const connect: Connect = async (request) => {
      const session = await connector.connect(request)
      const { socket } = session
      const write = socket.write.bind(socket)
      socket.write = (chunk: Uint8Array, ...more: never[]) => {
        const written = write(chunk, ...more)
        if (!goesDown || !Buffer.from(chunk).includes('commit')) return written
        // What it says when it waits for a standby: "already committed locally, but might not have been replicated".
        goesDown = false
        const fields = { S: 'FATAL', C: '57P01', M: 'terminating connection' }
        socket.emit('data', encodeBackend({ type: 'errorResponse', fields }))
        return written
      }
      return session
    }
    const keeper = broker({ connect })
    await expect(acquired(keeper, grant)).rejects.toMatchObject({ code: 'cannot_connect_now' })
    await eventually(async () => {
      keeper.look()
      return (await store.openLeases(grant.id)).length === 0
    })
    expect(goesDown).toBe(false)
    expect(await rolesOf(grant)).toEqual([])
  })

  it('for a target that is away is quick, and told without host or login', async () => {
    const grant = await newStoredGrant()
    const error: unknown = await broker({ port: 1 })
      .acquire(grant)
      .catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({
      code: 'upstream_unreachable',
      message: 'target "shop" cannot be reached',
    })
    await expect.poll(() => store.openLeases(grant.id)).toEqual([])
    expect(problems).toEqual([])
  })
})

describe.each([
  ['a login with CREATEROLE', false],
  ['a superuser', true],
])('the end of a grant, by %s', (_, superuser) => {
  it('ends live sessions, keeps what was made, and drops the role', async () => {
    const grant = await newStoredGrant()
    const ending = broker({ superuser })
    const lease = await acquired(ending, grant)
    const client = await logIn(lease)
    await client.query('create table workshop.made as select 1 as x')
    await client.query(`grant select on workshop.made to ${reader}`)
    const cut = client.query('select pg_sleep(30)').catch((error: unknown) => error)
    await revoke(grant)

    await ending.endGrant(grant.id)

    expect(await cut).toMatchObject({ code: '57P01' })
    expect(await rolesOf(grant)).toEqual([])
    expect(await store.openLeases(grant.id)).toEqual([])
    const { rows } = await direct.query(
      "select tableowner, (select x from workshop.made) as x from pg_tables where tablename = 'made'",
    )
    expect(rows).toEqual([{ tableowner: owner, x: 1 }])
    await direct.query('drop table workshop.made')
    await client.end()
  })

  it("looks at the server's own catalog, whatever the database's owner has put before it", async () => {
    const grant = await newStoredGrant()
    await direct.query(`
      create schema blindfold;
      grant usage on schema blindfold to public;
      create view blindfold.pg_roles as select * from pg_catalog.pg_roles where false;
      grant select on all tables in schema blindfold to public;
      alter database "${database.name}" set search_path = blindfold, pg_catalog`)
    try {
      const ending = broker({ superuser })
      await acquired(ending, grant)
      await ending.endGrant(grant.id)
      expect(await rolesOf(grant)).toEqual([])
    } finally {
      await direct.query(`
        alter database "${database.name}" reset search_path;
        drop schema blindfold cascade`)
    }
  })

  it('drops what was made, where it is configured so', async () => {
    const grant = await newStoredGrant()
    const dropping = broker({ superuser, owned: 'drop' })
    const client = await logIn(await acquired(dropping, grant))
    await client.query('create table workshop.passing (x int)')
    await client.end()
    await dropping.endGrant(grant.id)
    expect(await rolesOf(grant)).toEqual([])
    const { rows } = await direct.query("select 1 from pg_tables where tablename = 'passing'")
    expect(rows).toEqual([])
  })
})

describe('the end of a grant', () => {
  it('may be asked for again, and in every process ends what that one holds', async () => {
    const grant = await newStoredGrant()
    const [one, two] = [broker(), broker()]
    await Promise.all([one.acquire(grant), two.acquire(grant)])
    expect(await rolesOf(grant)).toHaveLength(2)
    await Promise.all([one, two, one].map((ending) => ending.endGrant(grant.id)))
    await one.endGrant(grant.id)
    expect(await rolesOf(grant)).toEqual([])
    expect(await store.openLeases(grant.id)).toEqual([])
  })

  it('catches a lease that is being issued at this moment', async () => {
    const grant = await newStoredGrant()
    const one = broker({ creation: ['select pg_sleep(0.3)'] })
    const issued = one.acquire(grant).catch((error: unknown) => error)
    await expect.poll(() => store.openLeases(grant.id), { interval: 20 }).toHaveLength(1)
    await revoke(grant)
    await one.endGrant(grant.id)
    expect(await issued).toMatchObject({ code: 'invalid_authorization' })
    expect(await rolesOf(grant)).toEqual([])
    expect(await store.openLeases(grant.id)).toEqual([])
  })

  it('that cannot be carried out is an error, the lease stays open, and is tried again', async () => {
    const grant = await newStoredGrant()
    const clumsy = broker({ owned: { reassignTo: `late_${suffix}` } })
    await clumsy.acquire(grant)
    await expect(clumsy.endGrant(grant.id)).rejects.toMatchObject({ code: 'cannot_connect_now' })
    expect(await store.openLeases(grant.id)).toHaveLength(1)
    await direct.query(`create role late_${suffix}`)
    try {
      await direct.query(`grant late_${suffix} to ${administrator}`)
      now += 60_000
      clumsy.look()
      await expect.poll(() => store.openLeases(grant.id)).toEqual([])
      expect(await rolesOf(grant)).toEqual([])
    } finally {
      await direct.query(`drop role late_${suffix}`)
    }
  })
})

describe('a sweep', () => {
  it('removes the roles of a process that was killed, with their sessions', async () => {
    const grant = await newStoredGrant()
    const client = await logIn(await acquired(broker(), grant))
    const next = await watching(broker())
    await silentFor(grant, 55)
    await next.sweep()
    expect(await rolesOf(grant)).toHaveLength(1)
    await silentFor(grant, 6)
    await next.sweep()
    expect(await rolesOf(grant)).toEqual([])
    expect(await store.openLeases(grant.id)).toEqual([])
    await expect(client.query('select')).rejects.toThrow()
    expect(problems).toEqual([])
  })

  it('takes nobody for dead before it has heard the store for as long', async () => {
    const grant = await newStoredGrant()
    await broker().acquire(grant)
    await silentFor(grant, 61)
    const next = broker()
    for (let seconds = 0; seconds < 60; seconds += 5) {
      await next.sweep()
      now += 5_000
    }
    expect(await rolesOf(grant)).toHaveLength(1)
    // Another outage, or a stop of this process, and it begins to listen anew.
    now += 30_000
    await next.sweep()
    expect(await rolesOf(grant)).toHaveLength(1)
    await watching(next)
    expect(await rolesOf(grant)).toEqual([])
  })

  it('leaves alone what its own or another living process holds', async () => {
    const grant = await newStoredGrant()
    const [one, two] = [broker(), broker()]
    const lease = await acquired(one, grant)
    await Promise.all([watching(one), watching(two)])
    for (let beats = 0; beats < 5; beats++) {
      await silentFor(grant, 40)
      now += 5_000
      await one.sweep()
      await two.sweep()
    }
    expect(await rolesOf(grant)).toEqual([lease.user])
    expect((await acquired(one, grant)).id).toBe(lease.id)
  })

  it('does not take the lease of the living for that of the dead on the same grant', async () => {
    const grant = await newStoredGrant()
    const [dead, living] = [broker(), broker()]
    await dead.acquire(grant)
    const lease = await acquired(living, grant)
    await watching(living)
    await silentFor(grant, 61)
    await living.sweep()
    expect(await rolesOf(grant)).toEqual([lease.user])
  })

  it('removes what outlived its grant, and what is over is not given again', async () => {
    const grant = await newStoredGrant()
    const sweeping = broker()
    await sweeping.acquire(grant).then((use) => use.released())
    now = grant.endsAt
    await sweeping.sweep()
    await expect.poll(() => rolesOf(grant)).toEqual([])
    await expect(sweeping.acquire(grant)).rejects.toMatchObject({ code: 'invalid_authorization' })
  })

  it('leaves the lease of a grant that is over to its holder for ten seconds', async () => {
    const grant = await newStoredGrant()
    await broker().acquire(grant)
    const other = await watching(broker())
    await revoke(grant)
    await other.sweep()
    now += 5_000
    await other.sweep()
    expect(await rolesOf(grant)).toHaveLength(1)
    now += 5_000
    await other.sweep()
    expect(await rolesOf(grant)).toEqual([])
  })

  it('makes a process that was away for too long issue anew', async () => {
    const grant = await newStoredGrant()
    const [away, other] = [broker(), broker()]
    const use = await away.acquire(grant)
    await watching(other)
    await silentFor(grant, 61)
    await other.sweep()
    await away.sweep()
    expect(use.remainingMs).toBe(0)
    const lease = await acquired(away, grant)
    expect(lease.id).not.toBe(use.lease.id)
    await (await logIn(lease)).end()
  })

  it('is not held up by a target that is away, and says so', async () => {
    const grant = await newStoredGrant()
    await broker().acquire(grant)
    const [lame, sound] = [broker({ port: 1 }), broker()]
    await watching(lame, sound)
    await silentFor(grant, 61)
    await lame.sweep()
    expect(problems).toMatchObject([{ code: 'upstream_unreachable' }])
    await sound.sweep()
    expect(await rolesOf(grant), 'it was tried a moment ago').toHaveLength(1)
    await silentFor(grant, 6)
    await sound.sweep()
    expect(await rolesOf(grant)).toEqual([])
  })
})

describe('stopping', () => {
  it('removes what this process holds, and nothing of others', async () => {
    const grant = await newStoredGrant()
    const [one, two] = [broker(), broker()]
    await one.acquire(grant)
    const other = await acquired(two, grant)
    await one.stop()
    expect(await rolesOf(grant)).toEqual([other.user])
    expect(problems).toEqual([])
  })
})
