// TLS towards the target, with a real server: every mode of libpq's, right and wrong, and what somebody
// on the way can do.

import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import tls from 'node:tls'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { Failure } from '../../src/errors.ts'
import { Secret } from '../../src/secret.ts'
import type { Upstream } from '../../src/upstream/open.ts'
import type { TlsSettings, UpstreamTarget } from '../../src/upstream/target.ts'
import { encodeBackend } from '../../src/wire/backend-encoder.ts'
import { encodeSslRequest } from '../../src/wire/startup.ts'
import { certify, type Pair } from '../support/certificates.ts'
import { type Forwarder, join, listenWith } from '../support/forwarder.ts'
import { password, startTlsDatabase, type TlsDatabase } from '../support/tls-database.ts'
import { connectorTo, serverAt } from '../support/upstream.ts'

let database: TlsDatabase
const opened: { destroy(): void }[] = []
const listening: Forwarder[] = []

beforeAll(async () => {
  database = await startTlsDatabase()
})
afterEach(async () => {
  for (const socket of opened.splice(0)) socket.destroy()
  for (const forwarder of listening.splice(0)) await forwarder.close()
})
afterAll(() => database.stop())

interface Login {
  readonly user?: string
  readonly port?: number
  readonly host?: string
  readonly terms?: Partial<UpstreamTarget>
}

async function logIn(settings: Partial<TlsSettings>, login: Login = {}): Promise<Upstream> {
  const { user = 'scram', port = database.port, host = '127.0.0.1', terms = {} } = login
  const upstream = await connectorTo([serverAt(port, settings, host)], terms).connect({
    target: 'shop',
    parameters: new Map([
      ['user', user],
      ['database', 'postgres'],
    ]),
    password: new Secret(password),
  })
  opened.push(upstream.socket)
  return upstream
}

async function protocolOf(settings: Partial<TlsSettings>, login?: Login): Promise<string | null> {
  const { socket } = await logIn(settings, login)
  return socket instanceof tls.TLSSocket ? socket.getProtocol() : null
}

/** What the client hears and what the log says. */
async function refusal(settings: Partial<TlsSettings>, login?: Login): Promise<readonly string[]> {
  const error: unknown = await logIn(settings, login).catch((cause: unknown) => cause)
  if (!(error instanceof Failure) || !(error.cause instanceof Error)) throw error
  return [`${error.sqlstate} ${error.message}`, error.cause.message]
}

async function forward(handle: (client: net.Socket) => void): Promise<number> {
  const forwarder = await listenWith(handle)
  listening.push(forwarder)
  return forwarder.port
}

const unreachable = '08001 could not connect to the target database'

describe('a mode of TLS', () => {
  it('disable uses none', async () => {
    expect(await protocolOf({ mode: 'disable' })).toBeNull()
  })

  it('allow uses it when the server lets nobody in without', async () => {
    expect(await protocolOf({ mode: 'allow' })).toBeNull()
    expect(await protocolOf({ mode: 'allow' }, { user: 'tls_only' })).toBe('TLSv1.3')
  })

  it('prefer uses it when the server has it and lets one in with it', async () => {
    expect(await protocolOf({ mode: 'prefer' })).toBe('TLSv1.3')
    expect(await protocolOf({ mode: 'prefer' }, { user: 'plain_only' })).toBeNull()
  })

  it('require uses it, whoever the server is', async () => {
    expect(await protocolOf({ mode: 'require' })).toBe('TLSv1.3')
  })

  it('verify-ca knows the authority, and takes any of its names', async () => {
    const ca = database.authority.certificate
    expect(await protocolOf({ mode: 'verify-ca', ca, serverName: 'other.test' })).toBe('TLSv1.3')
    const stranger = (await certify('stranger', { isAuthority: true })).certificate
    expect(await refusal({ mode: 'verify-ca', ca: stranger })).toEqual([
      unreachable,
      expect.stringMatching(
        /^127\.0\.0\.1:\d+ no TLS \(tls\.mode is verify-ca\): .*certificate.*belongs into tls\.ca$/,
      ),
    ])
  })

  it('verify-full knows authority and name: the host, its address, or the name that is set', async () => {
    const ca = database.authority.certificate
    expect(await protocolOf({ mode: 'verify-full', ca })).toBe('TLSv1.3')
    expect(await protocolOf({ mode: 'verify-full', ca }, { host: 'localhost' })).toBe('TLSv1.3')
    expect(await protocolOf({ mode: 'verify-full', ca, serverName: 'db.test' })).toBe('TLSv1.3')
    expect(await refusal({ mode: 'verify-full', ca, serverName: 'other.test' })).toEqual([
      unreachable,
      expect.stringContaining("does not match certificate's altnames"),
    ])
  })

  it('verify-full trusts nobody whom nobody named', async () => {
    expect(await refusal({ mode: 'verify-full' })).toEqual([
      unreachable,
      expect.stringContaining('belongs into tls.ca'),
    ])
  })

  it('shows our certificate to a server that wants one', async () => {
    const { certificate, key } = await certify('certified', { by: database.authority })
    const client = { certificate, key: new Secret(key) }
    const login = { user: 'certified' }
    expect(await protocolOf({ mode: 'require', client }, login)).toBe('TLSv1.3')
    expect((await refusal({ mode: 'require' }, login))[0]).toMatch(/^08006 /)
  })

  it('refuses a certificate and a key that do not fit, before anybody logs in', () => {
    const client = { certificate: database.certificate.certificate, key: new Secret('no key') }
    expect(() => connectorTo([serverAt(1, { mode: 'require', client })])).toThrow(
      'the certificates for 127.0.0.1:1 cannot be used',
    )
  })

  it('refuses authorities that are no certificates, before anybody trusts in them', () => {
    const { key: ca } = database.certificate
    expect(() => connectorTo([serverAt(1, { mode: 'verify-full', ca })])).toThrow(
      'the certificates for 127.0.0.1:1 cannot be used',
    )
  })
})

