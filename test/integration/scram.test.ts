// Logging in: by SCRAM with and without channel binding, by a cleartext password, to which target, and
// what strangers can learn from it, which is nothing.

import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from 'node:tls'
import { generate } from 'selfsigned'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import type { BackendMessage } from '../../src/wire/backend.ts'
import { encodeBackend } from '../../src/wire/backend-encoder.ts'
import { encodeFrontend } from '../../src/wire/frontend.ts'
import { encodeCancelRequest, encodeSslRequest, encodeStartup } from '../../src/wire/startup.ts'
import { findPsql, runProgram } from '../support/psql.ts'
import { Warden } from '../support/warden.ts'
import { saslStart, WireClient } from '../support/wire-client.ts'

let warden: Warden
let old: Warden

beforeAll(async () => {
  const pems = await generate([{ name: 'commonName', value: 'localhost' }], {
    keySize: 2048,
    algorithm: 'sha384',
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 2, value: 'localhost' }] }],
  })
  warden = await Warden.start(inject('adminUrl'), {
    files: { 'server.crt': pems.cert, 'server.key': pems.private },
    listen: ['tls: { certificate: server.crt, key: server.key }'],
    shop: ['aliases: [store]', 'serverNames: [shop.db.example]'],
    targets: ['hr:', '  <<: *shop', '  aliases: []', '  serverNames: []'],
  })
  old = await Warden.start(inject('adminUrl'), {
    listen: ['authentication: password', 'startupTimeout: 1s'],
  })
}, 60_000)
afterAll(async () => {
  await warden.stop()
  await old.stop()
})

/** What the proxy answers to this token, from the challenge on. */
async function answersTo(
  user: string,
  token: string,
  database = 'shop',
): Promise<readonly BackendMessage[]> {
  const client = await WireClient.dial(warden.port)
  client.startup({ user, database })
  await client.proves(token)
  return client.hearsTheEnd()
}

const lastReason = async (): Promise<unknown> => (await warden.journal('login')).at(-1)?.['reason']

const refused = (user: string): BackendMessage => ({
  type: 'errorResponse',
  fields: {
    S: 'FATAL',
    V: 'FATAL',
    C: '28P01',
    M: `password authentication failed for user "${user}"`,
  },
})

/** psql's answer to one query, or what it complains about. */
async function psql(conninfo: string, env: Record<string, string> = {}): Promise<string> {
  const program = findPsql()
  if (program === undefined) throw new Error('psql is not installed')
  const { stdout, stderr } = await runProgram(
    program,
    ['-X', '-At', '-w', conninfo, '-c', "select 'in'"],
    { env },
  )
  return stdout.trim() || stderr
}

describe('psql', () => {
  it.runIf(findPsql() !== undefined)('is let in with channel binding required', async () => {
    const { user, password } = await warden.login('read_only')
    const conninfo = `host=localhost port=${warden.port} dbname=shop user=${user} sslmode=require`
    const env = { PGPASSWORD: password }
    expect(await psql(`${conninfo} channel_binding=require`, env)).toBe('in')
    expect(await psql(`${conninfo} channel_binding=disable`, env)).toBe('in')
    expect(await psql(conninfo, { PGPASSWORD: `${password.slice(0, -2)}xy` })).toContain(
      `FATAL:  password authentication failed for user "${user}"`,
    )
  })

  it.runIf(findPsql() !== undefined)('goes away to ask for a password, silently', async () => {
    const before = (await warden.journal('login')).length
    const conninfo = `host=127.0.0.1 port=${warden.port} dbname=shop user=x sslmode=disable`
    expect(await psql(conninfo)).toContain('no password supplied')
    expect(await warden.journal('login')).toHaveLength(before)
  })
})

