// From the first byte to the startup packet, as strangers may begin it: what gets through, what is
// known of it then, and that nothing else hangs or breaks anything.

import { once } from 'node:events'
import net, { type AddressInfo, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import tls, { type ConnectionOptions, type TLSSocket } from 'node:tls'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { Intake } from '../../src/proxy/intake.ts'
import { Line } from '../../src/proxy/line.ts'
import { asFailure } from '../../src/proxy/login.ts'
import { type Opening, readStartup } from '../../src/proxy/startup.ts'
import { TlsDoor } from '../../src/proxy/tls.ts'
import { Secret } from '../../src/secret.ts'
import { errorResponse } from '../../src/wire/backend-encoder.ts'
import {
  encodeCancelRequest,
  encodeGssEncRequest,
  encodeSslRequest,
  encodeStartup,
} from '../../src/wire/startup.ts'
import { certify, type Pair } from '../support/certificates.ts'

const startup = encodeStartup([['user', 'x']])

let authority: Pair
let server: Pair
let shown: { chain: string; key: Secret; clientCa: string | undefined }
/** By the test that runs. */
const dialled: Socket[] = []
/** With a certificate, and without. */
let secured: Doorstep
let plain: Doorstep

/** A listener that does nothing but read what opens a connection. */
class Doorstep {
  readonly server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true })
  opened: Opening[] = []
  failures: string[] = []
  silent = 0
  #left = 0

  constructor(door: TlsDoor | undefined) {
    this.server.on('connection', (raw) => {
      const line = new Line(raw)
      readStartup(line, new Intake(raw), door)
        .then((opening) => {
          if (opening === undefined) this.silent++
          else this.opened.push(opening)
          line.end()
        })
        .catch((error: unknown) => {
          this.failures.push(asFailure(error).message)
          line.end(errorResponse(asFailure(error), 'FATAL'))
        })
        .finally(() => this.#left++)
    })
  }

  get port(): number {
    const address = this.server.address()
    return isInternet(address) ? address.port : 0
  }

  /** How many are open. */
  async connections(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.server.getConnections((error, count) => {
        if (error === null) resolve(count)
        else reject(error)
      })
    })
  }

  forget(): void {
    this.opened = []
    this.failures = []
    this.silent = 0
    this.#left = 0
  }

  /** Until so many connections have been dealt with. */
  async left(count: number): Promise<void> {
    const deadline = Date.now() + 5_000
    while (this.#left < count) {
      if (Date.now() > deadline) throw new Error(`only ${this.#left} of ${count} are over`)
      await sleep(5)
    }
  }
}

function isInternet(address: AddressInfo | string | null): address is AddressInfo {
  return typeof address === 'object' && address !== null
}

beforeAll(async () => {
  authority = await certify('authority', { isAuthority: true })
  server = await certify('server', { by: authority })
  shown = { chain: server.certificate, key: new Secret(server.key), clientCa: undefined }
  secured = new Doorstep(
    new TlsDoor({
      get current() {
        return shown
      },
    }),
  )
  plain = new Doorstep(undefined)
  for (const doorstep of [secured, plain]) {
    doorstep.server.listen(0, '127.0.0.1')
    await once(doorstep.server, 'listening')
  }
})
beforeEach(() => {
  secured.forget()
  plain.forget()
})
afterEach(() => {
  // The TLS ones first: Node 20 crashes when a client's is used after the raw one under it is gone.
  for (const socket of dialled.splice(0).reverse()) socket.destroy()
})
afterAll(() => {
  secured.server.close()
  plain.server.close()
})

async function dial({ port }: Doorstep): Promise<Socket> {
  const socket = net.connect({ host: '127.0.0.1', port, allowHalfOpen: true })
  dialled.push(socket)
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  return socket
}

/** The TLS socket, or the error that the handshake ended with. */
async function encrypted(options: ConnectionOptions): Promise<TLSSocket> {
  const socket = tls.connect({ ca: authority.certificate, servername: 'localhost', ...options })
  dialled.push(socket)
  await new Promise((resolve, reject) => {
    socket.once('secureConnect', resolve)
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('closed')))
  })
  socket.on('error', () => undefined)
  return socket
}

