// A target of several servers: a primary, a standby that follows it, some that are not there, and
// whether sessions and the broker come to the one that they need.

import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { Failure } from '../../src/errors.ts'
import type { Connector } from '../../src/upstream/connector.ts'
import type { SessionAttributes } from '../../src/upstream/target.ts'
import { encodeBackend } from '../../src/wire/backend-encoder.ts'
import { encodeCancelRequest, encodeStartup } from '../../src/wire/startup.ts'
import { connectedTo, runs } from '../support/databases.ts'
import { type Forwarder, listenWith } from '../support/forwarder.ts'
import { freePort } from '../support/ports.ts'
import { type Pair, startPair } from '../support/standby.ts'
import { connectorTo, serverAt } from '../support/upstream.ts'
import { Warden } from '../support/warden.ts'
import { WireClient } from '../support/wire-client.ts'

let pair: Pair
let dead: number
const forwarders: Forwarder[] = []

beforeAll(async () => {
  pair = await startPair()
  dead = await freePort()
})
afterEach(async () => {
  for (const forwarder of forwarders.splice(0)) await forwarder.close()
})
afterAll(() => pair.stop())

/** One that takes connections and says nothing. */
async function silent(): Promise<number> {
  const forwarder = await listenWith(() => undefined)
  forwarders.push(forwarder)
  return forwarder.port
}

/** The port of the server that takes the session. */
async function connect(
  connector: Connector,
  settings: Readonly<Record<string, string>> = {},
): Promise<number | undefined> {
  const { socket } = await connector.connect({
    target: 'shop',
    parameters: new Map(Object.entries({ user: 'postgres', database: 'postgres', ...settings })),
    password: pair.primary.password,
  })
  const { remotePort } = socket
  socket.destroy()
  return remotePort
}

function among(wanted: SessionAttributes, ...ports: readonly number[]): Connector {
  return connectorTo(
    ports.map((port) => serverAt(port)),
    { targetSessionAttrs: wanted, connectTimeoutMs: 2_000 },
  )
}

describe('a session that wants', () => {
  it('any server gets the first that is there', async () => {
    const [primary, standby] = [pair.primary.port, pair.standby.port]
    expect(await connect(among('any', standby, primary))).toBe(standby)
    expect(await connect(among('any', dead, primary, standby))).toBe(primary)
  })

  it.each<[SessionAttributes, 'primary' | 'standby']>([
    ['primary', 'primary'],
    ['read-write', 'primary'],
    ['standby', 'standby'],
    ['read-only', 'standby'],
    ['prefer-standby', 'standby'],
  ])('%s gets the %s, wherever in the list it is', async (wanted, kind) => {
    const [primary, standby] = [pair.primary.port, pair.standby.port]
    expect(await connect(among(wanted, primary, standby))).toBe(pair[kind].port)
    expect(await connect(among(wanted, standby, dead, primary))).toBe(pair[kind].port)
  })

  it('a standby, if there is one, gets the primary where there is none', async () => {
    expect(await connect(among('prefer-standby', pair.primary.port, dead))).toBe(pair.primary.port)
  })

  it('to write gets the primary, also when it asks for read-only transactions itself', async () => {
    const settings = { default_transaction_read_only: 'on' }
    const connector = among('read-write', pair.standby.port, pair.primary.port)
    expect(await connect(connector, settings)).toBe(pair.primary.port)
  })

  it('what there is none of is told so, and the log tells of each server', async () => {
    const error: unknown = await connect(among('standby', dead, pair.primary.port)).catch(
      (failure: unknown) => failure,
    )
    if (!(error instanceof Failure)) throw error
    expect(error).toMatchObject({ sqlstate: '08001' })
    const { cause } = error
    if (!(cause instanceof AggregateError)) throw cause
    expect(cause.errors.map(String)).toEqual([
      expect.stringContaining(`127.0.0.1:${dead} connect ECONNREFUSED`),
      `Error: 127.0.0.1:${pair.primary.port} is not standby`,
    ])
  })
})