describe('a client that does not do as it was asked', () => {
  async function provoke(...messages: readonly Buffer[]): Promise<BackendMessage | undefined> {
    const client = await WireClient.dial(warden.port)
    client.startup({ user: 'x', database: 'shop' })
    await client.hears('authenticationSASL')
    for (const data of messages) client.says({ type: 'password', data })
    return (await client.hearsTheEnd()).at(-1)
  }
  const violation = { type: 'errorResponse', fields: { S: 'FATAL', C: '08P01' } }

  it.each(['OAUTHBEARER', 'SCRAM-SHA-256-PLUS', 'SCRAM-SHA-1'])(
    'and selects %s, is told what there is',
    async (mechanism) => {
      expect(
        await provoke(saslStart(mechanism, Buffer.from('n,,\x01auth=\x01\x01'))),
      ).toMatchObject({
        fields: {
          C: '08P01',
          M: 'client selected an invalid SASL authentication mechanism',
          D: 'Offered were: SCRAM-SHA-256.',
        },
      })
    },
  )

  it('and sends its password is refused without a look at it', async () => {
    expect(await provoke(Buffer.from('pgw_secret\0'))).toMatchObject(violation)
  })

  it('and sends more than SASL needs is refused', async () => {
    expect(await provoke(Buffer.alloc(1025))).toMatchObject({
      fields: { C: '08P01', M: 'invalid message length' },
    })
    const first = saslStart('SCRAM-SHA-256', Buffer.from('n,,n=,r=abc'))
    expect(await provoke(first, Buffer.alloc(1025))).toMatchObject(violation)
  })

  it('and sends something else is refused', async () => {
    const client = await WireClient.dial(warden.port)
    client.startup({ user: 'x', database: 'shop' })
    client.query('SELECT 1')
    expect((await client.hearsTheEnd()).at(-1)).toMatchObject({
      fields: { C: '08P01', M: 'expected password response' },
    })
  })

  it('may leave its first message for when it is asked, as SASL allows', async () => {
    const client = await WireClient.dial(warden.port)
    client.startup({ user: 'x', database: 'shop' })
    await client.hears('authenticationSASL')
    client.says({ type: 'password', data: saslStart('SCRAM-SHA-256', null) })
    expect(await client.hears('authenticationSASLContinue')).toEqual([
      { type: 'authenticationSASLContinue', data: Buffer.alloc(0) },
    ])
    client.says({ type: 'password', data: Buffer.from('n,,n=,r=abc') })
    const [challenge] = await client.hears('authenticationSASLContinue')
    expect(challenge).toMatchObject({ data: expect.any(Buffer) as unknown })
    client.close()
  })
})

describe('what a client sends behind its proof', () => {
  it('belongs to its session', async () => {
    const { user, password } = await warden.login('read_only')
    const client = await WireClient.dial(warden.port)
    client.startup({ user, database: 'shop' })
    await client.proves(password, encodeFrontend({ type: 'flush' }), query('SELECT 42'))
    await client.hears('readyForQuery')
    expect(await client.hears('readyForQuery')).toContainEqual({
      type: 'dataRow',
      values: [Buffer.from('42')],
    })
    client.close()
  })

  it('is not answered by a second attempt', async () => {
    const { user, password } = await warden.login('read_only')
    const client = await WireClient.dial(warden.port)
    client.startup({ user, database: 'shop' })
    await client.proves('wrong', encodeFrontend({ type: 'password', data: Buffer.from(password) }))
    expect(await client.hearsTheEnd()).toEqual([refused(user)])
  })
})

const query = (text: string): Buffer => encodeFrontend({ type: 'query', text: Buffer.from(text) })