const direct = (options: ConnectionOptions = {}): Promise<TLSSocket> =>
  encrypted({ port: secured.port, ALPNProtocols: ['postgresql'], ...options })

async function asked(options: ConnectionOptions = {}, before?: Buffer): Promise<TLSSocket> {
  const socket = await dial(secured)
  if (before !== undefined) {
    socket.write(before)
    expect(await nextBytes(socket)).toEqual(Buffer.from('N'))
  }
  socket.write(encodeSslRequest())
  expect(await nextBytes(socket)).toEqual(Buffer.from('S'))
  return encrypted({ socket, ...options })
}

async function nextBytes(socket: Socket): Promise<Buffer> {
  const heard: readonly unknown[] = await once(socket, 'data')
  const [bytes] = heard
  return Buffer.isBuffer(bytes) ? bytes : Buffer.alloc(0)
}

/** Until the other side has ended the connection, in whatever way. */
async function over(socket: Socket): Promise<void> {
  if (socket.readableEnded || socket.destroyed) return
  await new Promise<void>((resolve) => {
    for (const event of ['end', 'close', 'error']) socket.once(event, () => resolve())
  })
}

/** All that is said until the end. */
async function rest(socket: Socket): Promise<string> {
  let said = ''
  socket.on('data', (bytes: Buffer) => {
    said += bytes.toString('latin1')
  })
  await over(socket)
  return said
}

describe('TLS that the client asked for', () => {
  it('leads to a startup packet, and the server name and certificate of it are known', async () => {
    const socket = await asked()
    socket.write(startup)
    await secured.left(1)
    const [opening] = secured.opened
    expect(opening?.packet.type).toBe('startup')
    expect(opening?.tls).toMatchObject({
      serverName: 'localhost',
      client: { type: 'none' },
    })
    expect(opening?.tls?.certificate).toEqual(socket.getPeerX509Certificate()?.raw)
  })

  it('may come after GSSENCRequest, and may offer ALPN', async () => {
    const socket = await asked({ ALPNProtocols: ['postgresql'] }, encodeGssEncRequest())
    socket.write(startup)
    await secured.left(1)
    expect(secured.opened).toHaveLength(1)
  })

  it('carries a cancel request', async () => {
    const socket = await asked({ servername: '' })
    socket.write(encodeCancelRequest(1, Buffer.alloc(4)))
    await secured.left(1)
    expect(secured.opened).toMatchObject([
      { packet: { type: 'cancelRequest' }, tls: { serverName: undefined } },
    ])
  })

  it.each([
    ['SSLRequest', encodeSslRequest()],
    ['GSSENCRequest', encodeGssEncRequest()],
  ])('is not asked for again inside: %s', async (_, request) => {
    const socket = await asked()
    socket.write(request)
    expect(await rest(socket)).toContain('08P01')
    expect(secured.failures).toEqual([
      'encryption was requested on a connection that is encrypted already',
    ])
  })

  it('is refused to a client with another ALPN protocol', async () => {
    await expect(asked({ ALPNProtocols: ['h2'] })).rejects.toThrow(/no application protocol/)
    await secured.left(1)
    expect(secured.opened).toEqual([])
  })
})

