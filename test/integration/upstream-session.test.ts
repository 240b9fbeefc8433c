// pgwarden and a target that takes no connection without TLS: sessions, the broker and cancel requests
// all use it, on the terms of the configuration.

import net from 'node:net'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { encodeCancelRequest, encodeSslRequest } from '../../src/wire/startup.ts'
import { runs } from '../support/databases.ts'
import { type Forwarder, join, listenWith } from '../support/forwarder.ts'
import { startTlsDatabase, type TlsDatabase } from '../support/tls-database.ts'
import { Warden } from '../support/warden.ts'
import { WireClient } from '../support/wire-client.ts'

let database: TlsDatabase
let warden: Warden
/** Sees how every connection from pgwarden to the target begins. */
let watcher: Forwarder
const beginnings: Buffer[] = []

beforeAll(async () => {
  database = await startTlsDatabase()
  watcher = await listenWith((client) => {
    client.once('data', (first: Buffer) => {
      beginnings.push(first)
      const server = net.connect({ port: database.port, host: '127.0.0.1', allowHalfOpen: true })
      server.write(first)
      join(client, server)
    })
  })
  warden = await Warden.start(database.adminUrl, {
    schema: 'create table items as select n as id from generate_series(1, 10) n',
    files: { 'ca.crt': database.authority.certificate },
    servers: [
      'host: localhost',
      `port: ${watcher.port}`,
      'tls: { mode: verify-full, ca: ca.crt }',
      'channelBinding: require',
      'requireAuth: [scram-sha-256]',
    ],
  })
})
afterAll(async () => {
  await warden.stop()
  await watcher.close()
  await database.stop()
})

describe('a target with TLS', () => {
  it('has sessions and the broker inside it', async () => {
    const client = await warden.connect('admin')
    const { rows } = await client.query(`
      select application_name = 'pgwarden broker' as broker, bool_and(ssl) as ssl, count(*) > 0 as some
        from pg_stat_ssl join pg_stat_activity using (pid)
       where usename like 'pgw\\_%' or application_name = 'pgwarden broker' group by 1 order by 1`)
    expect(rows).toEqual([
      { broker: false, ssl: true, some: true },
      { broker: true, ssl: true, some: true },
    ])
    await client.end()
  })

  it('carries large answers and large statements', async () => {
    const client = await warden.connect('read_only')
    const { rows } = await client.query("select repeat('x', 5000000) as x")
    expect((rows as readonly { x: string }[])[0]?.x).toHaveLength(5_000_000)
    const long = 'y'.repeat(900_000)
    expect((await client.query(`select '${long}' as y`)).rows).toEqual([{ y: long }])
    await client.end()
  })

  it('is cancelled inside it too: the key does not cross the network in the clear', async () => {
    const client = await WireClient.logIn(warden.port, await warden.login('read_only'))
    const { key } = client
    if (key === undefined) throw new Error('the session was given no key')
    client.query('select pg_sleep(60)')
    await warden.asSuperuser(runs('select pg_sleep(60)'))
    const before = beginnings.length
    const canceller = await WireClient.dial(warden.port)
    canceller.socket.write(encodeCancelRequest(key.processId, key.secret))
    await canceller.hearsTheEnd()
    expect(await client.hears('readyForQuery')).toMatchObject([
      { type: 'rowDescription' },
      { type: 'errorResponse', fields: { C: '57014' } },
      { type: 'readyForQuery' },
    ])
    expect(beginnings.length).toBeGreaterThan(before)
    for (const first of beginnings) expect(first).toEqual(encodeSslRequest())
    client.close()
  })

  it('that ends a session is heard by the client', async () => {
    const client = await warden.connect('read_only')
    const died = new Promise<unknown>((resolve) => client.once('error', resolve))
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
    await warden.asSuperuser((su) => su.query('select pg_terminate_backend($1)', [rows[0]?.pid]))
    expect(await died).toMatchObject({ code: '57P01', severity: 'FATAL' })
  })

  it('finishes what was asked before Terminate', async () => {
    const client = await WireClient.logIn(warden.port, await warden.login('read_only'))
    client.says(
      { type: 'query', text: Buffer.from("select 'done' from pg_sleep(0.3)") },
      { type: 'terminate' },
    )
    expect(await client.hearsTheEnd()).toContainEqual({
      type: 'dataRow',
      values: [Buffer.from('done')],
    })
  })
})

describe('a target whose authority nobody named', () => {
  it('is not logged in to, and the client does not learn which server it is', async () => {
    const careless = await Warden.start(database.adminUrl, {
      servers: ['host: localhost', `port: ${database.port}`, 'tls: {}'],
    })
    const client = new Client(await careless.login('read_only'))
    const error: unknown = await client.connect().catch((cause: unknown) => cause)
    expect(error).toMatchObject({ code: '08001', message: 'target "shop" cannot be reached' })
    await careless.stop()
  })
})