describe('a server that', () => {
  it('says nothing takes its share of the time, once', async () => {
    const connector = among('any', await silent(), pair.primary.port)
    const start = performance.now()
    expect(await connect(connector)).toBe(pair.primary.port)
    const first = performance.now() - start
    expect(first).toBeGreaterThan(900)
    expect(await connect(connector)).toBe(pair.primary.port)
    expect(performance.now() - start - first).toBeLessThan(900)
  })

  it('says nothing does not keep a client waiting beyond the limit, however many there are', async () => {
    const start = performance.now()
    const all = among('any', await silent(), await silent(), await silent())
    await expect(connect(all)).rejects.toMatchObject({ sqlstate: '08001' })
    expect(performance.now() - start).toBeLessThan(2_500)
  })

  it('is older than 14 is asked what it is', async () => {
    const queries: string[] = []
    const old = (inRecovery: 'on' | 'off') =>
      listenWith((client) => {
        client.on('data', (chunk: Buffer) => {
          if (chunk[0] === 'Q'.charCodeAt(0)) {
            queries.push(chunk.toString('utf8', 5, chunk.length - 1))
            client.write(
              Buffer.concat([
                encodeBackend({ type: 'rowDescription', columns: [] }),
                encodeBackend({
                  type: 'dataRow',
                  values: [Buffer.from(inRecovery), Buffer.from('off')],
                }),
                encodeBackend({ type: 'commandComplete', tag: 'SELECT 1' }),
                encodeBackend({ type: 'readyForQuery', status: 'I' }),
              ]),
            )
          } else if (chunk.readInt32BE(0) === chunk.length) {
            client.write(
              Buffer.concat([
                encodeBackend({ type: 'authenticationOk' }),
                encodeBackend({ type: 'parameterStatus', name: 'server_version', value: '12.22' }),
                encodeBackend({ type: 'readyForQuery', status: 'I' }),
              ]),
            )
          }
        })
      })
    const [primary, standby] = [await old('off'), await old('on')]
    forwarders.push(primary, standby)
    expect(await connect(among('primary', standby.port, primary.port))).toBe(primary.port)
    expect(queries).toHaveLength(2)
    await connect(among('any', standby.port))
    expect(queries).toHaveLength(2)
    // And the real one answers that question as it is asked.
    const client = new Client({ connectionString: pair.standby.url('postgres').reveal() })
    await client.connect()
    const { rows } = await client.query({ text: queries[0] ?? '', rowMode: 'array' })
    expect(rows).toEqual([['on', 'off']])
    await client.end()
  })

  it('does not know a database role yet is asked again', async () => {
    let asked = 0
    const startup = encodeStartup([['user', 'late']])
    const late = await listenWith((client) => {
      client.on('data', (chunk: Buffer) => {
        if (!chunk.subarray(4, 12).equals(startup.subarray(4, 12))) return
        asked += 1
        client.end(
          asked < 3
            ? encodeBackend({ type: 'errorResponse', fields: { S: 'FATAL', C: '28P01', M: 'no' } })
            : Buffer.concat([
                encodeBackend({ type: 'authenticationOk' }),
                encodeBackend({ type: 'readyForQuery', status: 'I' }),
              ]),
        )
      })
    })
    forwarders.push(late)
    expect(await connect(among('any', dead, late.port))).toBe(late.port)
    expect(asked).toBe(3)
    asked = 0
    await expect(connect(among('any', late.port))).rejects.toMatchObject({ sqlstate: '08006' })
    expect(asked).toBe(1)
  })
})

/** Waits until the standby has what the primary has now. */
async function replayed(): Promise<void> {
  const position = await connectedTo(pair.primary.url('postgres').reveal(), async (client) => {
    const { rows } = await client.query<{ at: string }>('select pg_current_wal_flush_lsn() as at')
    return rows[0]?.at
  })
  await connectedTo(pair.standby.url('postgres').reveal(), async (client) => {
    for (;;) {
      const { rows } = await client.query<{ there: boolean }>(
        'select pg_last_wal_replay_lsn() >= $1 as there',
        [position],
      )
      if (rows[0]?.there === true) return
      await sleep(25)
    }
  })
}

/** Something long runs in the session, and is cancelled by the key that the session was greeted with. */
async function cancels(warden: Warden, client: WireClient): Promise<void> {
  client.query('select pg_sleep(60)')
  await connectedTo(pair.standby.url('postgres').reveal(), runs('select pg_sleep(60)'))
  const { key } = client
  if (key === undefined) throw new Error('the session was given no key')
  const canceller = await WireClient.dial(warden.port)
  canceller.socket.write(encodeCancelRequest(key.processId, key.secret))
  await canceller.hearsTheEnd()
  expect(await client.hears('readyForQuery')).toMatchObject([
    { type: 'rowDescription' },
    { type: 'errorResponse', fields: { C: '57014' } },
    { type: 'readyForQuery' },
  ])
}

describe('pgwarden in front of them', () => {
  it('makes roles on the primary and opens sessions on the standby, which is also cancelled there', async () => {
    const warden = await Warden.start(pair.primary.url('postgres').reveal(), {
      schema: 'create table items as select 1 as id',
      servers: [
        `hosts: ['127.0.0.1:${dead}', '127.0.0.1:${pair.standby.port}', '127.0.0.1:${pair.primary.port}']`,
        'targetSessionAttrs: standby',
      ],
    })
    try {
      await replayed()
      const client = await WireClient.logIn(warden.port, await warden.login('read_only'))
      client.query('select pg_is_in_recovery(), id from items')
      expect(await client.hears('readyForQuery')).toContainEqual({
        type: 'dataRow',
        values: [Buffer.from('t'), Buffer.from('1')],
      })
      await cancels(warden, client)
    } finally {
      await warden.stop()
    }
  })
})