describe('direct TLS', () => {
  it('leads to a startup packet', async () => {
    const socket = await direct()
    expect(socket.alpnProtocol).toBe('postgresql')
    socket.write(startup)
    await secured.left(1)
    expect(secured.opened).toMatchObject([{ tls: { serverName: 'localhost' } }])
  })

  it('is closed without a word to a client that does not say that it means PostgreSQL', async () => {
    const socket = await direct({ ALPNProtocols: undefined })
    socket.write('GET / HTTP/1.1\r\n\r\n')
    expect(await rest(socket)).toBe('')
    expect(secured.failures).toEqual(['direct TLS without the ALPN protocol "postgresql"'])
  })

  it('is refused with another ALPN protocol', async () => {
    await expect(direct({ ALPNProtocols: ['http/1.1'] })).rejects.toThrow()
  })

  it('is not asked for again inside', async () => {
    const socket = await direct()
    socket.write(encodeSslRequest())
    expect(await rest(socket)).toContain('08P01')
  })

  it('is closed at once, and cleanly, where there is no certificate', async () => {
    const begun = Date.now()
    await expect(direct({ port: plain.port })).rejects.toMatchObject({ code: 'ECONNRESET' })
    expect(Date.now() - begun).toBeLessThan(1_000)
    expect(plain.failures).toEqual(['direct TLS on a listener that has no certificate'])
    // ECONNRESET is Node's name for an end in the handshake; the end itself is an orderly one.
    const socket = await dial(plain)
    socket.write(Buffer.from([0x16, 3, 1, 0, 5]))
    await once(socket, 'end')
  })

  it('is not possible behind a GSSENCRequest', async () => {
    const socket = await dial(secured)
    socket.write(encodeGssEncRequest())
    expect(await nextBytes(socket)).toEqual(Buffer.from('N'))
    socket.write(Buffer.from([0x16, 3, 1, 0, 5]))
    expect(await rest(socket)).toContain('08P01')
  })
})

describe('the ciphers', () => {
  it.each([
    ['TLSv1', 'DEFAULT@SECLEVEL=0'],
    ['TLSv1.1', 'DEFAULT@SECLEVEL=0'],
  ] as const)('are none of %s', async (version, ciphers) => {
    await expect(asked({ minVersion: version, maxVersion: version, ciphers })).rejects.toThrow(
      /protocol version/,
    )
    await secured.left(1)
    expect(secured.failures[0]).toMatch(/^TLS handshake failed: .*unsupported protocol/)
  })

  it('are those of TLS 1.2 with forward secrecy and authenticated encryption', async () => {
    const two = { maxVersion: 'TLSv1.2' } as const
    const socket = await asked(two)
    expect(socket.getCipher().name).toMatch(/^ECDHE-ECDSA-(AES(128|256)-GCM|CHACHA20)/)
    for (const ciphers of ['ECDHE-ECDSA-AES128-SHA', 'AES128-GCM-SHA256', 'NULL@SECLEVEL=0']) {
      await expect(asked({ ...two, ciphers })).rejects.toThrow(/handshake failure|no cipher/i)
    }
  })

  it('are not negotiated again on the way', async () => {
    const socket = await asked({ maxVersion: 'TLSv1.2' })
    const refused = await new Promise((resolve) => {
      socket.renegotiate({}, (error) => resolve(error))
      socket.on('error', resolve)
      socket.on('close', () => resolve('closed'))
    })
    expect(refused).toBeTruthy()
  })
})

describe('a session of TLS', () => {
  it.each(['TLSv1.2', 'TLSv1.3'] as const)('of %s is not resumed', async (maxVersion) => {
    let session: Buffer | undefined
    const first = await asked({ maxVersion })
    first.on('session', (given: Buffer) => {
      session = given
    })
    first.write(startup)
    first.resume()
    await over(first)
    const again = await asked({ maxVersion, session: session ?? first.getSession() })
    expect(again.isSessionReused()).toBe(false)
  })
})

describe('a renewed certificate', () => {
  it('is shown from the next handshake on, with its chain, while older connections live', async () => {
    const older = await asked()
    const before = shown
    const between = await certify('between', { by: authority, isAuthority: true })
    const renewed = await certify('renewed', { by: between })
    shown = {
      ...shown,
      chain: `${renewed.certificate}\n${between.certificate}`,
      key: new Secret(renewed.key),
    }
    try {
      const newer = await asked()
      expect(newer.getPeerX509Certificate()?.subject).toBe('CN=renewed')
      expect(newer.authorized).toBe(true)
      older.write(startup)
      newer.write(startup)
      await secured.left(2)
      const own = new Set(
        secured.opened.map(({ tls: known }) => known?.certificate?.toString('hex')),
      )
      expect(own.size).toBe(2)
    } finally {
      shown = before
    }
  })
})

