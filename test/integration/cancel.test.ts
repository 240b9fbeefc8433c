// Cancel requests: what they reach, what they never reach, and what strangers make of them.

import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { Client } from 'pg'
import { generate } from 'selfsigned'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { encodeCancelRequest, encodeSslRequest } from '../../src/wire/startup.ts'
import { sqlstates } from '../support/answers.ts'
import { Between } from '../support/between.ts'
import { Warden } from '../support/warden.ts'
import { WireClient } from '../support/wire-client.ts'

type Key = NonNullable<WireClient['key']>

let warden: Warden

beforeAll(async () => {
  const pems = await generate([{ name: 'commonName', value: 'localhost' }], {
    keySize: 2048,
    algorithm: 'sha256',
  })
  warden = await Warden.start(inject('adminUrl'), {
    files: { 'server.crt': pems.cert, 'server.key': pems.private },
    listen: ['tls: { certificate: server.crt, key: server.key }'],
  })
})
afterAll(() => warden.stop())

function keyOf(client: WireClient): Key {
  if (client.key === undefined) throw new Error('the server gave no key')
  return client.key
}

/** Resolves with what came back, when the other side has closed. */
async function cancel(port: number, { processId, secret }: Key, tls = false): Promise<Buffer> {
  const raw = net.connect({ host: '127.0.0.1', port, noDelay: true })
  raw.on('error', () => undefined)
  let socket: net.Socket = raw
  if (tls) {
    raw.write(encodeSslRequest())
    await new Promise((resolve) => raw.once('data', resolve))
    socket = connectTls({ socket: raw, rejectUnauthorized: false })
    socket.on('error', () => undefined)
  }
  const answer: Buffer[] = []
  socket.on('data', (chunk: Buffer) => answer.push(chunk))
  const closed = new Promise((resolve) => socket.once('close', resolve))
  socket.write(encodeCancelRequest(processId, secret))
  await closed
  return Buffer.concat(answer)
}

/** A client whose statement of five minutes has begun. */
async function sleeping(on: Warden = warden): Promise<WireClient> {
  const client = await WireClient.logIn(on.port, await on.login('read_only'))
  client.query('SELECT pg_sleep(300)')
  await runs(on, keyOf(client).processId)
  return client
}

async function runs(on: Warden, processId: number): Promise<void> {
  const deadline = Date.now() + 10_000
  for (;;) {
    const { rowCount } = await on.asSuperuser((su) =>
      su.query("select from pg_stat_activity where pid = $1 and state = 'active'", [processId]),
    )
    if (rowCount === 1) return
    if (Date.now() > deadline) throw new Error('the statement never began')
    await sleep(20)
  }
}

