// `pgwarden grant revoke` against running proxies and a real PostgreSQL: what it ends, what it waits for,
// and what it says.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest'
import { randomId } from '../../src/access/id.ts'
import { operations } from '../../src/composition/server.ts'
import { Between } from '../support/between.ts'
import { type Ended, pgwarden } from '../support/command-line.ts'
import { connectedTo, runs } from '../support/databases.ts'
import { eventually } from '../support/eventually.ts'
import { join } from '../support/forwarder.ts'
import { freePort } from '../support/ports.ts'
import { findPsql } from '../support/psql.ts'
import { Warden, type WardenOptions } from '../support/warden.ts'
import { WireClient } from '../support/wire-client.ts'

const adminUrl = inject('adminUrl')
// Only of a server of our own do we know that its processes are on this machine, and may be stopped.
const ownServer = inject('serverLog') !== undefined
const psql = findPsql()
const monitor = `monitor_${randomId(6)}`
const password = 'a password'
const sentence = 'terminating connection because the grant was revoked'

let warden: Warden
let other: Warden
let clients: Client[] = []
let people = 0

function options(more: WardenOptions = {}): WardenOptions {
  const { username, password: secret } = new URL(adminUrl)
  const quoted = (text: string): string => JSON.stringify(decodeURIComponent(text))
  return {
    credentials: [
      'broker:',
      `  user: ${quoted(username)}`,
      `  password: ${quoted(secret)}`,
      `  owned: { reassignTo: ${quoted(username)} }`,
      '  creation:',
      "    read_only: ['GRANT pg_read_all_data TO {{name}}']",
      "    read_full_write: ['GRANT pg_read_all_data, pg_write_all_data TO {{name}}']",
      `monitor: { user: ${monitor}, password: ${password} }`,
    ],
    ...more,
  }
}

beforeAll(async () => {
  await connectedTo(adminUrl, (client) =>
    client.query(`create role ${monitor} login password '${password}';
      grant pg_signal_backend, pg_read_all_stats to ${monitor}`),
  )
  warden = await Warden.start(adminUrl, {
    ...options(),
    schema: 'create table stock (id int); insert into stock select generate_series(1, 1000000)',
  })
  other = await Warden.start(adminUrl, options({ beside: warden }))
})

afterEach(async () => {
  for (const client of clients) await client.end().catch(() => undefined)
  clients = []
})

afterAll(async () => {
  await other.stop()
  await warden.stop()
  await connectedTo(adminUrl, (client) => client.query(`drop role ${monitor}`))
})

/** Somebody with a grant of their own, and how they log in. */
async function somebody(role = 'read_only') {
  const login = await warden.login(role, { user: `person_${people++}` })
  const { rows } = await warden.inStore((store) =>
    store.query<{ id: string }>('select id from pgwarden.grants where principal = $1', [
      login.user,
    ]),
  )
  return { login, grantId: rows[0]?.id ?? '' }
}

type Somebody = Awaited<ReturnType<typeof somebody>>

async function session({ login }: Somebody, through = warden): Promise<Client> {
  const client = new Client({ ...login, port: through.port })
  clients.push(client)
  // What ends a session is an event too.
  client.on('error', () => undefined)
  await client.connect()
  return client
}

/** The error that a statement ends with. */
async function failure(statement: Promise<unknown>): Promise<unknown> {
  return statement.then(
    () => 'it succeeded',
    (error: unknown) => error,
  )
}

function revoke({ grantId }: Somebody, ...more: readonly string[]): Promise<Ended> {
  const words = ['grant', 'revoke', '--config', warden.configFile, grantId, '--reason', 'a test']
  return pgwarden([...words, ...more], operations)
}

async function rolesOf({ grantId }: Somebody): Promise<number> {
  return warden.asSuperuser(async (client) => {
    const { rowCount } = await client.query('select from pg_roles where starts_with(rolname, $1)', [
      `pgw_${grantId}_`,
    ])
    return rowCount ?? 0
  })
}