describe('a connection that goes wrong', () => {
  const breaks = {
    'says nothing': () => Buffer.alloc(0),
    'sends half a ClientHello': () => Buffer.from([0x16, 3, 1, 1, 0, 1, 0]),
    'sends garbage that begins like TLS': () =>
      Buffer.concat([Buffer.from([0x16]), Buffer.alloc(600, 0xff)]),
    'asks for TLS and goes': () => encodeSslRequest(),
  }

  it.each(Object.entries(breaks))('that %s, reset, ends', async (_, bytes) => {
    const socket = await dial(secured)
    if (bytes().length > 0) socket.write(bytes())
    await sleep(20)
    socket.resetAndDestroy()
    await secured.left(1)
    expect(secured.opened).toEqual([])
  })

  it.each(Object.entries(breaks))('that %s, half closed, ends', async (_, bytes) => {
    const socket = await dial(secured)
    socket.end(bytes())
    socket.resume()
    await once(socket, 'end')
    await secured.left(1)
    socket.destroy()
  })

  it('that answers S with plaintext, ends', async () => {
    const socket = await dial(secured)
    socket.write(encodeSslRequest())
    expect(await nextBytes(socket)).toEqual(Buffer.from('S'))
    socket.write(startup)
    await over(socket.resume())
    await secured.left(1)
    expect(secured.failures[0]).toMatch(/^TLS handshake failed/)
  })

  it('that speaks HTTP, hears what this port is for', async () => {
    const socket = await dial(secured)
    socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
    expect(await rest(socket)).toContain('This port speaks the PostgreSQL protocol')
  })

  it('that has bytes waiting behind its SSLRequest, is refused before any handshake', async () => {
    const socket = await dial(secured)
    socket.write(Buffer.concat([encodeSslRequest(), startup]))
    expect(await rest(socket)).toContain('received unencrypted data after an encryption request')
  })

  it('that breaks TLS once it is established, is closed', async () => {
    const raw = await dial(secured)
    raw.write(encodeSslRequest())
    await nextBytes(raw)
    const socket = await encrypted({ socket: raw })
    socket.resume()
    raw.write(Buffer.from([0x17, 3, 3, 0, 40, ...Buffer.alloc(40, 7)]))
    await secured.left(1)
    await over(socket)
    raw.destroy()
    expect(secured.opened).toEqual([])
  })

  it('in hundreds of ways, leaves nothing behind', async () => {
    const hello = await clientHello()
    const random = randomFrom(20_261_121)
    const attempts = Array.from({ length: 300 }, async () => {
      const bytes = Buffer.from(hello.subarray(0, 1 + random(hello.length)))
      for (let changes = random(4); changes > 0; changes--)
        bytes[random(bytes.length)] = random(256)
      const socket = await dial(secured)
      socket.resume()
      if (random(2) === 0) socket.write(encodeSslRequest())
      const cut = random(bytes.length)
      await sleep(random(20))
      socket.write(bytes.subarray(0, cut))
      await sleep(random(20))
      socket.write(bytes.subarray(cut))
      await sleep(random(20))
      if (random(2) === 0) socket.resetAndDestroy()
      else socket.end()
      await over(socket)
      socket.destroy()
    })
    await Promise.all(attempts)
    await secured.left(attempts.length)
    expect(secured.opened).toEqual([])
    const socket = await direct()
    socket.write(startup)
    await secured.left(attempts.length + 1)
    expect(secured.opened).toHaveLength(1)
    await over(socket.resume())
    socket.destroy()
    await expect.poll(() => secured.connections(), { timeout: 7_000 }).toBe(0)
  })
})

/** What Node's own client begins with. */
async function clientHello(): Promise<Buffer> {
  const listener = net.createServer().listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const address = listener.address()
  const client = tls.connect({
    port: isInternet(address) ? address.port : 0,
    ALPNProtocols: ['postgresql'],
  })
  client.on('error', () => undefined)
  const accepted: readonly unknown[] = await once(listener, 'connection')
  const [socket] = accepted
  if (!(socket instanceof net.Socket)) throw new Error('no connection')
  const hello = await nextBytes(socket)
  client.destroy()
  socket.destroy()
  listener.close()
  return hello
}

/** Numbers below a bound, the same in each run. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}
