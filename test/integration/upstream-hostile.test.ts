// Servers that are no PostgreSQL, or mean us harm: every login on them ends, soon and with a sentence, and
// nothing that they say comes to the client.

import type { Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { Failure } from '../../src/errors.ts'
import { Secret } from '../../src/secret.ts'
import type { Upstream } from '../../src/upstream/open.ts'
import { encodeBackend } from '../../src/wire/backend-encoder.ts'
import { type Forwarder, listenWith } from '../support/forwarder.ts'
import { connectorTo, serverAt } from '../support/upstream.ts'

const servers: Forwarder[] = []

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close()
})

const ok = encodeBackend({ type: 'authenticationOk' })
const ready = encodeBackend({ type: 'readyForQuery', status: 'I' })
const notice = encodeBackend({ type: 'noticeResponse', fields: { M: 'x'.repeat(900) } })

/** Logs in to a server that reads the startup packet and then does this. */
async function logIn(behave: (client: Socket) => void): Promise<Upstream> {
  const server = await listenWith((client) => client.once('data', () => behave(client)))
  servers.push(server)
  return connectorTo([serverAt(server.port)], { connectTimeoutMs: 1_000 }).connect({
    target: 'shop',
    parameters: new Map([['user', 'pgw_lease']]),
    password: new Secret('hidden'),
  })
}

async function refusal(behave: (client: Socket) => void): Promise<Failure> {
  const error: unknown = await logIn(behave).catch((cause: unknown) => cause)
  if (error instanceof Failure) return error
  throw error
}

function frame(type: string, length: number, body: Buffer = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(5)
  header.write(type, 'latin1')
  header.writeInt32BE(length, 1)
  return Buffer.concat([header, body])
}

/** Says it again as long as it is taken. */
function endlessly(client: Socket, bytes: Buffer): void {
  const more = (): void => {
    while (client.write(bytes)) if (client.destroyed) return
    client.once('drain', more)
  }
  more()
}

describe('a login ends with 08006 at a server that', () => {
  it.each([
    ['speaks HTTP', 'HTTP/1.1 400 Bad Request\r\n\r\n', 'invalid message length'],
    ['sends a length that is none', frame('R', 3), 'invalid message length 3'],
    ['sends a negative length', frame('R', -1), 'invalid message length -1'],
    ['announces a gigabyte', frame('S', 2 ** 30), 'invalid message length from the target'],
    ['sends a message that is too short', frame('R', 5, Buffer.alloc(1)), 'invalid message format'],
    ['sends a type that there is none of', frame('@', 4), 'invalid backend message type 64'],
    ['greets before it has let us in', ready, 'sent readyForQuery before it had let us in'],
    [
      'sends rows',
      Buffer.concat([ok, encodeBackend({ type: 'dataRow', values: [] })]),
      'sent dataRow',
    ],
    ['begins a COPY', Buffer.concat([ok, frame('W', 7, Buffer.alloc(3))]), 'sent copyBothResponse'],
    [
      'asks for the password when it has let us in',
      Buffer.concat([ok, encodeBackend({ type: 'authenticationCleartextPassword' })]),
      'sent authenticationCleartextPassword during the login',
    ],
    [
      'asks for the password at once',
      encodeBackend({ type: 'authenticationCleartextPassword' }),
      'asks for password, which requireAuth does not allow',
    ],
    [
      'asks for what nobody knows',
      encodeBackend({ type: 'authenticationOther', code: 4711 }),
      '4711',
    ],
  ])('%s', async (_, bytes, logged) => {
    const failure = await refusal((client) => client.write(bytes))
    expect(failure).toMatchObject({
      sqlstate: '08006',
      message: 'could not log in to the target database',
      detail: undefined,
    })
    expect(String(failure.cause)).toContain(logged)
  })

  it.each([
    ['never stops sending notices', notice],
    [
      'never stops sending settings',
      encodeBackend({ type: 'parameterStatus', name: 'a', value: 'b' }),
    ],
    [
      'never stops sending versions',
      encodeBackend({ type: 'negotiateProtocolVersion', version: 0x30000, unrecognised: [] }),
    ],
  ])('%s', async (_, bytes) => {
    const failure = await refusal((client) => {
      client.write(ok)
      endlessly(client, Buffer.concat(Array.from({ length: 500 }, () => bytes)))
    })
    expect(failure.sqlstate).toBe('08006')
    expect(String(failure.cause)).toMatch(
      /sent more than \d+ (messages|bytes of settings and notices)/,
    )
  })
})