async function backendsOf({ grantId }: Somebody): Promise<number[]> {
  return warden.asSuperuser(async (client) => {
    const { rows } = await client.query<{ pid: number }>(
      'select pid from pg_stat_activity where starts_with(usename, $1)',
      [`pgw_${grantId}_`],
    )
    return rows.map(({ pid }) => pid)
  })
}

async function openLeasesOf({ grantId }: Somebody): Promise<number> {
  return warden.inStore(async (store) => {
    const { rowCount } = await store.query(
      'select from pgwarden.leases where grant_id = $1 and ended_at is null',
      [grantId],
    )
    return rowCount ?? 0
  })
}

async function expectAllGone(person: Somebody): Promise<void> {
  expect(await rolesOf(person)).toBe(0)
  expect(await backendsOf(person)).toEqual([])
}

describe('revoking a grant', () => {
  it.skipIf(psql === undefined)(
    "ends psql's session in the middle of a long statement, and role and session are gone within two seconds",
    async () => {
      const person = await somebody()
      const { user, password: token } = person.login
      const conninfo = `host=127.0.0.1 port=${warden.port} dbname=shop user=${user} sslmode=disable`
      const run = spawn(psql ?? '', [conninfo, '-c', 'select pg_sleep(60)'], {
        env: { ...process.env, PGPASSWORD: token },
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      let said = ''
      run.stderr.setEncoding('utf8').on('data', (text: string) => {
        said += text
      })
      const ended = once(run, 'close')
      await warden.asSuperuser(runs('select pg_sleep(60)'))
      const startedAt = performance.now()
      const { status, stdout } = await revoke(person)
      const took = performance.now() - startedAt
      await expectAllGone(person)
      await ended
      expect(said).toContain(`FATAL:  ${sentence}`)
      expect(said).toContain('HINT:  Ask for a new grant')
      expect(status).toBe(0)
      expect(stdout).toMatch(/pgw_\S+ \(broker\): gone, and seen to be gone/)
      expect(took).toBeLessThan(2_000)
    },
  )

  it('ends a session that is idle, one idle in a transaction, and takes back what that one did', async () => {
    const person = await somebody('read_full_write')
    const [idle, busy] = [await session(person), await session(person)]
    const told = [idle, busy].map(async (client) => (await once(client, 'error'))[0] as unknown)
    await busy.query('begin')
    await busy.query('delete from stock where id = 1')
    expect((await revoke(person)).status).toBe(0)
    expect(await Promise.all(told)).toMatchObject([
      { code: '57P01', message: sentence },
      { code: '57P01', message: sentence },
    ])
    await expectAllGone(person)
    const { rows } = await warden.asSuperuser((client) =>
      client.query('select count(*)::int as n from stock where id = 1'),
    )
    expect(rows).toEqual([{ n: 1 }])
  })

  it('ends a COPY to a client that does not read, and one from a client', async () => {
    const person = await somebody('read_full_write')
    const reading = await WireClient.logIn(warden.port, person.login)
    reading.query('copy (select repeat(id::text, 200) from stock) to stdout')
    await reading.hears('copyData')
    reading.socket.pause()
    const writing = await WireClient.logIn(warden.port, person.login)
    writing.query('copy stock from stdin')
    await writing.hears('copyInResponse')
    writing.says({ type: 'copyData', data: Buffer.from('5\n') })
    expect((await revoke(person)).status).toBe(0)
    await expectAllGone(person)
    const last = (await writing.hearsTheEnd()).at(-1)
    expect(last).toMatchObject({ type: 'errorResponse', fields: { C: '57P01', M: sentence } })
    reading.close()
  })

  it('ends the sessions in every process, and leaves those of other grants alone', async () => {
    const [person, neighbour] = [await somebody(), await somebody()]
    const here = await session(person)
    const there = await session(person, other)
    const stays = await session(neighbour, other)
    expect(await rolesOf(person)).toBe(2)
    const cut = [here, there].map((client) => failure(client.query('select pg_sleep(60)')))
    const { status, stdout } = await revoke(person, '--json')
    expect(status).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({
      confirmed: true,
      told: true,
      logins: [{ state: 'confirmed' }, { state: 'confirmed' }],
    })
    expect(await Promise.all(cut)).toMatchObject([{ message: sentence }, { message: sentence }])
    await expectAllGone(person)
    expect((await stays.query('select 1 as alive')).rows).toEqual([{ alive: 1 }])
  })

  it('is found out by a process to which nobody could say it', async () => {
    const person = await somebody()
    const cut = failure((await session(person)).query('select pg_sleep(60)'))
    const startedAt = performance.now()
    await warden.inStore((store) =>
      store.query('update pgwarden.grants set revoked_at = now() where id = $1', [person.grantId]),
    )
    expect(await cut).toMatchObject({ code: '57P01', message: sentence })
    await eventually(async () => (await rolesOf(person)) === 0)
    expect(performance.now() - startedAt).toBeLessThan(8_000)
    await expectAllGone(person)
  })

  it('lets nobody in afterwards with the same token', async () => {
    const person = await somebody()
    expect((await revoke(person)).stdout).toContain('No login was out.')
    await expect(session(person)).rejects.toMatchObject({
      code: '28000',
      message: 'the grant of this token was revoked',
      hint: expect.stringContaining('pgwarden request shop --role read_only') as unknown,
    })
  })

  it('is in the journal with who and why, and says how things stand when it is done again', async () => {
    const person = await somebody()
    await revoke(person)
    const again = await revoke(person)
    expect(again.status).toBe(1)
    expect(again.stderr).toMatch(/grant \w+ was revoked at \S+Z already/)
    const records = await warden.operatorJournal('grant.revoked')
    expect(records.filter(({ grant }) => grant === person.grantId)).toMatchObject([
      { principal: person.login.user, target: 'shop', role: 'read_only', reason: 'a test' },
    ])
    const known = await pgwarden(
      ['grant', 'list', '--config', warden.configFile, '--all', '--json'],
      operations,
    )
    expect(known.stdout).toContain(person.grantId)
    const inForce = await pgwarden(['grant', 'list', '--config', warden.configFile], operations)
    expect(inForce.stdout).not.toContain(person.grantId)
  })

  it('of a grant that does not exist says so', async () => {
    const { status, stderr } = await revoke({ ...(await somebody()), grantId: 'nosuch' })
    expect(status).toBe(1)
    expect(stderr).toContain('there is no grant "nosuch"')
  })
})

describe('a login on its way when its grant is revoked', () => {
  it('never gets a session, whenever the revoke comes', async () => {
    const person = await somebody()
    // One that is there already, so that some only join its database login.
    await session(person)
    const ends = Array.from({ length: 24 }, async (_, at) => {
      await sleep(at * 10)
      const client = await session(person)
      return failure(client.query('select pg_sleep(60)'))
    }).map(failure)
    await sleep(120)
    expect((await revoke(person)).status).toBe(0)
    await Promise.all(ends)
    await expectAllGone(person)
    await sleep(500)
    await expectAllGone(person)
  })

  it('is told why, when it had everything but the start', async () => {
    const between = await Between.start(adminUrl)
    let held: (() => void)[] | undefined = []
    between.fromTarget = (chunk, client) => {
      const pass = (): void => void client.write(chunk)
      // The first of all connections reads the catalog, and the first login waits for that.
      if (held !== undefined && client === between.pairs[0]?.client) held.push(pass)
      else pass()
    }
    const slow = await Warden.start(adminUrl, options({ beside: warden, targetPort: between.port }))
    try {
      const person = await somebody()
      const login = failure(session(person, slow))
      await eventually(async () => (await backendsOf(person)).length === 1)
      const revoked = revoke(person)
      await eventually(async () => (await rolesOf(person)) === 0)
      for (const pass of held) pass()
      held = undefined
      expect(await login).toMatchObject({ code: '57P01', message: sentence })
      expect((await revoked).status).toBe(0)
    } finally {
      await slow.stop()
      await between.stop()
    }
  })
})

describe('a revoke that cannot be confirmed', () => {
  it('is said to be open while a server of the target cannot be asked, and is confirmed when it can', async () => {
    const { hostname, port } = new URL(adminUrl)
    const away = await freePort()
    const hosts = [`${hostname}:${port || 5432}`, `127.0.0.1:${away}`].map((host) => `'${host}'`)
    const servers = [`hosts: [${hosts.join(', ')}]`, 'tls: { mode: disable }']
    const partly = await Warden.start(adminUrl, options({ beside: warden, servers }))
    const person = await somebody()
    const client = await session(person, partly)
    const told = once(client, 'error')
    const { status, stdout } = await revoke(person, '--wait', '1s', '--json')
    expect(status).toBe(1)
    expect(JSON.parse(stdout)).toMatchObject({ confirmed: false, logins: [{ state: 'open' }] })
    expect(await told).toMatchObject([{ message: sentence }])
    // What can be done is done: nobody gets in by it.
    await expectAllGone(person)
    expect(await partly.journal('lease.problem')).not.toEqual([])

    const back = createServer((from) => join(from, connect(Number(port || 5432), hostname)))
    back.listen(away, '127.0.0.1')
    await eventually(async () => (await openLeasesOf(person)) === 0, 20_000)
    expect(await partly.journal('lease.revoke')).toMatchObject([{ result: 'confirmed' }])
    await partly.stop()
    back.close()
  }, 40_000)

  it('is told as far as it is known when the store is away in the middle of the wait', async () => {
    const person = await somebody()
    await warden.inStore((store) =>
      store.query(
        `insert into pgwarden.leases
           (id, grant_id, target, engine, database_role, instance, issued_at, renewed_at)
         values ($1, $1, 'shop', 'broker', 'pgw_of_nobody', 'dead', now(), now())`,
        [person.grantId],
      ),
    )
    const revoking = revoke(person, '--wait', '2s', '--json')
    await eventually(async () =>
      (await warden.operatorJournal('grant.revoked')).some(({ grant }) => grant === person.grantId),
    )
    await sleep(300)
    await warden.inStore(async (store) => {
      await store.query('alter table pgwarden.leases rename to leases_away')
      await sleep(500)
      await store.query('alter table pgwarden.leases_away rename to leases')
    })
    const { status, stdout } = await revoking
    expect(status).toBe(1)
    expect(JSON.parse(stdout)).toMatchObject({
      confirmed: false,
      logins: [{ databaseRole: 'pgw_of_nobody', state: 'open' }],
    })
  })

  it.runIf(ownServer)(
    'is said to be open while a session does not die, and is brought to its end when it can be',
    async () => {
      const person = await somebody()
      await session(person)
      const [processId = 0] = await backendsOf(person)
      process.kill(processId, 'SIGSTOP')
      try {
        const { status, stdout } = await revoke(person, '--wait', '2s')
        expect(status).toBe(1)
        expect(stdout).toMatch(/pgw_\S+ \(broker\): not known to be gone yet/)
        expect(stdout).toContain('NOT everything is confirmed after 2.')
        const { stdout: listed } = await pgwarden(
          ['grant', 'list', '--config', warden.configFile],
          operations,
        )
        expect(listed).toMatch(new RegExp(`${person.grantId} .* revoked \\S+, 1 login open`))
      } finally {
        process.kill(processId, 'SIGCONT')
      }
      await eventually(async () => (await rolesOf(person)) === 0, 30_000)
      await eventually(async () => (await openLeasesOf(person)) === 0, 30_000)
    },
    60_000,
  )
})