describe('a cancel request', () => {
  it.each([
    ['plain', false],
    ['inside TLS', true],
  ])('that comes %s ends what runs, and is answered with nothing', async (_, tls) => {
    const client = await sleeping()
    expect(await cancel(warden.port, keyOf(client), tls)).toHaveLength(0)
    expect(sqlstates(await client.hears('readyForQuery'))).toEqual(['57014'])
    client.query('SELECT 1')
    expect(sqlstates(await client.hears('readyForQuery'))).toEqual([])
    const [record] = (await warden.journal('cancel')).slice(-1)
    expect(record).toMatchObject({
      result: 'sent',
      client: expect.stringContaining('127.0.0.1:') as unknown,
    })
    expect(record).toHaveProperty(
      'session',
      (await warden.journal('session.start')).at(-1)?.['session'],
    )
    client.close()
  })

  it('of node-pg ends what runs', async () => {
    const login = await warden.login('read_only')
    const client = new Client(login)
    await client.connect()
    const running = client.query('SELECT pg_sleep(300)').catch((error: unknown) => error)
    const { processID } = client as unknown as { readonly processID: number }
    await runs(warden, processID)
    const { secretKey } = client as unknown as { readonly secretKey: number }
    const secret = Buffer.alloc(4)
    secret.writeInt32BE(secretKey)
    await cancel(warden.port, { processId: processID, secret })
    expect(await running).toMatchObject({ code: '57014' })
    await client.end()
  })

  it('with a wrong key, one of another length or a stale one does nothing, and looks the same', async () => {
    const client = await sleeping()
    const key = keyOf(client)
    const wrong = Buffer.from(key.secret)
    wrong[3] = (wrong[3] ?? 0) ^ 1
    for (const secret of [wrong, Buffer.concat([key.secret, Buffer.alloc(28)])]) {
      expect(await cancel(warden.port, { ...key, secret })).toHaveLength(0)
    }
    await sleep(100)
    expect(client.heard).toEqual([])
    expect(await cancel(warden.port, key)).toHaveLength(0)
    await client.hears('readyForQuery')
    client.close()
    await sleep(100)
    expect(await cancel(warden.port, key)).toHaveLength(0)
  })

  it('ends a long text that is still being analysed, at once and here', async () => {
    const client = await WireClient.logIn(warden.port, await warden.login('read_only'))
    const text = `SELECT ${'lower(b), '.repeat(1_500)}1 /*${'x'.repeat(900_000)}*/ FROM (VALUES ('')) t (b)`
    const results: unknown[] = []
    // The analysis takes longer than a cancel almost always; it may be done before.
    for (let n = 0; n < 10 && !results.includes('held'); n++) {
      client.query(text)
      await sleep(10 * n)
      await cancel(warden.port, keyOf(client))
      await client.hears('readyForQuery')
      results.push((await warden.journal('cancel')).at(-1)?.['result'])
    }
    expect(results).toContain('held')
    client.close()
  })

  it('never ends the statement that its client sends after it', async () => {
    const client = await WireClient.logIn(warden.port, await warden.login('read_only'))
    const hits = { first: 0, next: 0 }
    for (let round = 0; round < 300; round++) {
      client.query(`SELECT pg_sleep(${(round % 7) / 1000})`)
      await sleep(round % 5)
      await cancel(warden.port, keyOf(client))
      hits.first += sqlstates(await client.hears('readyForQuery')).length
      client.query('SELECT pg_sleep(0.001)')
      hits.next += sqlstates(await client.hears('readyForQuery')).length
    }
    expect(hits.first).toBeGreaterThan(0)
    expect(hits.next).toBe(0)
    client.close()
  })

  it('that is slow on its way to the target does not meet the next statement either', async () => {
    const between = await Between.start(inject('adminUrl'))
    const behind = await Warden.start(inject('adminUrl'), { targetPort: between.port })
    const client = await WireClient.logIn(behind.port, await behind.login('read_only'))
    for (let round = 0; round < 40; round++) {
      let release: () => void = () => undefined
      const arrived = new Promise<void>((resolve) => {
        between.onCancel = () => {
          resolve()
          return new Promise((go) => {
            release = go
          })
        }
      })
      client.query('SELECT pg_sleep(0.05)')
      await sleep(5)
      const cancelled = cancel(behind.port, keyOf(client))
      await arrived
      // The statement that was meant ends by itself, and the client goes on, not waiting for its cancel.
      expect(sqlstates(await client.hears('readyForQuery'))).toEqual([])
      client.query('SELECT pg_sleep(0.02)')
      await sleep(10)
      release()
      await cancelled
      expect(sqlstates(await client.hears('readyForQuery'))).toEqual([])
    }
    client.close()
    await behind.stop()
    await between.stop()
  })
})

describe('wrong keys', () => {
  it('are looked at only so often from one address, recorded once a second, and all counted', async () => {
    const guessed = await Warden.start(inject('adminUrl'))
    const client = await sleeping(guessed)
    const key = keyOf(client)
    const startedAt = Date.now()
    for (let n = 0; n < 8; n++) {
      const keys = Array.from({ length: 10 }, (_, at) => Buffer.from([n, at, 0, 0]))
      await Promise.all(keys.map((secret) => cancel(guessed.port, { ...key, secret })))
    }
    const seconds = Math.ceil((Date.now() - startedAt) / 1000)
    // Even the right one is not looked at now.
    await cancel(guessed.port, key)
    await sleep(200)
    expect(client.heard).toEqual([])
    await sleep(1_500)
    await cancel(guessed.port, key)
    expect(sqlstates(await client.hears('readyForQuery'))).toEqual(['57014'])
    client.close()

    const text = await (await fetch(`http://127.0.0.1:${guessed.httpPort}/metrics`)).text()
    const counted = (result: string): number =>
      Number(new RegExp(`cancels_total{result="${result}"} (\\d+)`).exec(text)?.[1])
    expect(counted('unknown') + counted('limited')).toBe(81)
    expect(counted('unknown')).toBeLessThanOrEqual(50 + seconds + 1)
    const records = await guessed.journal('cancel')
    const sum = (result: string): number =>
      records
        .filter((record) => record['result'] === result)
        .reduce((total, { count }) => total + Number(count ?? 1), 0)
    expect({ unknown: sum('unknown'), limited: sum('limited') }).toEqual({
      unknown: counted('unknown'),
      limited: counted('limited'),
    })
    expect(records.length).toBeLessThan(2 * (seconds + 4))
    await guessed.stop()
  })
})