describe('a login ends with 08001 at a server that', () => {
  it.each([
    ['says nothing', () => undefined, 'took longer than 1000 ms'],
    ['hangs up', (client: Socket) => client.end(), 'the server closed the connection'],
    ['breaks the connection', (client: Socket) => client.resetAndDestroy(), 'ECONNRESET'],
    ['hangs up in the middle', (client: Socket) => client.end(ok.subarray(0, 7)), 'closed'],
    [
      'never stops being busy',
      (client: Socket) => {
        client.write(frame('N', 60_000))
        const timer = setInterval(() => client.write('x'), 20)
        client.on('close', () => clearInterval(timer))
      },
      'took longer than 1000 ms',
    ],
  ])('%s', async (_, behave: (client: Socket) => void, logged) => {
    const failure = await refusal(behave)
    expect(failure).toMatchObject({
      sqlstate: '08001',
      message: 'could not connect to the target database',
    })
    expect(String(failure.cause)).toContain(logged)
  })
})

describe('what a server says of a login', () => {
  it.each([
    ['28P01', '08006'],
    ['28000', '08006'],
    ['0A000', '08006'],
    ['53300', '53300'],
    ['57P03', '57P03'],
    ['3D000', '3D000'],
  ])('is told to the log, and not to the client: %s becomes %s', async (code, becomes) => {
    const text = 'password authentication failed for user "pgw_lease"'
    const error = encodeBackend({ type: 'errorResponse', fields: { S: 'FATAL', C: code, M: text } })
    const failure = await refusal((client) => client.end(error))
    expect(failure.sqlstate).toBe(becomes)
    expect(`${failure.message} ${failure.detail} ${failure.hint}`).not.toMatch(
      /pgw_lease|127\.0\.0\.1|hidden/,
    )
    expect(String(failure.cause)).toContain(`answers ${code}: ${text}`)
  })

  it('may be nothing at all', async () => {
    const failure = await refusal((client) => client.end(frame('E', 5, Buffer.alloc(1))))
    expect(failure.sqlstate).toBe('08006')
  })
})

describe('a greeting', () => {
  it('may have notices, settings and versions in any number before it is over', async () => {
    const version = encodeBackend({
      type: 'negotiateProtocolVersion',
      version: 0x30000,
      unrecognised: ['_pq_.x'],
    })
    const setting = encodeBackend({ type: 'parameterStatus', name: 'TimeZone', value: 'UTC' })
    const upstream = await logIn((client) => {
      const all = [version, version, ok, notice, setting, notice, ready, Buffer.from('behind')]
      // In pieces that have nothing to do with where a message ends.
      const bytes = Buffer.concat(all)
      for (let at = 0; at < bytes.length; at += 7) client.write(bytes.subarray(at, at + 7))
    })
    expect(upstream.greeting).toEqual(Buffer.concat([notice, setting, notice]))
    expect(upstream.reported.get('timezone')).toBe('UTC')
    expect('behind'.startsWith(upstream.rest.toString())).toBe(true)
    upstream.socket.destroy()
  })

  it('without a cancel key is one of a session that cannot be cancelled', async () => {
    const upstream = await logIn((client) => client.write(Buffer.concat([ok, ready])))
    expect(upstream.cancelKey).toHaveLength(0)
    upstream.socket.destroy()
  })
})
