// A side that does not read stops the other: what a session holds meanwhile is its buffers, however much
// there is to come. Both ends of every session are in this process, so that what is held can be counted.

import { setTimeout as sleep } from 'node:timers/promises'
import { generate } from 'selfsigned'
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest'
import { encodeFrontend } from '../../src/wire/frontend.ts'
import { FlowClient } from '../support/flow-client.ts'
import { heldBuffers } from '../support/held-memory.ts'
import { execute, parse, sql, sync } from '../support/scripted-session.ts'
import { Warden } from '../support/warden.ts'

const KB = 1024
/** Of a session in which one side waits, with the client's own buffers. */
const mostHeld = 400 * KB
const sessions = 20

let warden: Warden
const open: FlowClient[] = []

beforeAll(async () => {
  const pems = await generate([{ name: 'commonName', value: 'localhost' }], { algorithm: 'sha256' })
  warden = await Warden.start(inject('adminUrl'), {
    files: { 'server.crt': pems.cert, 'server.key': pems.private },
    listen: ['tls: { certificate: server.crt, key: server.key }'],
    schema: `
      CREATE TABLE slow (a text);
      CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END $$;
      CREATE TRIGGER waits BEFORE INSERT ON slow FOR EACH ROW EXECUTE FUNCTION wait();`,
  })
})
afterEach(() => {
  for (const client of open.splice(0)) client.close()
})
afterAll(() => warden.stop())

async function connect(security?: 'plain' | 'tls'): Promise<FlowClient> {
  const login = await warden.login('read_full_write')
  const client = await FlowClient.logIn(warden.port, login, security)
  open.push(client)
  return client
}

const several = (security?: 'plain' | 'tls'): Promise<readonly FlowClient[]> =>
  Promise.all(Array.from({ length: sessions }, () => connect(security)))

/** What each of the sessions holds once the kernel's own buffers are full and nothing moves any more. */
async function held(before: number): Promise<number> {
  let each = Infinity
  for (let waited = 0; waited < 8 && each > mostHeld; waited++) {
    await sleep(1_000)
    each = ((await heldBuffers()) - before) / sessions
  }
  return each
}

describe('a client that stops reading', () => {
  it.each(['plain', 'tls'] as const)(
    'holds kilobytes of a result of gigabytes, %s',
    async (how) => {
      const clients = await several(how)
      const before = await heldBuffers()
      for (const client of clients) {
        client.socket.pause()
        client.says(sql("SELECT repeat('x', 1000), generate_series(1, 3000000)"))
      }
      expect(await held(before)).toBeLessThan(mostHeld)
      clients[0]?.socket.resume()
      await clients[0]?.hears('D', 30_000, 15_000)
    },
  )
})

describe('a server that stops reading', () => {
  const row = encodeFrontend({ type: 'copyData', data: Buffer.from(`${'x'.repeat(60_000)}\n`) })
  const rows = function* (count: number): Generator<Buffer> {
    for (let n = 0; n < count; n++) yield row
  }

  it.each(['plain', 'tls'] as const)(
    'holds kilobytes of COPY data without end, %s',
    async (how) => {
      const [first, ...others] = await several(how)
      if (first === undefined) throw new Error('there is no session')
      let written: Promise<void> | undefined
      // The first row of each waits for this lock.
      await warden.asSuperuser(async (locker) => {
        await locker.query('SELECT pg_advisory_lock(1)')
        const before = await heldBuffers()
        for (const client of [first, ...others]) client.says(sql('COPY slow FROM STDIN'))
        await Promise.all([first, ...others].map((client) => client.hears('G', 1, 5_000)))
        written = first.streams(rows(500))
        for (const client of others) client.streams(rows(1_000_000)).catch(() => undefined)
        expect(await held(before)).toBeLessThan(mostHeld)
        for (const client of others) client.close()
      })
      await written
      first.says({ type: 'copyDone' })
      await first.hears('C', 1, 15_000)
    },
  )
})

describe('a client that writes for long before it reads', () => {
  it('is answered in the end, by the simple protocol', async () => {
    const client = await connect()
    client.socket.pause()
    const query = encodeFrontend(sql(`SELECT repeat('y', 10000) /*${'x'.repeat(10_000)}*/`))
    const written = client.streams(Array.from({ length: 6_000 }, () => query))
    await sleep(1_000)
    client.socket.resume()
    await written
    await client.hears('Z', 6_000, 20_000)
    expect(client.counts.get('D')).toBe(6_000)
  })

  it('is answered in the end, by one pipeline', async () => {
    const client = await connect()
    client.socket.pause()
    const [value, pipeline] = [Buffer.alloc(10_000, 'x'), [] as Buffer[]]
    pipeline.push(encodeFrontend(parse('SELECT $1::text || $1', 's')))
    for (let n = 0; n < 6_000; n++) {
      const parameters = [value]
      pipeline.push(
        encodeFrontend({
          type: 'bind',
          portal: '',
          statement: 's',
          parameterFormats: [],
          parameters,
          resultFormats: [],
        }),
        encodeFrontend(execute()),
      )
    }
    pipeline.push(encodeFrontend(sync))
    const written = client.streams(pipeline)
    await sleep(1_000)
    client.socket.resume()
    await written
    await client.hears('Z', 1, 20_000)
    expect(client.counts.get('D')).toBe(6_000)
  })
})
