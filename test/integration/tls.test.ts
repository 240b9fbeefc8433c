// TLS towards the client, end to end: psql and the pg driver through it, certificates of clients, a
// certificate renewed under a running session, and several listeners with rules of their own.

import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import net from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import tls, { type ConnectionOptions } from 'node:tls'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { operations } from '../../src/composition/server.ts'
import { encodeCancelRequest, encodeSslRequest, encodeStartup } from '../../src/wire/startup.ts'
import { certify, type Pair } from '../support/certificates.ts'
import { freePorts } from '../support/ports.ts'
import { findPsql, runProgram } from '../support/psql.ts'
import { RecordTap } from '../support/record-tap.ts'
import { Warden } from '../support/warden.ts'
import { WireClient } from '../support/wire-client.ts'

const day = 86_400_000
const psql = findPsql()
if (psql === undefined)
  console.warn('NOT RUN: psql is not installed, so its tests with TLS are not run')

let warden: Warden
/** Of the servers, and of the clients. */
let authority: Pair
let clientAuthority: Pair
let server: Pair
let alice: Pair
/** Plaintext from this machine is good enough; TLS is required. Both ask clients for certificates. */
let lenient: number
let strict: number

beforeAll(async () => {
  authority = await certify('servers', { isAuthority: true })
  clientAuthority = await certify('clients', { isAuthority: true })
  server = await certify('localhost', { by: authority })
  alice = await certify('alice', { by: clientAuthority, organization: 'Shop\\, Inc' })
  ;[lenient, strict] = await freePorts()
  warden = await Warden.start(inject('adminUrl'), {
    files: {
      'server.crt': server.certificate,
      'server.key': server.key,
      'clients.crt': clientAuthority.certificate,
      'ca.crt': authority.certificate,
      'alice.crt': alice.certificate,
      'alice.key': alice.key,
    },
    listen: [
      'tls: { certificate: server.crt, key: server.key }',
      'allowPlaintextFrom: [192.0.2.0/24]',
    ],
    alsoListen: [
      [
        `port: ${lenient}`,
        'tls: { certificate: server.crt, key: server.key, clientCa: clients.crt }',
      ],
      [
        "address: '::'",
        `port: ${strict}`,
        'tls: { certificate: server.crt, key: server.key, clientCa: clients.crt }',
        'requireTls: true',
      ],
    ],
  })
})
afterAll(() => warden.stop())

/** Runs psql with these settings on top of those of a new token. */
async function runPsql(settings: string, ...words: readonly string[]) {
  const { user, password } = await warden.login('read_only')
  const conninfo = `host=localhost dbname=shop user=${user} sslrootcert=${join(warden.directory, 'ca.crt')} ${settings}`
  return runProgram(psql ?? 'psql', ['-X', '-At', conninfo, ...words], {
    env: { PGPASSWORD: password },
  })
}

/** Logged in over direct TLS, and every message heard since. */
async function direct(port: number, options: ConnectionOptions = {}): Promise<WireClient> {
  const socket = tls.connect({
    port,
    servername: 'localhost',
    ca: authority.certificate,
    ALPNProtocols: ['postgresql'],
    ...options,
  })
  await once(socket, 'secureConnect')
  return WireClient.over(socket)
}

async function logIn(client: WireClient, as?: string): Promise<void> {
  const { user, password } = await warden.login('read_only', as === undefined ? {} : { user: as })
  client.startup({ user, database: 'shop' })
  await client.proves(password)
}

