// A session on a standby outlives its role, which is dropped on the primary: a monitor looks at both.

import { Client } from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { Monitor } from '../../src/credentials/monitor.ts'
import { Secret } from '../../src/secret.ts'
import { connectedTo } from '../support/databases.ts'
import { eventually } from '../support/eventually.ts'
import { type Pair, startPair } from '../support/standby.ts'
import { connectorTo, serverAt } from '../support/upstream.ts'

const login = { user: 'monitor', password: new Secret('a password') }
let pair: Pair
let primary: string
let standby: string
let monitor: Monitor

beforeAll(async () => {
  pair = await startPair()
  primary = pair.primary.url('postgres').reveal()
  standby = pair.standby.url('postgres').reveal()
  await connectedTo(primary, (client) =>
    client.query(`create role monitor login password 'a password';
      grant pg_signal_backend, pg_read_all_stats to monitor`),
  )
  await onStandby('monitor', true)
  monitor = new Monitor({
    target: 'shop',
    database: 'postgres',
    connectTimeoutMs: 2_000,
    login: () => Promise.resolve(login),
    servers: [primary, standby].map((url) => {
      const connector = connectorTo([serverAt(Number(new URL(url).port))])
      return { name: url, connect: (request) => connector.connect(request) }
    }),
    patienceMs: 3_000,
    onProblem: () => undefined,
  })
})

afterAll(async () => {
  await monitor.close()
  await pair.stop()
})

function onStandby(role: string, there: boolean): Promise<void> {
  return eventually(() =>
    connectedTo(standby, async (client) => {
      const { rowCount } = await client.query('select from pg_roles where rolname = $1', [role])
      return (rowCount === 1) === there
    }),
  )
}

/** What its statement ends with, on the standby. */
async function sleeperOnStandby(): Promise<{ readonly cut: Promise<unknown> }> {
  const url = new URL(standby)
  url.username = 'leased'
  url.password = encodeURIComponent('a password')
  const client = new Client({ connectionString: url.href })
  client.on('error', () => undefined)
  await client.connect()
  return { cut: client.query('select pg_sleep(60)').catch((error: unknown) => error) }
}

it('ends the sessions there, and finds one that was left when the role was dropped', async () => {
  await connectedTo(primary, (client) =>
    client.query(`create role leased login password 'a password'`),
  )
  await onStandby('leased', true)
  const { cut } = await sleeperOnStandby()
  await monitor.endBackends('leased')
  expect(await cut).toMatchObject({ code: '57P01' })

  const { cut: cutToo } = await sleeperOnStandby()
  await connectedTo(primary, (client) => client.query('drop role leased'))
  await expect(monitor.confirmGone('leased', 'own')).rejects.toMatchObject({
    cause: { message: `${standby}: leased: 1 of its sessions still run` },
  })
  await monitor.endBackends('leased')
  expect(await cutToo).toMatchObject({ code: '57P01' })
  await monitor.confirmGone('leased', 'own')
})
