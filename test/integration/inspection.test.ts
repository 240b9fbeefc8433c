// Looking into a target with a login of pgwarden's own.

import { afterAll, afterEach, beforeAll, expect, inject, it } from 'vitest'
import { Inspection } from '../../src/credentials/inspection.ts'
import { Secret } from '../../src/secret.ts'
import { connectedTo, type FreshDatabase, freshDatabase } from '../support/databases.ts'
import { connectorTo, serverAt } from '../support/upstream.ts'

const never = new AbortController().signal
let database: FreshDatabase
let inspections: Inspection[] = []

beforeAll(async () => {
  database = await freshDatabase(inject('adminUrl'), 'inspection')
})

afterEach(async () => {
  await Promise.all(inspections.map((inspection) => inspection.close()))
  inspections = []
})

afterAll(() => database.drop())

function inspection(): Inspection {
  const { hostname, port, username, password } = new URL(database.url)
  const connector = connectorTo([serverAt(Number(port || 5432), {}, hostname)])
  const login = {
    user: decodeURIComponent(username),
    password: new Secret(decodeURIComponent(password)),
  }
  const made = new Inspection(
    new Map([
      [
        'shop',
        {
          database: database.name,
          connectTimeoutMs: 2_000,
          login: () => Promise.resolve(login),
        },
      ],
    ]),
    (request) => connector.connect(request),
    () => undefined,
  )
  inspections.push(made)
  return made
}

it('is done in one read-only transaction', async () => {
  const looked = inspection().inspect(
    'shop',
    async (query) => {
      await query('select 1')
      await query('create table made ()')
    },
    never,
  )
  await expect(looked).rejects.toMatchObject({ cause: { code: '25006' } })
})

it("calls the server's own functions, whatever the database's owner has put before them", async () => {
  await connectedTo(database.url, (client) =>
    client.query(`alter database "${database.name}" set search_path = public, pg_catalog`),
  )
  const rows = await inspection().inspect('shop', (query) => query('show search_path'), never)
  expect(rows).toEqual([{ search_path: 'pg_catalog' }])
})

it('ends when it is broken off, and does not keep the proxy from stopping', async () => {
  const made = inspection()
  const stopping = new AbortController()
  const looked = made.inspect('shop', (query) => query('select pg_sleep(60)'), stopping.signal)
  setTimeout(() => stopping.abort(new Error('enough')), 100)
  await expect(looked).rejects.toMatchObject({ cause: { message: 'enough' } })
  const startedAt = performance.now()
  await made.close()
  inspections = []
  expect(performance.now() - startedAt).toBeLessThan(2_000)
})

it('works again on another connection after it was broken off', async () => {
  const made = inspection()
  const gone = AbortSignal.abort(new Error('too late'))
  await expect(made.inspect('shop', (query) => query('select 1'), gone)).rejects.toThrow()
  const rows = await made.inspect('shop', (query) => query<{ n: number }>('select 2 as n'), never)
  expect(rows).toEqual([{ n: 2 }])
})

it('says for which target there is no login to look with', async () => {
  await expect(inspection().inspect('other', () => Promise.resolve(), never)).rejects.toThrow(
    'there is no login to look into target "other" with',
  )
})