describe('a server with', () => {
  /** TLS with any certificate in front of the real server's plain port. */
  async function inFront(certificate: Pair, more: tls.TlsOptions = {}): Promise<number> {
    return forward((client) => {
      client.once('data', () => {
        client.write('S')
        const inside = new tls.TLSSocket(client, {
          ...more,
          isServer: true,
          cert: certificate.certificate,
          key: certificate.key,
        })
        join(inside, net.connect(database.port, '127.0.0.1'))
      })
    })
  }

  it('an expired certificate is refused where certificates are looked at', async () => {
    const port = await inFront(
      await certify('127.0.0.1', {
        by: database.authority,
        names: ['127.0.0.1'],
        notBefore: new Date(Date.now() - 3 * 86_400_000),
        notAfter: new Date(Date.now() - 86_400_000),
      }),
    )
    const ca = database.authority.certificate
    for (const mode of ['verify-ca', 'verify-full'] as const) {
      expect(await refusal({ mode, ca }, { port })).toEqual([
        unreachable,
        expect.stringContaining('certificate has expired'),
      ])
    }
    expect(await protocolOf({ mode: 'require' }, { port })).toBe('TLSv1.3')
  })

  it('TLS 1.2 is taken, and with TLS 1.1 is not', async () => {
    const certificate = await certify('127.0.0.1', { by: database.authority, names: ['127.0.0.1'] })
    const ca = database.authority.certificate
    const new12 = await inFront(certificate, { maxVersion: 'TLSv1.2' })
    expect(await protocolOf({ mode: 'verify-full', ca }, { port: new12 })).toBe('TLSv1.2')
    const old = await inFront(certificate, {
      minVersion: 'TLSv1.1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    })
    expect(await refusal({ mode: 'verify-full', ca }, { port: old })).toEqual([
      unreachable,
      expect.stringContaining('no TLS (tls.mode is verify-full)'),
    ])
  })

  it('no TLS is refused, and the log says what to write', async () => {
    const port = await forward((client) => client.once('data', () => client.write('N')))
    for (const mode of ['require', 'verify-ca', 'verify-full'] as const) {
      expect(await refusal({ mode }, { port })).toEqual([
        unreachable,
        `127.0.0.1:${port} does not offer TLS, and tls.mode is ${mode}; to do without, write tls: { mode: disable }`,
      ])
    }
  })

  it('no TLS is taken by prefer', async () => {
    const port = await forward((client) => {
      client.once('data', (first: Buffer) => {
        if (first.equals(encodeSslRequest())) client.write('N')
        else {
          const server = net.connect(database.port, '127.0.0.1')
          server.write(first)
          join(client, server)
        }
      })
    })
    expect(await protocolOf({ mode: 'prefer' }, { port })).toBeNull()
  })

  it('bytes behind its S is given up: they were not encrypted', async () => {
    const port = await forward((client) => {
      client.once('data', () =>
        client.write(
          Buffer.concat([Buffer.from('S'), encodeBackend({ type: 'authenticationOk' })]),
        ),
      )
    })
    expect(await refusal({ mode: 'require' }, { port })).toEqual([
      unreachable,
      `127.0.0.1:${port} sent unencrypted bytes behind its answer to SSLRequest`,
    ])
  })

  it('an error in place of S or N is not passed on: anybody could have written it', async () => {
    const port = await forward((client) => {
      client.once('data', () =>
        client.end(
          encodeBackend({
            type: 'errorResponse',
            fields: { S: 'FATAL', C: '28P01', M: 'send me your password by mail' },
          }),
        ),
      )
    })
    const said = await refusal({ mode: 'require' }, { port })
    expect(said.join()).not.toContain('mail')
  })
})

describe('channel binding', () => {
  /** Opens the TLS of both sides up, with a certificate that the client may well trust. */
  async function between(edit: (chunk: Buffer) => Buffer = (chunk) => chunk): Promise<number> {
    const certificate = await certify('127.0.0.1', { by: database.authority, names: ['127.0.0.1'] })
    const open = async (client: net.Socket): Promise<void> => {
      const raw = net.connect(database.port, '127.0.0.1')
      raw.on('error', () => client.destroy())
      raw.write(encodeSslRequest())
      await once(raw, 'data')
      const server = tls.connect({ socket: raw, rejectUnauthorized: false })
      client.write('S')
      const inside = new tls.TLSSocket(client, {
        isServer: true,
        cert: certificate.certificate,
        key: certificate.key,
      })
      inside.on('error', () => server.destroy()).on('close', () => server.destroy())
      server.on('error', () => inside.destroy()).on('close', () => inside.destroy())
      inside.pipe(server)
      server.on('data', (chunk: Buffer) => inside.write(edit(chunk)))
    }
    return forward((client) => client.once('data', () => void open(client)))
  }

  it('is used where both sides can, and then may be required', async () => {
    const terms = { channelBinding: 'require' } as const
    expect(await protocolOf({ mode: 'require' }, { terms })).toBe('TLSv1.3')
  })

  it.each(['sha384', 'sha512'])('follows the hash of the certificate: %s', async (algorithm) => {
    const other = await certify('127.0.0.1', {
      by: database.authority,
      names: ['127.0.0.1'],
      algorithm,
    })
    await database.present(other)
    const wanted = new X509Certificate(other.certificate).fingerprint256
    for (let tries = 0; ; tries++) {
      const { socket } = await logIn({ mode: 'require' }, { terms: { channelBinding: 'require' } })
      if (!(socket instanceof tls.TLSSocket)) throw new Error('no TLS')
      if (socket.getPeerCertificate().fingerprint256 === wanted) break
      if (tries > 50) throw new Error('the server still shows its old certificate')
      socket.destroy()
      await sleep(50)
    }
    await database.present(database.certificate)
  })

  it('notices somebody between whose certificate is trusted', async () => {
    const port = await between()
    const ca = database.authority.certificate
    const login = { port }
    expect(
      await protocolOf(
        { mode: 'verify-full', ca },
        { ...login, terms: { channelBinding: 'disable' } },
      ),
    ).toBe('TLSv1.3')
    const [heard, logged] = await refusal({ mode: 'verify-full', ca }, login)
    expect(heard).toBe('08006 could not log in to the target database')
    expect(logged).toContain('SCRAM channel binding check failed')
  })

  it('notices somebody between who takes it out of the offer', async () => {
    const port = await between((chunk) =>
      chunk.includes('SCRAM-SHA-256-PLUS')
        ? encodeBackend({ type: 'authenticationSASL', mechanisms: ['SCRAM-SHA-256'] })
        : chunk,
    )
    expect((await refusal({ mode: 'require' }, { port }))[1]).toContain('channel binding')
    expect(
      (await refusal({ mode: 'require' }, { port, terms: { channelBinding: 'require' } }))[1],
    ).toContain('offers no SCRAM that is bound to TLS')
  })

  it('that is required refuses every login without it', async () => {
    const terms = { channelBinding: 'require' } as const
    for (const user of ['hashed', 'trusted']) {
      expect((await refusal({ mode: 'require' }, { user, terms }))[1]).toContain(
        'channelBinding requires',
      )
    }
  })
})

describe('a method of authentication', () => {
  it.each([
    ['SCRAM', 'scram'],
    ['MD5', 'hashed'],
    ['nothing at all', 'trusted'],
  ])('that is %s is gone along with', async (_, user) => {
    expect(await protocolOf({ mode: 'disable' }, { user })).toBeNull()
    expect(await protocolOf({ mode: 'require' }, { user })).toBe('TLSv1.3')
  })

  it('that is the password in the clear is gone along with where it is named', async () => {
    const login = { user: 'open' }
    expect(await refusal({ mode: 'require' }, login)).toEqual([
      '08006 could not log in to the target database',
      expect.stringContaining('asks for password, which requireAuth does not allow'),
    ])
    const terms = { requireAuth: ['password'] } as const
    expect(await protocolOf({ mode: 'require' }, { ...login, terms })).toBe('TLSv1.3')
    expect(await protocolOf({ mode: 'disable' }, { ...login, terms })).toBeNull()
  })

  it('that is not named is refused', async () => {
    for (const user of ['hashed', 'trusted']) {
      const [, logged] = await refusal(
        { mode: 'require' },
        { user, terms: { requireAuth: ['scram-sha-256'] } },
      )
      expect(logged).toContain('which requireAuth does not allow')
    }
  })
})
