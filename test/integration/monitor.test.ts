// Ending what a revoked login still runs, and making sure that it is gone, by a monitoring login with no
// right more than it needs.

import { setTimeout as sleep } from 'node:timers/promises'
import { Client, Pool } from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest'
import { randomId } from '../../src/access/id.ts'
import { Monitor } from '../../src/credentials/monitor.ts'
import { Secret } from '../../src/secret.ts'
import { connectedTo, type FreshDatabase, freshDatabase } from '../support/databases.ts'
import { eventually } from '../support/eventually.ts'
import { connectorTo, serverAt } from '../support/upstream.ts'

// Only of a server of our own do we know that its processes are on this machine, and may be stopped.
const ownServer = inject('serverLog') !== undefined
const suffix = randomId(6)
const password = 'a password'
const logins = {
  able: `monitor_${suffix}`,
  blind: `blind_${suffix}`,
  powerless: `powerless_${suffix}`,
}

let database: FreshDatabase
let direct: Pool
let role = ''
let others = 0
const monitors: Monitor[] = []
const clients: Client[] = []

beforeAll(async () => {
  database = await freshDatabase(inject('adminUrl'), 'monitor')
  direct = new Pool({ connectionString: database.url })
  await direct.query(`
    create role ${logins.able} login password '${password}';
    create role ${logins.blind} login password '${password}';
    create role ${logins.powerless} login password '${password}';
    grant pg_signal_backend, pg_read_all_stats to ${logins.able};
    grant pg_signal_backend to ${logins.blind};
    grant pg_read_all_stats to ${logins.powerless};`)
})

afterEach(async () => {
  for (const client of clients.splice(0)) await client.end().catch(() => undefined)
  for (const monitor of monitors.splice(0)) await monitor.close()
  await direct.query(`drop role if exists ${role}`)
})

afterAll(async () => {
  await direct.query(`drop role ${Object.values(logins).join(', ')}`)
  await direct.end()
  await database.drop()
})

function monitorAs(user: string, ports: readonly number[] = [serverPort()]): Monitor {
  const made = new Monitor({
    target: 'shop',
    database: database.name,
    connectTimeoutMs: 2_000,
    login: () => Promise.resolve({ user, password: new Secret(password) }),
    servers: ports.map((port) => {
      const server = serverAt(port, {}, new URL(database.url).hostname)
      const connector = connectorTo([server], { connectTimeoutMs: 2_000 })
      return { name: `server:${port}`, connect: (request) => connector.connect(request) }
    }),
    patienceMs: 500,
    onProblem: () => undefined,
  })
  monitors.push(made)
  return made
}

function serverPort(): number {
  return Number(new URL(database.url).port || 5432)
}

async function newRole(more = ''): Promise<void> {
  role = `leased_${suffix}_${others++}`
  await direct.query(`create role ${role} login password '${password}' ${more}`)
}

/** A session of the role, and its process. */
async function session(): Promise<{
  readonly server: string
  readonly processId: number
  readonly ended: Promise<unknown>
}> {
  const url = new URL(database.url)
  url.username = role
  url.password = encodeURIComponent(password)
  const client = new Client({ connectionString: url.href })
  clients.push(client)
  const ended = new Promise((resolve) => client.on('error', resolve))
  await client.connect()
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
  return { server: `server:${serverPort()}`, processId: rows[0]?.pid ?? 0, ended }
}

async function running(): Promise<number[]> {
  const { rows } = await direct.query<{ pid: number }>(
    'select pid from pg_stat_activity where usename = $1 order by pid',
    [role],
  )
  return rows.map(({ pid }) => pid)
}

/** What the log would say. */
async function causeOf(refused: Promise<unknown>): Promise<string> {
  const error: unknown = await refused.then(
    () => new Error('nothing was refused'),
    (thrown: unknown) => thrown,
  )
  return error instanceof Error && error.cause instanceof Error
    ? error.cause.message
    : String(error)
}

