// The whole way of access, through two pgwardens on one store: asked for with the command line, approved,
// used by psql and by a driver, prolonged, and taken back. Everything that was changed is in the audit.

import { setTimeout as sleep } from 'node:timers/promises'
import { Client, DatabaseError } from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import type { Api } from '../../src/client/api.ts'
import { changesOnRecord } from '../support/change-books.ts'
import { runs } from '../support/databases.ts'
import { eventually } from '../support/eventually.ts'
import { build, Run } from '../support/executable.ts'
import { accessLines, introduce, type Person } from '../support/people.ts'
import { StoreLine } from '../support/store-line.ts'
import { Warden } from '../support/warden.ts'

const adminUrl = inject('adminUrl')
const reason = 'wrong total in order 1234'

let line: StoreLine
let one: Warden
let two: Warden
let alice: Person
let bob: Person
let carol: Person

beforeAll(async () => {
  await build()
  line = await StoreLine.start(adminUrl)
  const terms = { ownProcess: true, access: accessLines }
  one = await Warden.start(adminUrl, { ...terms, schema: 'CREATE TABLE orders (who text)' })
  two = await Warden.start(adminUrl, { ...terms, beside: one, storePort: line.port })
  alice = await introduce(one, 'alice', { groups: ['developers'] })
  bob = await introduce(one, 'bob', { groups: ['managers'] })
  carol = await introduce(one, 'carol', { groups: ['pgwarden-admins'] })
}, 120_000)
afterAll(async () => {
  await two.stop()
  await one.stop()
  await line.stop()
})

interface Session {
  readonly client: Client
  /** What it was told, and when by performance.now(). */
  readonly ended: Promise<{ readonly code: string | undefined; readonly at: number }>
}

/** A driver's session with a new token of the grant. */
async function session(api: Api, grantId: string): Promise<Session> {
  const { token, connection } = await api.issueToken(grantId, 'reusable')
  const client = new Client({ ...connection, ssl: false, password: token })
  const ended = new Promise<Awaited<Session['ended']>>((resolve) => {
    const end = (error?: Error) =>
      resolve({
        code: error instanceof DatabaseError ? error.code : undefined,
        at: performance.now(),
      })
    client.on('error', end)
    client.on('end', () => end())
  })
  await client.connect()
  return { client, ended }
}

async function works({ client }: Session): Promise<boolean> {
  return (await client.query('select count(*) from orders')).rowCount === 1
}

/** A grant that needs nobody's approval. */
async function readOnly(durationSeconds: number): Promise<string> {
  const terms = { target: 'shop', role: 'read_only', reason, durationSeconds }
  const { state, grantId } = await alice.at(one).request(terms)
  expect(state).toBe('approved')
  if (grantId === undefined) throw new Error('an approved request has become a grant')
  return grantId
}

/** Roles in PostgreSQL that were made for the grant. */
async function rolesOf(grantId: string): Promise<number | null> {
  const { rowCount } = await one.asSuperuser((su) =>
    su.query('select from pg_roles where starts_with(rolname, $1)', [`pgw_${grantId}`]),
  )
  return rowCount
}

async function openLeasesOfThem(): Promise<number | null> {
  const { rowCount } = await one.inStore((store) =>
    store.query(
      `select from pgwarden.leases l join pgwarden.grants g on g.id = l.grant_id
        where ended_at is null and starts_with(principal, 'person_')`,
    ),
  )
  return rowCount
}

describe('the way of a grant', () => {
  it('alice asks and waits, bob approves, she works through both proxies, carol revokes, and both sessions end within a second', async () => {
    const sleeping = "select 'in psql', pg_sleep(300)"
    const psql = new Run(
      [
        ...['psql', 'shop', '--role', 'read_limited_write', '--for', '2h', '--reason', reason],
        ...['--', '-X', '-v', 'VERBOSITY=verbose', '-c', sleeping],
      ],
      { env: alice.env(one) },
    )
    const psqlTold = new Promise<number>((resolve) => {
      psql.process.stderr.on('data', () => {
        if (psql.stderr.includes('FATAL')) resolve(performance.now())
      })
    })

    const [request] = await eventuallySome(() => bob.at(two).listRequests({ decidable: true }, 10))
    expect(request).toMatchObject({ principal: 'alice', reason, durationSeconds: 7_200 })
    const { state, grantId = '' } = await bob
      .at(two)
      .decide(request.id, 'approve', 'look at it with her')
    expect(state).toBe('approved')

    await one.asSuperuser(runs(sleeping))
    const driver = await session(alice.at(two), grantId)
    await driver.client.query("begin; insert into orders values ('alice')")

    const began = performance.now()
    const { complete, sessions, logins } = await carol.at(two).revoke(grantId, 'she has left', 10)
    const answered = performance.now()
    const [inPsql, inDriver] = await Promise.all([psqlTold, driver.ended])
    console.info(
      `after DELETE /grants: psql's session gone in ${Math.round(inPsql - began)} ms, the driver's session in ` +
        `${Math.round(inDriver.at - began)} ms, answered in ${Math.round(answered - began)} ms`,
    )
    expect(inDriver.code).toBe('57P01')
    expect(inDriver.at - began).toBeLessThan(1_000)
    expect(psql.stderr).toMatch(/FATAL: {2}57P01: .*revoked/)
    expect(inPsql - began).toBeLessThan(1_000)
    expect(await psql.ended()).toBe(2)

    expect({ complete, sessions }).toEqual({ complete: true, sessions: [] })
    expect(logins.map((login) => login.state)).toEqual(['confirmed', 'confirmed'])
    expect(await rolesOf(grantId)).toBe(0)
    await expect(session(alice.at(one), grantId)).rejects.toMatchObject({ status: 409 })
  })

  it('it is prolonged while a session lives, which goes on past the first end', async () => {
    const grantId = await readOnly(4)
    const driver = await session(alice.at(two), grantId)
    const first = await alice.at(two).findGrant(grantId)
    expect(
      await alice.at(one).extend(grantId, { durationSeconds: 600, reason: 'not done yet' }),
    ).toMatchObject({ outcome: 'extended' })
    await sleep(Date.parse(first.endsAt) - Date.now() + 500)
    expect(await works(driver)).toBe(true)
    await driver.client.end()
  })

  it('past a day it is prolonged when somebody has approved, and stays the same grant', async () => {
    const grantId = await readOnly(3_600)
    const { endsAt } = await alice.at(one).findGrant(grantId)
    const more = await alice.at(one).extend(grantId, { durationSeconds: 86_400, reason })
    if (more.outcome !== 'requested') throw new Error('nobody was to be asked')
    expect(await alice.at(two).findGrant(grantId)).toMatchObject({ endsAt })
    await bob.at(two).decide(more.request.id, 'approve', undefined)
    const { endsAt: later } = await alice.at(one).findGrant(grantId)
    expect(Date.parse(later) - Date.parse(endsAt)).toBe(86_400_000)
  })

  it('a session is ended through another proxy than its own, and the grant goes on', async () => {
    const grantId = await readOnly(600)
    const driver = await session(alice.at(two), grantId)
    const [known] = await eventuallySome(async () => ({
      items: await carol.at(one).sessions({ grantId }),
    }))
    expect(known).toMatchObject({ principal: 'alice', target: 'shop', role: 'read_only' })
    const began = performance.now()
    expect(await carol.at(one).endSession(known.id, 'it holds a lock')).toMatchObject({
      ended: true,
    })
    const { code, at } = await driver.ended
    console.info(`after DELETE /sessions: gone in ${Math.round(at - began)} ms`)
    expect(code).toBe('57P01')
    expect(at - began).toBeLessThan(1_000)
    const another = await session(alice.at(two), grantId)
    expect(await works(another)).toBe(true)
    await another.client.end()
  })
})