describe('a stranger', () => {
  it('is answered alike whether the user exists or not, byte by byte but for names and nonces', async () => {
    await warden.login('read_only', { user: 'anna_known' })
    const shapes = []
    for (const user of ['anna_known', 'anna_wrong']) {
      const client = await WireClient.dial(warden.port)
      const bytes: Buffer[] = []
      client.socket.on('data', (chunk: Buffer) => bytes.push(chunk))
      client.startup({ user, database: 'shop' })
      await client.proves('pgw_aaaaaaaaaaaaaaaa_x')
      const heard = await client.hearsTheEnd()
      expect(heard).toEqual([refused(user)])
      const all = Buffer.concat(bytes)
      shapes.push({
        length: all.length,
        text: all
          .toString('latin1')
          .replace(/r=[^,]{48},s=[^,]{24},i=/, 'r=,s=,i=')
          .replace(user, 'USER'),
      })
    }
    expect(shapes[0]?.text).toContain('r=,s=,i=4096')
    expect(shapes[0]).toEqual(shapes[1])
  })

  it('is challenged with the same salt again, as somebody who exists would be', async () => {
    const salts = []
    for (const user of ['ghost', 'ghost', `ghost/${'a'.repeat(16)}`]) {
      const client = await WireClient.dial(warden.port)
      client.startup({ user, database: 'shop' })
      await client.hears('authenticationSASL')
      const first = Buffer.from('n,,n=,r=abc')
      client.says({ type: 'password', data: saslStart('SCRAM-SHA-256', first) })
      const challenge = (await client.hears('authenticationSASLContinue')).at(-1)
      if (challenge?.type !== 'authenticationSASLContinue') throw new Error('no challenge')
      salts.push(/,s=([^,]+),/.exec(challenge.data.toString())?.[1])
      client.close()
    }
    expect(salts[0]).toHaveLength(24)
    expect(new Set(salts).size).toBe(1)
  })
})

describe('a token', () => {
  it('is found among all that its principal has, or named with the user', async () => {
    const user = 'anna'
    const tokens = []
    for (const kind of ['reusable', 'one-time', 'single-use'] as const) {
      tokens.push((await warden.login('read_only', { user, kind })).password)
    }
    for (const token of tokens) {
      const client = await WireClient.logIn(warden.port, { user, password: token })
      client.close()
      expect((await warden.journal('login')).at(-1)).toMatchObject({
        result: 'ok',
        principal: user,
        token: token.split('_')[1],
      })
    }
    const [reusable = '', oneTime = '', single = ''] = tokens
    const named = `anna/${reusable.split('_')[1] ?? ''}`
    const client = await WireClient.logIn(warden.port, { user: named, password: reusable })
    client.close()
    expect(await answersTo(named, oneTime)).toEqual([refused(named)])
    expect((await warden.journal('login')).at(-1)).toMatchObject({
      reason: 'wrong_secret',
      principal: user,
      token: reusable.split('_')[1],
    })
    expect(await answersTo(user, single)).toEqual([refused(user)])
    expect(await lastReason()).toBe('spent')
  })

  it('is not used up by an exchange that fails', async () => {
    const { user, password } = await warden.login('read_only', { kind: 'single-use' })
    const id = password.split('_')[1] ?? ''
    expect(await answersTo(user, `pgw_${id}_${'x'.repeat(43)}`)).toEqual([refused(user)])
    expect((await answersTo(user, password, 'hr')).at(-1)).toMatchObject({ fields: { C: '28000' } })
    const client = await WireClient.logIn(warden.port, { user, password })
    client.close()
  })

  it('is refused for what it is, and only the journal knows', async () => {
    const user = 'bea'
    const over = await warden.login('read_only', { user, forMs: 1 })
    // Who proves a token is told of its grant, and of nothing else.
    expect(await answersTo(user, over.password)).toMatchObject([{ fields: { C: '28000' } }])
    expect(await lastReason()).toBe('expired')

    const revoked = await warden.login('read_only', { user })
    await warden.inStore((store) =>
      store.query('update pgwarden.access_tokens set revoked_at = now() where id = $1', [
        revoked.password.split('_')[1],
      ]),
    )
    expect(await answersTo(user, revoked.password)).toEqual([refused(user)])
    expect(await lastReason()).toBe('revoked')

    const sitting = await warden.login('read_only', { user, kind: 'one-time' })
    const client = await WireClient.logIn(warden.port, { user, password: sitting.password })
    await warden.inStore((store) =>
      store.query("update pgwarden.access_tokens set sitting_address = '192.0.2.9' where id = $1", [
        sitting.password.split('_')[1],
      ]),
    )
    expect(await answersTo(user, sitting.password)).toEqual([refused(user)])
    expect(await lastReason()).toBe('other_address')
    client.close()
  })
})

