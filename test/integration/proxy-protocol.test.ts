// Behind load balancers: whose a connection is, and what becomes of those that say it badly or may not say it.

import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import { encodeCancelRequest, encodeStartup } from '../../src/wire/startup.ts'
import { sqlstates } from '../support/answers.ts'
import { eventually } from '../support/eventually.ts'
import { Haproxy } from '../support/haproxy.ts'
import { freePort } from '../support/ports.ts'
import { type NamedClient, proxyHeader, proxyLine } from '../support/proxy-header.ts'
import { findHaproxy } from '../support/psql.ts'
import { counted } from '../support/scrape.ts'
import { Warden } from '../support/warden.ts'
import { WireClient } from '../support/wire-client.ts'

const program = findHaproxy()
if (program === undefined) console.warn('NOT RUN: HAProxy in front of pgwarden needs haproxy')

/** Behind a balancer at 127.0.0.1; from elsewhere one comes as oneself. */
let port: number
let warden: Warden
let login: Awaited<ReturnType<Warden['login']>>
const open: WireClient[] = []

beforeAll(async () => {
  port = await freePort()
  warden = await Warden.start(inject('adminUrl'), {
    alsoListen: [
      [
        'address: 127.0.0.1',
        `port: ${port}`,
        'startupTimeout: 1s',
        'proxyProtocol: { from: [127.0.0.1/32] }',
      ],
    ],
  })
  login = await warden.login('read_only')
})
afterAll(() => warden.stop())
afterEach(() => {
  for (const client of open.splice(0)) client.close()
})

async function dial(at: number, from?: string): Promise<WireClient> {
  const client = await WireClient.dial(at, from)
  open.push(client)
  return client
}

/** A balancer's connection that has said this so far. */
async function introduced(...said: readonly Buffer[]): Promise<WireClient> {
  const client = await dial(port)
  client.socket.write(Buffer.concat(said))
  return client
}

async function clients(): Promise<readonly unknown[]> {
  return (await warden.journal('login')).map(({ client }) => client)
}

const errors = (): Promise<number> => counted(warden, 'pgwarden_proxy_protocol_errors_total')
const silent = (): Promise<number> =>
  counted(warden, 'pgwarden_connections_total', 'result="silent"')

const near = (address: string, from = 40_000): NamedClient => ({
  ...{ family: 'ipv4', address, port: from },
})
const far: NamedClient = { family: 'ipv4', address: '192.0.2.7', port: 40_000 }
const far6: NamedClient = { family: 'ipv6', address: '2001:db8::7', port: 40_000 }

describe.skipIf(program === undefined)('behind HAProxy', () => {
  const proxies: Haproxy[] = []
  afterAll(async () => {
    for (const proxy of proxies.splice(0)) await proxy.stop()
  })

  async function balanced(bind: string, ...servers: readonly string[]): Promise<number> {
    const front = await freePort()
    const lines = [
      'listen postgres',
      `bind ${bind}:${front}`,
      `bind 127.0.0.1:${front}`,
      ...servers.map((how, at) => `server warden${at} 127.0.0.1:${port} ${how}`),
    ]
    proxies.push(await Haproxy.start(program ?? '', front, `${lines.join('\n    ')}\n`))
    return front
  }

  it.each([
    ['version 1', 'send-proxy', '127.0.0.2'],
    ['version 2', 'send-proxy-v2', '127.0.0.3'],
    ['version 2 with a checksum', 'send-proxy-v2 proxy-v2-options crc32c,unique-id', '127.0.0.4'],
    ['version 1, over IPv6', 'send-proxy', '::1'],
    ['version 2, over IPv6', 'send-proxy-v2', '::1'],
  ])('the journal has the client’s own address and port: %s', async (_, how, from) => {
    const bind = from === '::1' ? '[::1]' : '127.0.0.8'
    const front = await balanced(bind, how)
    const client = await dial(front, from)
    await client.logsIn(login)
    expect(await clients()).toContain(`${from}:${client.localPort}`)
  })

  it('its health checks are no errors', async () => {
    const before = [await silent(), await errors()] as const
    const checked = 'check inter 50ms'
    await balanced('127.0.0.8', `send-proxy ${checked}`, `send-proxy-v2 ${checked}`)
    await eventually(async () => (await silent()) > before[0] + 3)
    expect(await errors()).toBe(before[1])
  })
})

