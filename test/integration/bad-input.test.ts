// What strangers, broken clients and broken servers get: a clear error where one can still be heard,
// nothing lost, nothing left running.

import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { encodeFrontend } from '../../src/wire/frontend.ts'
import {
  encodeCancelRequest,
  encodeGssEncRequest,
  encodeSslRequest,
  encodeStartup,
} from '../../src/wire/startup.ts'
import { eventually } from '../support/eventually.ts'
import { sync } from '../support/scripted-session.ts'
import { Warden } from '../support/warden.ts'
import { WireClient } from '../support/wire-client.ts'

let warden: Warden

beforeAll(async () => {
  warden = await Warden.start(inject('adminUrl'), {
    schema: 'create table items as select n as id from generate_series(1, 10) n',
    listen: ['startupTimeout: 1s'],
  })
})
afterAll(() => warden.stop())

/** Sends bytes on a fresh connection and answers with all that comes back until it is closed. */
async function provoke(...pieces: readonly (Buffer | string)[]): Promise<Buffer> {
  const socket = net.connect({ host: '127.0.0.1', port: warden.port })
  const answer: Buffer[] = []
  socket.on('data', (chunk: Buffer) => answer.push(chunk))
  const closed = new Promise((resolve) => socket.once('close', resolve))
  socket.on('error', () => undefined)
  for (const piece of pieces) {
    socket.write(piece)
    await sleep(20)
  }
  await closed
  return Buffer.concat(answer)
}

async function backendsRunning(text: string): Promise<number> {
  return warden.asSuperuser(async (client) => {
    const { rowCount } = await client.query(
      "select from pg_stat_activity where query like $1 and state = 'active' and pid <> pg_backend_pid()",
      [`%${text}%`],
    )
    return rowCount ?? 0
  })
}