describe('TLS', () => {
  it('carries a session, verified against the certificate', async () => {
    const login = await warden.login('read_only')
    const client = new Client({ ...login, host: 'localhost', ssl: { ca: authority.certificate } })
    await client.connect()
    const { rows } = await client.query("SELECT repeat('x', 1000000) AS x, 1 AS n")
    expect(rows).toMatchObject([{ n: 1 }])
    await expect(client.query('DROP TABLE t')).rejects.toMatchObject({ code: '42501' })
    await client.end()
  })

  it('carries a session that begins with it, without a request', async () => {
    const client = await direct(warden.port)
    await logIn(client)
    await client.hears('readyForQuery')
    client.query("SELECT repeat('x', 1000000)")
    const heard = await client.hears('readyForQuery')
    expect(heard.map(({ type }) => type)).toContain('dataRow')
    client.close()
  })

  it('comes in records of at most 8 KiB, as from PostgreSQL, since older libpqs stall on larger ones', async () => {
    const tap = await RecordTap.start(warden.port)
    const login = await warden.login('read_only')
    const client = new Client({
      ...login,
      host: 'localhost',
      port: tap.port,
      ssl: { ca: authority.certificate },
    })
    await client.connect()
    const { rows } = await client.query("SELECT repeat('x', 1000000) AS x")
    expect(rows).toHaveLength(1)
    await client.end()
    await tap.stop()
    expect(tap.bytes).toBeGreaterThan(1_000_000)
    // Beyond the data: the content type, and the tag of the encryption.
    expect(tap.largest).toBeLessThanOrEqual(8192 + 1 + 16)
  })

  it('carries a session of the pg driver that begins with it', async () => {
    const login = await warden.login('read_only')
    const ssl = { ca: authority.certificate }
    const client = new Client({ ...login, host: 'localhost', ssl, sslnegotiation: 'direct' })
    await client.connect()
    expect((await client.query('SELECT 1 AS n')).rows).toEqual([{ n: 1 }])
    await client.end()
  })

  it('is what a plaintext client is told to use, before it has sent its token', async () => {
    const client = await WireClient.dial(warden.port)
    client.startup({ user: 'x', database: 'shop' })
    expect(await client.hearsTheEnd()).toMatchObject([
      {
        type: 'errorResponse',
        fields: { S: 'FATAL', C: '28000', M: 'connection requires TLS (sslmode=require)' },
      },
    ])
  })

  it.skipIf(psql === undefined)('works for psql, which verifies all of it', async () => {
    const { stdout, stderr } = await runPsql(
      `port=${warden.port} sslmode=verify-full`,
      '-c',
      '\\conninfo',
      '-c',
      "select 'through TLS'",
    )
    expect(stderr).toBe('')
    expect(stdout).toContain('TLSv1.3')
    expect(stdout).toContain('through TLS')
  })

  it.skipIf(psql === undefined)('works for psql over TLS 1.2, and not below', async () => {
    const at = `port=${warden.port} sslmode=require`
    const two = await runPsql(`${at} ssl_max_protocol_version=TLSv1.2`, '-c', '\\conninfo')
    expect(two.stdout).toContain('TLSv1.2')
    const one = await runPsql(
      `${at} ssl_min_protocol_version=TLSv1.1 ssl_max_protocol_version=TLSv1.1`,
      '-c',
      'select 1',
    )
    expect(one.status).not.toBe(0)
  })
})

describe('listeners', () => {
  it('have their own rules for plaintext, which requireTls refuses from everywhere', async () => {
    const welcome = await WireClient.dial(lenient)
    await logIn(welcome)
    await welcome.hears('readyForQuery')
    welcome.close()
    for (const host of ['127.0.0.1', '::1']) {
      const socket = net.connect({ host, port: strict })
      await once(socket, 'connect')
      const refused = WireClient.over(socket)
      refused.startup({ user: 'x', database: 'shop' })
      expect(await refused.hearsTheEnd()).toMatchObject([{ fields: { C: '28000' } }])
    }
  })

  it.each(['plain', 'with TLS'])(
    'share their sessions: a cancel request may come in by another one, %s, also where TLS is required',
    async (how) => {
      const client = await direct(warden.port)
      await logIn(client)
      await client.hears('readyForQuery')
      const { key } = client
      if (key === undefined) throw new Error('no key')
      client.query('SELECT pg_sleep(30)')
      await sleep(300)
      const request = encodeCancelRequest(key.processId, key.secret)
      if (how === 'plain') net.connect(strict, '127.0.0.1').end(request)
      else (await direct(strict)).socket.end(request)
      const [error] = (await client.hears('readyForQuery')).slice(-2)
      expect(error).toMatchObject({ type: 'errorResponse', fields: { C: '57014' } })
      client.close()
    },
  )

  it('with TLS are what a token is issued for', async () => {
    const { connection } = await operations.issueToken({
      configFile: warden.configFile,
      principal: 'alice',
      target: 'shop',
      role: 'read_only',
      forMs: 60_000,
      kind: 'one-time',
      reason: 'test',
    })
    expect(connection).toMatchObject({ port: warden.port, sslmode: 'require' })
  })
})