describe('ending the sessions of a login', () => {
  it("ends all of its own role's, whatever they do, and nobody else's", async () => {
    await newRole()
    const [one, two] = [await session(), await session()]
    const [, client] = clients
    const cut = client?.query('select pg_sleep(60)').catch((error: unknown) => error)
    await monitorAs(logins.able).endBackends(role)
    expect(await running()).toEqual([])
    expect(await one.ended).toMatchObject({ code: '57P01' })
    expect(await cut).toMatchObject({ code: '57P01' })
    await two.ended
    expect((await direct.query('select 1 as alive')).rows).toEqual([{ alive: 1 }])
  })

  it('ends of a shared role only what it is told of', async () => {
    await newRole()
    const ours = await session()
    const theirs = await session()
    await monitorAs(logins.able).endBackends(role, [{ ...ours, openedMsAgo: 0 }])
    expect(await running()).toEqual([theirs.processId])
  })

  it('ends of a shared role no session that only has the number of one of ours', async () => {
    await newRole()
    const { server, processId } = await session()
    const monitor = monitorAs(logins.able)
    await monitor.endBackends(role, [{ server, processId, openedMsAgo: 3_600_000 }])
    expect(await running()).toEqual([processId])
    await monitor.confirmGone(role, 'shared', [{ server, processId, openedMsAgo: 3_600_000 }])
  })

  it('ends of a shared role no session that has on its server the number of ours on another', async () => {
    await newRole()
    const { processId } = await session()
    const ours = [{ server: 'server:5433', processId, openedMsAgo: 0 }]
    const monitor = monitorAs(logins.able)
    await monitor.endBackends(role, ours)
    expect(await running()).toEqual([processId])
    await monitor.confirmGone(role, 'shared', ours)
  })

  it('is nothing to do where none runs, and may be done again', async () => {
    await newRole()
    const monitor = monitorAs(logins.able)
    await monitor.endBackends(role)
    await monitor.endBackends(role)
    await monitor.endBackends(role, [])
  })

  it('goes on where a server can be reached, and says which one could not', async () => {
    await newRole()
    await session()
    const refused = monitorAs(logins.able, [1, serverPort()]).endBackends(role)
    await expect(refused).rejects.toMatchObject({ code: 'cannot_connect_now' })
    expect(await causeOf(refused)).toMatch(/^server:1: .*ECONNREFUSED/)
    expect(await running()).toEqual([])
  })

  it('is told apart where no server can be reached', async () => {
    await newRole()
    await expect(monitorAs(logins.able, [1]).endBackends(role)).rejects.toMatchObject({
      code: 'upstream_unreachable',
    })
  })

  it('says which right the monitoring login lacks', async () => {
    await newRole()
    const { server, processId } = await session()
    expect(await causeOf(monitorAs(logins.powerless).endBackends(role))).toContain(
      'grant pg_signal_backend to it',
    )
    const only = [{ server, processId, openedMsAgo: 0 }]
    const blind = monitorAs(logins.blind)
    expect(await causeOf(blind.endBackends(role, only))).toContain('grant pg_read_all_stats to it')
    // What it cannot see it does not take for gone.
    const confirming = blind.confirmGone(role, 'shared', only)
    expect(await causeOf(confirming)).toContain('grant pg_read_all_stats to it')
    expect(await running()).toEqual([processId])
  })

  it('needs no more than pg_signal_backend for a role of its own', async () => {
    await newRole()
    await session()
    const monitor = monitorAs(logins.blind)
    await monitor.endBackends(role)
    await direct.query(`drop role ${role}`)
    await monitor.confirmGone(role, 'own')
  })

  it("says that a superuser's sessions are out of its reach", async () => {
    await newRole('superuser')
    await session()
    expect(await causeOf(monitorAs(logins.able).endBackends(role))).toContain(
      "a superuser's sessions can be ended by superusers only",
    )
  })

  it.runIf(ownServer)(
    'says that one does not end, and ends it when it can',
    async () => {
      await newRole()
      const { processId } = await session()
      process.kill(processId, 'SIGSTOP')
      const monitor = monitorAs(logins.able)
      try {
        expect(await causeOf(monitor.endBackends(role))).toContain(
          `1 of the sessions of ${role} do not end`,
        )
      } finally {
        process.kill(processId, 'SIGCONT')
      }
      await monitor.endBackends(role)
      expect(await running()).toEqual([])
    },
    20_000,
  )
})

describe('confirming that a login is gone', () => {
  it('waits until the role is, and says when it stays', async () => {
    await newRole()
    const monitor = monitorAs(logins.able)
    const confirmed = monitor.confirmGone(role, 'own')
    await sleep(200)
    await direct.query(`drop role ${role}`)
    await confirmed
    await newRole()
    expect(await causeOf(monitor.confirmGone(role, 'own'))).toContain('the role is still there')
  })

  it('finds a session that has outlived its role', async () => {
    await newRole()
    const monitor = monitorAs(logins.able)
    await monitor.endBackends(role)
    const { processId } = await session()
    await direct.query(`drop role ${role}`)
    expect(await causeOf(monitor.confirmGone(role, 'own'))).toContain('1 of its sessions still run')
    await monitor.endBackends(role)
    await eventually(async () => {
      const { rowCount } = await direct.query('select from pg_stat_activity where pid = $1', [
        processId,
      ])
      return rowCount === 0
    })
    await monitor.confirmGone(role, 'own')
  })

  it('takes no session for gone whose role was dropped before anybody looked', async () => {
    await newRole()
    const { processId } = await session()
    await direct.query(`drop role ${role}`)
    const monitor = monitorAs(logins.able)
    await monitor.endBackends(role)
    expect(await causeOf(monitor.confirmGone(role, 'own'))).toContain(
      '1 sessions of roles that are gone still run, maybe its',
    )
    await direct.query('select pg_terminate_backend($1, 5000)', [processId])
    await monitor.confirmGone(role, 'own')
  })

  it('does not expect a shared role to go, nor the sessions of others', async () => {
    await newRole()
    await session()
    await monitorAs(logins.able).confirmGone(role, 'shared', [])
  })

  it('confirms nothing about a server that cannot be asked', async () => {
    await newRole()
    await direct.query(`drop role ${role}`)
    const monitor = monitorAs(logins.able, [serverPort(), 1])
    expect(await causeOf(monitor.confirmGone(role, 'own'))).toMatch(/^server:1: /)
  })

  it("looks at the server's own catalog, whatever the database's owner has put before it", async () => {
    await newRole()
    await connectedTo(database.url, (client) =>
      client.query(`
        create schema blindfold;
        grant usage on schema blindfold to public;
        create view blindfold.pg_stat_activity as
          select * from pg_catalog.pg_stat_activity where false;
        create view blindfold.pg_roles as select * from pg_catalog.pg_roles where false;
        grant select on all tables in schema blindfold to public;
        alter database "${database.name}" set search_path = blindfold, pg_catalog`),
    )
    try {
      expect(await causeOf(monitorAs(logins.able).confirmGone(role, 'own'))).toContain(
        'the role is still there',
      )
    } finally {
      await direct.query(`alter database "${database.name}" reset search_path`)
    }
  })
})