describe('before the login', () => {
  it.each([
    ['an HTTP request', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['a length of zero', Buffer.alloc(8)],
    [
      'a startup packet of 10,001 bytes',
      Buffer.concat([Buffer.from([0, 0, 0x27, 0x11]), Buffer.alloc(10_000)]),
    ],
    [
      'bytes behind the terminator',
      Buffer.concat([encodeStartup([['user', 'x']]).fill(20, 3, 4), Buffer.from('more!')]),
    ],
    [
      'no terminator',
      Buffer.concat([encodeStartup([['user', 'x']]).subarray(0, -1), Buffer.from('x')]),
    ],
    [
      'a parameter twice',
      encodeStartup([
        ['user', 'x'],
        ['user', 'postgres'],
      ]),
    ],
    ['protocol 2.0', Buffer.from([0, 0, 0, 8, 0, 2, 0, 0])],
    ['no user', encodeStartup([['database', 'shop']])],
    [
      'a replication connection',
      encodeStartup([
        ['user', 'x'],
        ['replication', 'true'],
      ]),
    ],
  ])('answers %s with FATAL and closes', async (_, bytes) => {
    const answer = await provoke(bytes)
    expect(answer.toString('latin1')).toMatch(/^E.{4}SFATAL\0VFATAL\0C(08P01|0A000|28000)\0M/s)
  })

  it('refuses bytes smuggled behind an SSLRequest', async () => {
    const answer = await provoke(
      Buffer.concat([encodeSslRequest(), encodeStartup([['user', 'x']])]),
    )
    expect(answer.toString('latin1')).toContain('received unencrypted data')
  })

  it('refuses a second SSLRequest', async () => {
    const answer = await provoke(encodeSslRequest(), encodeSslRequest())
    expect(answer.toString('latin1')).toMatch(/^NE.*SSLRequest was sent twice/s)
  })

  it('answers N to GSSENCRequest and SSLRequest in either order, and goes on', async () => {
    for (const order of [
      [encodeGssEncRequest(), encodeSslRequest()],
      [encodeSslRequest(), encodeGssEncRequest()],
    ]) {
      const socket = net.connect({ host: '127.0.0.1', port: warden.port })
      const answers: string[] = []
      for (const request of [...order, encodeStartup([['user', 'x']])]) {
        const answered = new Promise<Buffer>((resolve) => socket.once('data', resolve))
        socket.write(request)
        answers.push((await answered).toString('latin1').charAt(0))
      }
      expect(answers).toEqual(['N', 'N', 'R'])
      socket.destroy()
    }
  })

  it('tells a client that dribbles its startup packet that time is up', async () => {
    const startedAt = Date.now()
    const answer = await provoke(encodeStartup([['user', 'x']]).subarray(0, 6))
    expect(answer.toString('latin1')).toContain('canceling authentication due to timeout')
    expect(Date.now() - startedAt).toBeLessThan(5_000)
  })

  it('closes a connection on which nothing was ever said, silently', async () => {
    expect(await provoke()).toHaveLength(0)
  })

  it('negotiates a newer protocol down, once, before anything else', async () => {
    const packet = encodeStartup([
      ['user', 'x'],
      ['_pq_.test', '1'],
    ])
    packet.writeInt32BE(0x0003270f, 4)
    const client = await WireClient.dial(warden.port)
    client.socket.write(packet)
    const heard = await client.hears('authenticationSASL')
    expect(heard[0]).toEqual({
      type: 'negotiateProtocolVersion',
      version: 0x30002,
      unrecognised: ['_pq_.test'],
    })
    client.close()
  })

  it('gives one and the same answer for every bad token', async () => {
    const good = await warden.login('read_only')
    const other = `${good.password.slice(0, -2)}xy`
    const answers = new Set<string>()
    for (const [user, database, password] of [
      [good.user, 'shop', other],
      [good.user, 'shop', 'pgw_unknown_token'],
      [good.user, 'shop', 'hunter2'],
      ['stranger', 'shop', good.password],
      ['stranger', 'nowhere', good.password],
      [good.user, 'nowhere', other],
      [good.user, 'shop', ''],
    ] as const) {
      const client = await WireClient.dial(warden.port)
      client.startup({ user, database })
      await client.proves(password)
      answers.add(JSON.stringify(await client.hearsTheEnd()).replace(user, 'USER'))
    }
    expect([...answers]).toEqual([
      JSON.stringify([
        {
          type: 'errorResponse',
          fields: {
            S: 'FATAL',
            V: 'FATAL',
            C: '28P01',
            M: 'password authentication failed for user "USER"',
          },
        },
      ]),
    ])
    const reasons = (await warden.journal('login')).map(({ reason }) => reason)
    expect(reasons).toEqual(expect.arrayContaining(['wrong_secret', 'unknown']))
  })

  it('refuses a startup parameter that the role may not set, by name', async () => {
    const login = await warden.login('read_only')
    for (const parameters of [
      { session_replication_role: 'replica' },
      { options: '-c default_transaction_read_only=off' },
      { options: '-c role=postgres' },
      { client_encoding: 'SJIS' },
    ]) {
      const client = await WireClient.dial(warden.port)
      client.startup({ user: login.user, database: 'shop', ...parameters })
      await client.proves(login.password)
      expect((await client.hearsTheEnd()).slice(1)).toMatchObject([
        { type: 'errorResponse', fields: { S: 'FATAL', C: '42501' } },
      ])
    }
  })

  it.each([
    ['-c no_such_setting=1', '42704', 'unrecognized configuration parameter "no_such_setting"'],
    ['-c work_mem=lots', '22023', 'invalid value for parameter "work_mem": "lots"'],
    ['-c max_connections=7', '55P02', /"max_connections" cannot be changed/],
  ])('hears from a client’s %s what the server has against it', async (options, code, message) => {
    const login = await warden.login('admin')
    const client = await WireClient.dial(warden.port)
    client.startup({ user: login.user, database: 'shop', options })
    await client.proves(login.password)
    const [error] = (await client.hearsTheEnd()).slice(1)
    const said = error?.type === 'errorResponse' ? error.fields : {}
    expect(said).toMatchObject({ S: 'FATAL', C: code })
    expect(said['M']).toMatch(message)
  })
})

describe('in a session', () => {
  it('ends it with 08P01 for a message that is not the protocol', async () => {
    const login = await warden.login('read_only')
    for (const bytes of [
      Buffer.from('z\0\0\0\x04', 'latin1'),
      Buffer.from('Q\0\0\0\x03', 'latin1'),
      Buffer.from('Q\xff\xff\xff\xfb', 'latin1'),
      Buffer.from('Q\x7f\xff\xff\xff', 'latin1'),
      Buffer.from('Q\0\0\0\x0cSELECT 1', 'latin1'),
      Buffer.from('Q\0\0\0\x0eSELECT 1\0!', 'latin1'),
      Buffer.from('S\0\0\0\x05!', 'latin1'),
      encodeFrontend({ type: 'query', text: Buffer.from('SELECT 1\0; DELETE FROM items') }),
      encodeFrontend({ type: 'password', data: Buffer.from('again\0') }),
    ]) {
      const client = await WireClient.logIn(warden.port, login)
      client.socket.write(bytes)
      expect(await client.hearsTheEnd()).toMatchObject([
        { type: 'errorResponse', fields: { S: 'FATAL', C: '08P01' } },
      ])
    }
  })

  it('reads messages that arrive byte by byte', async () => {
    const client = await WireClient.logIn(warden.port, await warden.login('read_only'))
    for (const byte of encodeFrontend({ type: 'query', text: Buffer.from('SELECT 42') })) {
      client.socket.write(Buffer.from([byte]))
      await sleep(1)
    }
    const answer = await client.hears('readyForQuery')
    expect(answer).toContainEqual({ type: 'dataRow', values: [Buffer.from('42')] })
    client.close()
  })

  it('goes on after a statement over the limit, which gets 54000', async () => {
    const client = await warden.connect('read_only')
    const huge = `SELECT '${'x'.repeat(3 * 1024 * 1024)}'`
    await expect(client.query(huge)).rejects.toMatchObject({ code: '54000' })
    expect((await client.query('SELECT 1 AS n')).rows).toEqual([{ n: 1 }])
    await client.end()
  })

  it('goes on after text that is not UTF-8, which gets 22021', async () => {
    const client = await WireClient.logIn(warden.port, await warden.login('read_only'))
    client.says({ type: 'query', text: Buffer.from([0x53, 0x45, 0x4c, 0x27, 0xff, 0x27]) })
    expect((await client.hears('readyForQuery'))[0]).toMatchObject({ fields: { C: '22021' } })
    client.query('SELECT 1')
    expect(await client.hears('readyForQuery')).toHaveLength(4)
    client.close()
  })

  it('cancels and closes the upstream when the client vanishes in the middle of a statement', async () => {
    const gone = await WireClient.logIn(warden.port, await warden.login('read_only'))
    gone.query('SELECT pg_sleep(300) /* vanishing */')
    await eventually(async () => (await backendsRunning('/* vanishing */')) === 1)
    gone.socket.resetAndDestroy()
    await eventually(async () => (await backendsRunning('/* vanishing */')) === 0)
    const ends = await warden.journal('session.end')
    expect(ends.at(-1)).toMatchObject({ reason: 'client_gone' })
  })

  it('ends the session of a client that has gone while it was logged in', async () => {
    const login = await warden.login('read_only')
    const gone = await WireClient.dial(warden.port)
    gone.startup({ user: login.user, database: 'shop', application_name: 'too late' })
    await gone.proves(login.password)
    gone.socket.end()
    await gone.hearsTheEnd()
    await eventually(async () => {
      const ends = await warden.journal('session.end')
      return ends.some(({ application }) => application === 'too late')
    })
  })

  it('does the same for one whose next messages have to wait', async () => {
    const gone = await WireClient.logIn(warden.port, await warden.login('read_limited_write'))
    await warden.asSuperuser(async (locker) => {
      await locker.query('BEGIN; LOCK TABLE items')
      gone.query('COPY items FROM STDIN /* waiting */')
      await eventually(async () => (await backendsRunning('/* waiting */')) === 1)
      // Whether it is read as data is not certain before COPY has begun; and there is more behind it.
      gone.says(sync)
      await sleep(50)
      gone.says(sync)
      await sleep(50)
      gone.close()
      await eventually(async () => (await backendsRunning('/* waiting */')) === 0)
    })
  })

  it('answers a client that has shut down its side and waits', async () => {
    const client = await WireClient.logIn(warden.port, await warden.login('read_only'))
    client.query('SELECT count(*) FROM items')
    client.socket.end()
    expect(await client.hears('readyForQuery')).toContainEqual({
      type: 'commandComplete',
      tag: 'SELECT 1',
    })
  })

  it('finishes what was asked before Terminate', async () => {
    const client = await WireClient.logIn(warden.port, await warden.login('read_only'))
    client.says(
      { type: 'query', text: Buffer.from('SELECT count(*) FROM items, pg_sleep(0.3)') },
      { type: 'terminate' },
    )
    expect(await client.hears('readyForQuery')).toContainEqual({
      type: 'commandComplete',
      tag: 'SELECT 1',
    })
    await client.hearsTheEnd()
  })

  it('passes the server’s own FATAL on when the upstream is terminated', async () => {
    const client = await warden.connect('read_only')
    const died = new Promise<unknown>((resolve) => client.once('error', resolve))
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
    await warden.asSuperuser((su) => su.query('SELECT pg_terminate_backend($1)', [rows[0]?.pid]))
    expect(await died).toMatchObject({ code: '57P01', severity: 'FATAL' })
  })

  it('ends with FATAL 57P01 and a sentence when its grant is over', async () => {
    const login = await warden.login('read_only', { forMs: 1_500 })
    const client = await WireClient.logIn(warden.port, login)
    client.query('SELECT pg_sleep(300) /* over */')
    const heard = await client.hearsTheEnd(8_000)
    expect(heard.at(-1)).toMatchObject({
      type: 'errorResponse',
      fields: { S: 'FATAL', C: '57P01', M: expect.stringContaining('grant has ended') as unknown },
    })
    await eventually(async () => (await backendsRunning('/* over */')) === 0)
    await eventually(async () =>
      warden.asSuperuser(async (su) => {
        const role = (await warden.journal('session.start')).at(-1)?.['databaseRole']
        const { rowCount } = await su.query('select from pg_roles where rolname = $1', [role])
        return rowCount === 0
      }),
    )
  })
})

describe('when the upstream', () => {
  /** A server in front of the target's that can be told to misbehave. */
  async function behindProxy(
    misbehave: (upstream: net.Socket, client: net.Socket) => void,
  ): Promise<{ readonly warden: Warden; readonly stop: () => Promise<void> }> {
    const admin = new URL(inject('adminUrl'))
    const server = net.createServer((client) => {
      const upstream = net.connect({ host: admin.hostname, port: Number(admin.port || 5432) })
      client.on('error', () => upstream.destroy())
      upstream.on('error', () => client.destroy())
      client.pipe(upstream).pipe(client)
      misbehave(upstream, client)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const behind = await Warden.start(inject('adminUrl'), { targetPort: port })
    const stop = async (): Promise<void> => {
      await behind.stop()
      server.close()
    }
    return { warden: behind, stop }
  }

  it('gives its own cancel key, that key cancels nothing here', async () => {
    const keys: Buffer[] = []
    const { warden: behind, stop } = await behindProxy((upstream) => {
      upstream.on('data', (chunk: Buffer) => {
        // BackendKeyData: 'K', the length 12, process and key.
        const at = chunk.indexOf(Buffer.from('K\0\0\0\x0c', 'latin1'))
        if (at >= 0) keys.push(Buffer.from(chunk.subarray(at + 5, at + 13)))
      })
    })
    const client = await WireClient.logIn(behind.port, await behind.login('read_only'))
    client.query("SELECT 'slept' FROM pg_sleep(1)")
    await sleep(200)
    expect(keys.length).toBeGreaterThan(0)
    for (const key of keys) {
      const canceller = await WireClient.dial(behind.port)
      canceller.socket.write(encodeCancelRequest(key.readInt32BE(0), key.subarray(4)))
      await canceller.hearsTheEnd()
    }
    const answer = await client.hears('readyForQuery')
    expect(answer).toContainEqual({ type: 'dataRow', values: [Buffer.from('slept')] })
    client.close()
    await stop()
  })

  it('vanishes without a word, the client gets FATAL 08006 with a sentence', async () => {
    const connections: net.Socket[] = []
    const { warden: behind, stop } = await behindProxy((_, client) => connections.push(client))
    const client = await WireClient.logIn(behind.port, await behind.login('read_only'))
    client.query('SELECT pg_sleep(300)')
    await sleep(200)
    connections.at(-1)?.destroy()
    expect((await client.hearsTheEnd()).at(-1)).toMatchObject({
      fields: { S: 'FATAL', C: '08006', M: 'server closed the connection unexpectedly' },
    })
    expect(await behind.journal('outcome')).toMatchObject([{ result: 'unknown' }])
    await stop()
  })

  it('cannot be reached, the client gets FATAL 08001 and the audit says so', async () => {
    const { warden: behind, stop } = await behindProxy(() => undefined)
    const warm = await behind.connect('read_only')
    await warm.end()
    await stop()
    const lost = await Warden.start(inject('adminUrl'), { targetPort: 1 })
    const client = new Client(await lost.login('read_only'))
    await expect(client.connect()).rejects.toMatchObject({
      severity: 'FATAL',
      code: expect.stringMatching(/^(08001|57P03)$/) as unknown,
    })
    expect((await lost.journal('login')).at(-1)).toMatchObject({ result: 'refused' })
    await lost.stop()
  })
})