describe('the address that a header names', () => {
  it('counts for who may come without TLS, whatever it says of the client’s TLS', async () => {
    const ssl = Buffer.from('2000080700000000210000', 'hex')
    for (const header of [proxyLine(far), proxyLine(far6), proxyHeader(far, { extensions: ssl })]) {
      const client = await introduced(header)
      client.startup({ user: 'x' })
      const heard = await client.hearsTheEnd()
      expect(heard).toMatchObject([{ fields: { M: 'connection requires TLS (sslmode=require)' } }])
    }
  })

  it('is the one that a one-time token is bound to', async () => {
    const once = await warden.login('read_only', { kind: 'one-time' })
    const first = await introduced(proxyLine(near('127.0.0.5')))
    await first.logsIn(once)
    const again = await introduced(proxyHeader(near('127.0.0.5')))
    await again.logsIn(once)
    const elsewhere = await introduced(proxyHeader(near('127.0.0.6')))
    await expect(elsewhere.logsIn(once)).rejects.toThrow('28P01')
  })

  it('is the balancer’s own where the header names none', async () => {
    for (const header of [
      Buffer.from('PROXY UNKNOWN\r\n'),
      proxyHeader(undefined, { command: 0x20 }),
    ]) {
      const client = await introduced(header)
      await client.logsIn(login)
      expect(await clients()).toContain(`127.0.0.1:${client.localPort}`)
    }
  })

  it('is taken at whatever pace it comes, and with whatever comes behind it', async () => {
    const slow = await dial(port)
    for (const byte of proxyHeader(near('127.0.0.9', 1))) {
      slow.socket.write(Buffer.from([byte]))
      await sleep(2)
    }
    await slow.logsIn(login)
    const startup = encodeStartup(Object.entries({ user: login.user, database: 'shop' }))
    const quick = await introduced(proxyLine(near('127.0.0.9', 2)), startup)
    await quick.proves(login.password)
    await quick.hears('readyForQuery')
    const { key } = quick
    if (key === undefined) throw new Error('the session has no key')
    quick.query('SELECT pg_sleep(60)')
    await sleep(100)
    await introduced(proxyLine(near('127.0.0.9')), encodeCancelRequest(key.processId, key.secret))
    expect(sqlstates(await quick.hears('readyForQuery'))).toEqual(['57014'])
    expect(await clients()).toEqual(expect.arrayContaining(['127.0.0.9:1', '127.0.0.9:2']))
  })
})

describe('from anywhere else', () => {
  it('one comes as oneself', async () => {
    const client = await dial(port, '127.0.0.2')
    await client.logsIn(login)
    expect(await clients()).toContain(`127.0.0.2:${client.localPort}`)
  })

  it.each([
    ['version 1', proxyLine(near('127.0.0.1'))],
    ['version 2', proxyHeader(near('127.0.0.1'))],
  ])('nobody names another address: %s', async (_, header) => {
    const before = await errors()
    for (const at of [port, warden.port]) {
      const client = await dial(at, '127.0.0.2')
      client.socket.write(header)
      expect(sqlstates(await client.hearsTheEnd())).toEqual(['08P01'])
    }
    expect(await errors()).toBe(before)
  })
})

describe('a balancer’s connection that does not begin with a header', () => {
  let before: number
  beforeEach(async () => {
    before = await errors()
  })

  const line = proxyLine(near('127.0.0.5'))
  it.each([
    ['says at once who it is', encodeStartup([['user', 'x']])],
    ['asks for TLS', Buffer.from('0000000804d2162f', 'hex')],
    ['begins TLS', Buffer.from('160301', 'hex')],
    ['says anything', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['announces 64 KiB', proxyHeader(undefined, { body: Buffer.alloc(65_535) }).subarray(0, 16)],
    ['has a line without an end', Buffer.from(`PROXY UNKNOWN ${'x'.repeat(200)}`)],
    ['names no address', Buffer.from('PROXY TCP4 999.1.1.1 192.0.2.2 1 2\r\n')],
  ])('is closed without a word when it %s', async (_, said) => {
    const client = await introduced(said)
    expect(await client.hearsTheEnd(900)).toEqual([])
    expect(await errors()).toBe(before + 1)
  })

  it('is closed without a word when it ends in the middle', async () => {
    const client = await introduced(line.subarray(0, 20))
    client.socket.end()
    expect(await client.hearsTheEnd(900)).toEqual([])
    expect(await errors()).toBe(before + 1)
  })

  it('is closed when its time is over, and holds up nobody meanwhile', async () => {
    const halves = [
      await introduced(line.subarray(0, 1)),
      await introduced(line.subarray(0, line.length - 1)),
      await introduced(proxyHeader(far).subarray(0, 20)),
    ]
    const nothing = await introduced()
    const other = await introduced(line)
    await other.logsIn(login)
    for (const client of [...halves, nothing]) expect(await client.hearsTheEnd(3_000)).toEqual([])
    await eventually(async () => (await errors()) === before + 3)
  })
})

describe('a header', () => {
  it('is taken once', async () => {
    const client = await introduced(proxyLine(near('127.0.0.5')), proxyLine(near('127.0.0.1')))
    expect(sqlstates(await client.hearsTheEnd())).toEqual(['08P01'])
  })

  it('with nothing behind it is a health check, and is no error', async () => {
    const before = await errors()
    const waits = await introduced(proxyLine(near('127.0.0.5')))
    const leaves = await introduced(proxyLine(near('127.0.0.5')))
    leaves.socket.end()
    expect(await leaves.hearsTheEnd(900)).toEqual([])
    expect(await waits.hearsTheEnd(3_000)).toEqual([])
    expect(await errors()).toBe(before)
  })
})