describe('behind a load balancer', () => {
  it('a cancel request finds its session in whichever process has it', async () => {
    const other = await Warden.start(inject('adminUrl'), { beside: warden })
    // Until they know of each other.
    await sleep(500)
    const instanceOf = async (of: Warden): Promise<unknown> =>
      (await of.journal('proxy.start')).at(-1)?.['instance']
    for (const [has, asked] of [
      [warden, other],
      [other, warden],
    ] as const) {
      const client = await sleeping(has)
      const startedAt = Date.now()
      expect(await cancel(asked.port, keyOf(client))).toHaveLength(0)
      expect(Date.now() - startedAt).toBeLessThan(1_900)
      expect(sqlstates(await client.hears('readyForQuery'))).toEqual(['57014'])
      const [sent] = (await has.journal('cancel')).slice(-1)
      const [passed] = (await asked.journal('cancel')).slice(-1)
      expect(sent).toMatchObject({ result: 'sent', askedBy: await instanceOf(asked) })
      expect(passed).toMatchObject({ result: 'passed', takenBy: await instanceOf(has) })
      expect(passed?.['session']).toBe(sent?.['session'])
      expect(passed?.['client']).toBe(sent?.['client'])
      client.close()
    }

    // A key that nobody has: a moment, and the same end.
    const key = { processId: 1, secret: Buffer.alloc(4) }
    expect(await cancel(other.port, key)).toHaveLength(0)

    await other.stop()
    await sleep(200)
    const startedAt = Date.now()
    await cancel(warden.port, key)
    // Nobody is left to ask.
    expect(Date.now() - startedAt).toBeLessThan(1_000)
  })

  it('what processes tell each other shows no key, and is believed only of each other', async () => {
    const other = await Warden.start(inject('adminUrl'), { beside: warden })
    const heard: string[] = []
    await warden.inStore(async (eavesdropper) => {
      eavesdropper.on('notification', ({ payload }) => heard.push(payload ?? ''))
      await eavesdropper.query('listen pgwarden')
      await sleep(500)
      const client = await sleeping()
      const key = keyOf(client)
      await eavesdropper.query('select pg_notify($1, $2)', ['pgwarden', '{"topic":"cancel"}'])
      await cancel(other.port, key)
      await client.hears('readyForQuery')
      client.close()
      await eavesdropper.query('select')
      expect(heard.length).toBeGreaterThan(2)
      for (const notice of heard) {
        const bytes = Buffer.from(notice, 'base64url')
        expect(bytes.includes(key.secret)).toBe(false)
        expect(notice).not.toContain(String(key.processId))
      }
    })
    await other.stop()
  })

  it('what they have told each other does nothing when somebody else tells it again', async () => {
    const other = await Warden.start(inject('adminUrl'), { beside: warden })
    const heard: string[] = []
    await warden.inStore(async (eavesdropper) => {
      eavesdropper.on('notification', ({ payload }) => heard.push(payload ?? ''))
      await eavesdropper.query('listen pgwarden')
      await sleep(500)
      const client = await sleeping()
      await cancel(other.port, keyOf(client))
      await client.hears('readyForQuery')

      client.query('SELECT pg_sleep(300)')
      await runs(warden, keyOf(client).processId)
      await eavesdropper.query('select')
      for (const notice of [...heard]) {
        await eavesdropper.query('select pg_notify($1, $2)', ['pgwarden', notice])
      }
      await expect(client.hears('readyForQuery', 1_000)).rejects.toThrow('no readyForQuery')

      // Who means it is heard as before.
      await cancel(other.port, keyOf(client))
      expect(sqlstates(await client.hears('readyForQuery'))).toEqual(['57014'])
      client.close()
    })
    await other.stop()
  })

  it('they find each other again when the connections to the store were cut', async () => {
    const other = await Warden.start(inject('adminUrl'), { beside: warden })
    await sleep(500)
    await warden.inStore((store) =>
      store.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
          where datname = current_database() and application_name = 'pgwarden notifications'`,
      ),
    )
    await sleep(3_000)
    const client = await sleeping()
    await cancel(other.port, keyOf(client))
    expect(sqlstates(await client.hears('readyForQuery'))).toEqual(['57014'])
    client.close()
    await other.stop()
  })
})