describe('a target', () => {
  it('is reached by its name and by an alias', async () => {
    const { user, password } = await warden.login('read_only')
    const client = await WireClient.logIn(warden.port, { user, password }, { database: 'store' })
    client.close()
    expect((await warden.journal('login')).at(-1)).toMatchObject({ result: 'ok', target: 'shop' })
  })

  it('that is another one, or none, is answered with those there are', async () => {
    const { user, password } = await warden.login('read_only', { user: 'cleo' })
    await warden.login('read_only', { user: 'cleo', target: 'hr' })
    const hint = 'Connect with dbname=shop, or with a token for the database that you mean.'
    const D = 'This token is for "shop". Other tokens of yours are for "hr".'
    expect((await answersTo(user, password, 'hr')).slice(-2)).toMatchObject([
      { type: 'authenticationSASLFinal' },
      { type: 'errorResponse', fields: { C: '28000', M: 'token is not for database "hr"', D } },
    ])
    expect(await lastReason()).toBe('wrong_target')
    expect((await answersTo(user, password, 'nowhere')).slice(-2)).toMatchObject([
      { type: 'authenticationSASLFinal' },
      {
        type: 'errorResponse',
        fields: { S: 'FATAL', C: '3D000', M: 'database "nowhere" does not exist', D, H: hint },
      },
    ])
    expect((await warden.journal('login')).at(-1)).toMatchObject({
      reason: 'unknown_target',
      target: 'nowhere',
      token: password.split('_')[1],
    })
  })

  it('is selected by the TLS server name alone', async () => {
    const { user, password } = await warden.login('read_only')
    const log = async (database: string | undefined): Promise<WireClient> => {
      const plain = await WireClient.dial(warden.port)
      plain.socket.removeAllListeners('data')
      plain.socket.write(encodeSslRequest())
      await new Promise((resolve) => plain.socket.once('data', resolve))
      const servername = 'shop.db.example'
      const socket = connect({ socket: plain.socket, servername, rejectUnauthorized: false })
      await new Promise((resolve) => socket.once('secureConnect', resolve))
      const client = WireClient.over(socket)
      client.startup({ user, ...(database === undefined ? {} : { database }) })
      await client.proves(password)
      return client
    }
    const without = await log(undefined)
    await without.hears('readyForQuery')
    without.close()
    const elsewhere = await log('hr')
    expect((await elsewhere.hearsTheEnd()).at(-1)).toMatchObject({
      fields: {
        C: '3D000',
        D: 'The server name "shop.db.example" leads to "shop" alone. This token is for "shop". Access can be asked for to "hr".',
      },
    })
  })
})

describe('a listener that asks for passwords', () => {
  it('takes the token as one, with what is sent behind it', async () => {
    const { user, password } = await old.login('read_only')
    for (const name of [user, `${user}/${password.split('_')[1] ?? ''}`]) {
      const client = await WireClient.dial(old.port)
      client.startup({ user: name, database: 'shop' })
      expect(await client.hears('authenticationCleartextPassword')).toHaveLength(1)
      client.says(
        { type: 'password', data: Buffer.from(`${password}\0`) },
        { type: 'flush' },
        { type: 'query', text: Buffer.from('SELECT 42') },
      )
      await client.hears('readyForQuery')
      expect(await client.hears('readyForQuery')).toContainEqual({
        type: 'dataRow',
        values: [Buffer.from('42')],
      })
      client.close()
    }
  })

  it.each([
    ['28P01', Buffer.from(`${'x'.repeat(60_000)}\0`)],
    ['28P01', Buffer.from('\0')],
    ['08P01', Buffer.from('no end')],
    ['08P01', Buffer.from('two\0ends\0')],
    ['08P01', Buffer.alloc(0)],
    ['08P01', Buffer.alloc(65_536)],
  ])('answers with %s to what is none', async (code, data) => {
    const client = await WireClient.dial(old.port)
    client.startup({ user: 'x', database: 'shop' })
    await client.hears('authenticationCleartextPassword')
    client.says({ type: 'password', data })
    expect(await client.hearsTheEnd()).toMatchObject([{ fields: { S: 'FATAL', C: code } }])
  })
})