describe('without its store a proxy', () => {
  it('lets sessions go on, refuses logins with 57P03 and questions with 503, and is whole again with it', async () => {
    const grantId = await readOnly(600)
    const { token, connection } = await alice.at(two).issueToken(grantId, 'reusable')
    const login = { ...connection, ssl: false, password: token }
    const driver = await session(alice.at(two), grantId)
    const ready = async () => (await fetch(new URL('readyz', two.apiUrl))).status

    line.cut()
    expect(await works(driver)).toBe(true)
    await expect(new Client(login).connect()).rejects.toMatchObject({ code: '57P03' })
    await expect(alice.at(two).me()).rejects.toMatchObject({ status: 503 })
    expect(await ready()).toBe(503)
    expect(await alice.at(one).me()).toMatchObject({ principal: 'alice' })

    line.mend()
    await eventually(async () => (await ready()) === 200)
    const again = new Client(login)
    await again.connect()
    expect(await works(driver)).toBe(true)
    await again.end()
    await driver.client.end()
  })
})

describe('twenty people at once', () => {
  it('ask, are approved, work and are revoked over both proxies, and nothing is left of it', async () => {
    const path = async (number: number): Promise<void> => {
      const person = await introduce(one, `person_${number}`, { groups: ['developers'] })
      const [here, there] = number % 2 === 0 ? [one, two] : [two, one]
      const terms = { target: 'shop', role: 'read_full_write', reason, durationSeconds: 600 }
      const { id } = await person.at(here).request({ ...terms, role: 'read_limited_write' })
      const { grantId = '' } = await bob.at(there).decide(id, 'approve', undefined)
      const driver = await session(person.at(there), grantId)
      await driver.client.query('insert into orders values ($1)', [person.name])
      const { complete } = await carol.at(here).revoke(grantId, 'done', 20)
      expect(complete).toBe(true)
      expect(await driver.ended).toMatchObject({ code: '57P01' })
      expect(await rolesOf(grantId)).toBe(0)
    }
    await Promise.all(Array.from({ length: 20 }, (_, number) => path(number)))
    const { rows } = await one.asSuperuser((su) =>
      su.query("select count(distinct who)::int as people from orders where who like 'person%'"),
    )
    expect(rows).toEqual([{ people: 20 }])
    expect((await carol.at(one).sessions({})).filter(isOneOfThem)).toEqual([])
    await eventually(async () => (await openLeasesOfThem()) === 0, 30_000)
  })

  const isOneOfThem = ({ principal }: { readonly principal: string }) =>
    principal.startsWith('person_')
})

describe('the audit', () => {
  it('has one record of every change, in the journal of the proxy where it was made, and verifies', async () => {
    const types = await changesOnRecord([one, two])
    expect(types.slice(0, 5)).toEqual([
      ...['request.created', 'request.approved', 'token.issued', 'token.issued', 'grant.revoked'],
    ])
    const count = (type: string) => types.filter((each) => each === type).length
    expect(count('grant.revoked')).toBe(21)
    expect(count('grant.extended')).toBe(2)
  })
})

/** Waits until a list has something on it. */
async function eventuallySome<T>(
  list: () => Promise<{ readonly items: readonly T[] }>,
): Promise<readonly [T, ...T[]]> {
  let found: readonly T[] = []
  await eventually(async () => {
    found = (await list()).items
    return found.length > 0
  })
  const [first, ...others] = found
  if (first === undefined) throw new Error('there is something on it')
  return [first, ...others]
}