describe('the certificate of a client', () => {
  it('stands in the audit, with its subject and its fingerprint', async () => {
    const client = await direct(strict, { cert: alice.certificate, key: alice.key })
    await logIn(client, 'alice')
    await client.hears('readyForQuery')
    client.close()
    const { fingerprint256 } = new X509Certificate(alice.certificate)
    const certificate = {
      subject: 'CN=alice,O=Shop\\, Inc',
      sha256: fingerprint256.replaceAll(':', '').toLowerCase(),
    }
    const records = await warden.journal('login', 'session.start')
    expect(records.filter(({ principal }) => principal === 'alice')).toMatchObject([
      { type: 'login', result: 'ok', certificate },
      { type: 'session.start', certificate },
    ])
  })

  it.skipIf(psql === undefined)(
    'is sent by psql, and one that is no good is refused with a reason',
    async () => {
      const own = ['alice.crt', 'alice.key'].map((name) => join(warden.directory, name))
      await runProgram('chmod', ['600', own[1] ?? ''])
      const settings = `port=${strict} sslmode=verify-full sslcert=${own[0]} sslkey=${own[1]}`
      expect((await runPsql(settings, '-c', 'select 1')).stdout).toBe('1\n')
      const expired = await certify('alice', {
        by: clientAuthority,
        notBefore: new Date(Date.now() - 3 * day),
        notAfter: new Date(Date.now() - day),
      })
      const theirs = ['old.crt', 'old.key'].map((name) => join(warden.directory, name))
      await writeFile(theirs[0] ?? '', expired.certificate)
      await writeFile(theirs[1] ?? '', expired.key, { mode: 0o600 })
      const { stderr } = await runPsql(
        `port=${strict} sslmode=verify-full sslcert=${theirs[0]} sslkey=${theirs[1]}`,
        '-c',
        'select 1',
      )
      expect(stderr).toContain('FATAL:  client certificate has expired')
    },
  )

  it('is refused when nobody vouches for it, before a token is asked for', async () => {
    const foreign = [
      await certify('alice'),
      await certify('alice', { by: await certify('clients', { isAuthority: true }) }),
    ]
    for (const { certificate: cert, key } of foreign) {
      const client = await direct(strict, { cert, key })
      client.startup({ user: 'alice', database: 'shop' })
      expect(await client.hearsTheEnd()).toMatchObject([
        {
          fields: {
            C: '28000',
            M: 'client certificate is of no certificate authority that is trusted here',
          },
        },
      ])
    }
  })

  it('is not asked for by a listener that has no clientCa', async () => {
    const foreign = await certify('alice')
    const client = await direct(warden.port, { cert: foreign.certificate, key: foreign.key })
    await logIn(client)
    await client.hears('readyForQuery')
    client.close()
  })
})