describe('a client that has been told that its time is up', () => {
  it('is not let in by what it says then, and spends no token on it', async () => {
    const { user, password } = await old.login('read_only', { kind: 'single-use' })
    const late = await WireClient.dial(old.port)
    late.startup({ user, database: 'shop' })
    expect((await late.hears('errorResponse')).at(-1)).toMatchObject({
      fields: { C: '57014', M: 'canceling authentication due to timeout' },
    })
    const data = Buffer.from(`${password}\0`)
    late.says({ type: 'password', data }, { type: 'query', text: Buffer.from('SELECT 666') })
    await sleep(500)
    late.close()
    expect(await old.journal('statement')).not.toContainEqual(
      expect.objectContaining({ text: 'SELECT 666' }),
    )

    const client = await WireClient.dial(old.port)
    client.startup({ user, database: 'shop' })
    client.says({ type: 'password', data })
    await client.hears('readyForQuery')
    client.close()
  })
})

describe('the protocol’s version', () => {
  /** What a client hears first that asks for this one. */
  async function first(
    version: number,
    parameters: readonly (readonly [string, string])[] = [],
  ): Promise<BackendMessage | undefined> {
    const packet = encodeStartup([['user', 'x'], ...parameters])
    packet.writeInt32BE(version, 4)
    const client = await WireClient.dial(warden.port)
    client.socket.write(packet)
    const heard = await client.hears('authenticationSASL')
    client.close()
    expect(heard.length).toBeLessThanOrEqual(2)
    return heard[0]
  }

  it.each([0x30000, 0x30001, 0x30002])('%i is spoken without a word about it', async (version) => {
    expect(await first(version)).toMatchObject({ type: 'authenticationSASL' })
  })

  it('is negotiated down to 3.2 with every option named as often as it was asked for', async () => {
    expect(await first(0x30003)).toEqual({
      type: 'negotiateProtocolVersion',
      version: 0x30002,
      unrecognised: [],
    })
    const options = [
      ['_pq_.a', '1'],
      ['_pq_.b', ''],
      ['_pq_.a', '2'],
    ] as const
    expect(await first(0x30000, options)).toEqual({
      type: 'negotiateProtocolVersion',
      version: 0x30000,
      unrecognised: ['_pq_.a', '_pq_.b', '_pq_.a'],
    })
  })

  it.each([
    [0x30002, 32],
    [0x30000, 4],
  ])('%i gives a cancel key that works, of %i bytes', async (version, length) => {
    const { user, password } = await warden.login('read_only')
    const packet = encodeStartup(Object.entries({ user, database: 'shop' }))
    packet.writeInt32BE(version, 4)
    const client = await WireClient.dial(warden.port)
    client.socket.write(packet)
    await client.proves(password)
    const key = (await client.hears('readyForQuery')).find(({ type }) => type === 'backendKeyData')
    if (key?.type !== 'backendKeyData') throw new Error('no key')
    expect(key.secret).toHaveLength(length)

    client.query('SELECT pg_sleep(60)')
    await new Promise((resolve) => setTimeout(resolve, 300))
    const cut = await WireClient.dial(warden.port)
    cut.socket.write(encodeCancelRequest(key.processId, key.secret.subarray(0, length - 1)))
    await cut.hearsTheEnd()
    const canceller = await WireClient.dial(warden.port)
    canceller.socket.write(encodeCancelRequest(key.processId, key.secret))
    await canceller.hearsTheEnd()
    expect((await client.hears('readyForQuery')).at(-2)).toMatchObject({ fields: { C: '57014' } })
    client.close()
  })
})

describe('an answer to the startup packet', () => {
  it('offers binding inside TLS alone', async () => {
    const client = await WireClient.dial(warden.port)
    client.startup({ user: 'x' })
    const offer = (await client.hears('authenticationSASL')).at(-1)
    expect(offer).toEqual({ type: 'authenticationSASL', mechanisms: ['SCRAM-SHA-256'] })
    if (offer !== undefined) expect(encodeBackend(offer)).toHaveLength(24)
    client.close()
  })
})