describe('a target that requires a client certificate', () => {
  let careful: Warden
  beforeAll(async () => {
    careful = await Warden.start(inject('adminUrl'), {
      files: {
        'server.crt': server.certificate,
        'server.key': server.key,
        'clients.crt': clientAuthority.certificate,
      },
      listen: ['tls: { certificate: server.crt, key: server.key, clientCa: clients.crt }'],
      shop: ['clientCertificate: required'],
    })
  })
  afterAll(() => careful.stop())

  it('is closed to a token alone, and looks like any other to a stranger', async () => {
    const { user, password } = await careful.login('read_only')
    for (const [token, expected] of [
      [password, { C: '28000', M: 'connection requires a client certificate' }],
      ['pgw_wrong', { C: '28P01' }],
    ] as const) {
      const client = await direct(careful.port)
      client.startup({ user, database: 'shop' })
      await client.proves(token)
      expect((await client.hearsTheEnd()).at(-1)).toMatchObject({ fields: expected })
    }
    expect(await careful.journal('login')).toMatchObject([
      { result: 'refused', reason: 'invalid_authorization' },
      { result: 'refused' },
    ])
  })

  it('is open to a token with one', async () => {
    const { user, password } = await careful.login('read_only')
    const client = await direct(careful.port, { cert: alice.certificate, key: alice.key })
    client.startup({ user, database: 'shop' })
    await client.proves(password)
    await client.hears('readyForQuery')
    client.close()
  })
})

describe('a certificate that is renewed', () => {
  it('is shown to whoever comes next, and a session under the old one goes on', async () => {
    const older = await direct(warden.port)
    await logIn(older)
    await older.hears('readyForQuery')

    const renewed = await certify('renewed', {
      by: authority,
      notAfter: new Date(Date.now() + 10 * day),
    })
    await writeFile(join(warden.directory, 'server.crt'), renewed.certificate)
    await writeFile(join(warden.directory, 'server.key'), renewed.key)
    const deadline = Date.now() + 20_000
    const shown = async (): Promise<string> => {
      const { socket } = await direct(warden.port)
      const subject =
        socket instanceof tls.TLSSocket ? socket.getPeerX509Certificate()?.subject : ''
      socket.destroy()
      return subject ?? ''
    }
    while ((await shown()) !== 'CN=renewed') {
      if (Date.now() > deadline) throw new Error('the certificate was not renewed')
      await sleep(200)
    }

    older.query('SELECT 1')
    await older.hears('readyForQuery')
    older.close()
    if (psql !== undefined) {
      const { stdout } = await runPsql(
        `port=${warden.port} sslmode=verify-full channel_binding=require`,
        '-c',
        'select 1',
      )
      expect(stdout).toBe('1\n')
    }
    const metrics = await (await fetch(`http://127.0.0.1:${warden.httpPort}/metrics`)).text()
    const name = `pgwarden_tls_certificate_expiry_timestamp_seconds{listener="127.0.0.1:${warden.port}"}`
    const expiry = Number(
      metrics
        .split('\n')
        .find((line) => line.startsWith(name))
        ?.split(' ')[1],
    )
    expect(Math.abs(expiry - (Date.now() + 10 * day) / 1000)).toBeLessThan(120)
  })
})

describe('a client that stops in the middle of its handshake', () => {
  it('is cut off at the startup timeout, and nobody else notices', async () => {
    const slow = await Warden.start(inject('adminUrl'), {
      files: { 'server.crt': server.certificate, 'server.key': server.key },
      listen: ['tls: { certificate: server.crt, key: server.key }', 'startupTimeout: 1s'],
    })
    try {
      const hears = async (bytes: Buffer): Promise<string> => {
        const socket = net.connect({ port: slow.port, host: '127.0.0.1', allowHalfOpen: true })
        let said = ''
        socket.on('data', (chunk: Buffer) => {
          said += chunk.toString('latin1')
        })
        socket.write(bytes)
        await once(socket, 'end')
        socket.destroy()
        return said
      }
      const begun = Date.now()
      const [hello, request, half, name] = await Promise.all([
        hears(Buffer.from([0x16, 3, 1])),
        hears(encodeSslRequest()),
        hears(encodeSslRequest().subarray(0, 5)),
        hears(encodeStartup([['user', 'x']]).subarray(0, 12)),
      ])
      expect(Date.now() - begun).toBeLessThan(5_000)
      // Where bytes would be taken for TLS, none are sent.
      expect([hello, request]).toEqual(['', 'S'])
      expect(half).toContain('57014')
      expect(name).toContain('57014')
      const silent = await direct(slow.port)
      expect(await silent.hearsTheEnd()).toMatchObject([{ fields: { C: '57014' } }])
    } finally {
      await slow.stop()
    }
  })
})
