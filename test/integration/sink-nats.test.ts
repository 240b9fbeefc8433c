// The order of what NATS has, whatever becomes of it: a real nats-server that is full, is written to by
// others, loses its stream, or takes a permission away. And how one logs in there.

import { setTimeout as sleep } from 'node:timers/promises'
import type { JetStreamManager } from '@nats-io/jetstream'
import { afterEach, describe, expect, it } from 'vitest'
import type { NatsSettings } from '../../src/audit/sink-settings.ts'
import { Secret } from '../../src/secret.ts'
import { NatsSink } from '../../src/sinks/nats.ts'
import { certify } from '../support/certificates.ts'
import { NatsServer } from '../support/nats-server.ts'
import { findNatsServer } from '../support/psql.ts'
import { sendUntilTaken, shipment, shipments, withoutDoubles } from '../support/shipments.ts'

const program = findNatsServer() ?? ''
if (program === '') console.warn('NOT RUN: there is no nats-server, so its tests are not run')

const never = new AbortController().signal
const stops: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop()
})

async function startServer(...terms: readonly [string?, Record<string, string>?]) {
  const server = await NatsServer.start(program, ...terms)
  stops.push(() => server.stop())
  return server
}

function sinkOf(server: NatsServer, more: Partial<NatsSettings> = {}): NatsSink {
  const sink = new NatsSink({
    type: 'nats',
    name: 'nats',
    servers: [server.address],
    stream: 'audit',
    subject: 'audit',
    login: undefined,
    tls: undefined,
    ...more,
  })
  stops.push(() => sink.close())
  return sink
}

const eventsOf = (batch: readonly { readonly event: string }[]): string[] =>
  batch.map(({ event }) => event)

describe.runIf(program !== '')('NATS', () => {
  it('makes a stream that keeps what it has and refuses what is too much', async () => {
    const server = await startServer()
    await sinkOf(server).send(shipments('aa', 1, 4), never)
    const { config } = await server.asManager((manager) => manager.streams.info('audit'))
    expect(config).toMatchObject({ storage: 'file', retention: 'limits', discard: 'new' })
    expect(config.duplicate_window / 1e9).toBe(120)
    const subjects = (await server.stored('audit')).map(({ subject }) => subject)
    expect(subjects).toEqual([
      'audit.main.statement',
      'audit.main.outcome',
      'audit.main.session.end',
    ])
  })

  it('a record that is too large for what is left keeps back the small ones behind it', async () => {
    const server = await startServer()
    const limit = { max_bytes: 20_000 }
    await server.asManager((manager) =>
      manager.streams.add({ name: 'audit', subjects: ['audit.>'], discard: 'new', ...limit }),
    )
    const sink = sinkOf(server)
    const large = shipment('aa', 21, { pad: 'x'.repeat(19_000) })
    const batch = [
      ...Array.from({ length: 20 }, (_, at) => shipment('aa', at + 1, { text: '' })),
      large,
      ...Array.from({ length: 20 }, (_, at) => shipment('aa', at + 22, { text: '' })),
    ]
    await expect(sink.send(batch, never)).rejects.toThrow(/maximum bytes/)
    expect(eventsOf(await server.stored('audit'))).toEqual(eventsOf(batch.slice(0, 20)))
    await server.asManager((manager) => manager.streams.update('audit', { max_bytes: 1_000_000 }))
    await sink.send(batch, never)
    expect(eventsOf(await server.stored('audit'))).toEqual(eventsOf(batch))
  })

  it('several proxies that write into one stream at once have each their own order there', async () => {
    const server = await startServer()
    const chains = ['a1', 'b2', 'c3']
    await Promise.all(
      chains.map(async (chain) => {
        const sink = sinkOf(server)
        for (let from = 1; from < 1_501; from += 300) {
          // Whoever comes while another makes the stream may be told that there is none.
          await sendUntilTaken(sink, shipments(chain, from, from + 300))
        }
      }),
    )
    const stored = eventsOf(await server.stored('audit'))
    expect(stored).toHaveLength(4_500)
    for (const chain of chains) {
      const own = stored.filter((event) => event.startsWith(chain))
      expect(own).toEqual(eventsOf(shipments(chain, 1, 1_501)))
    }
    // They did meet.
    expect(stored).not.toEqual(stored.toSorted())
  })

  it.each([
    ['emptied', (manager: JetStreamManager) => manager.streams.purge('audit')],
    ['removed', (manager: JetStreamManager) => manager.streams.delete('audit')],
  ])('a stream that was %s goes on with what comes next', async (_, spoil) => {
    const server = await startServer()
    const sink = sinkOf(server)
    await sink.send(shipments('aa', 1, 11), never)
    await server.asManager<unknown>(spoil)
    await sendUntilTaken(sink, shipments('aa', 11, 21))
    expect(eventsOf(await server.stored('audit'))).toEqual(eventsOf(shipments('aa', 11, 21)))
  })

  it('a permission that is taken away for one type of record leaves no hole', async () => {
    const users = (permissions: string): string => `
      authorization { users: [
        { user: root, password: root },
        { user: audit, password: secret, permissions: { ${permissions} } }
      ] }`
    const root = { user: 'root', pass: 'root' }
    const server = await startServer(users(''))
    const sink = sinkOf(server, {
      login: { type: 'password', user: 'audit', password: new Secret('secret') },
    })
    await sink.send(shipments('aa', 1, 11), never)
    await server.configure(users('publish: { deny: ["audit.main.outcome"] }'))
    server.process.reload()
    await sleep(300)
    const batch = shipments('aa', 11, 31)
    await expect(sink.send(batch, never)).rejects.toThrow(/permissions violation/i)
    // 11 is a session's end, 12 its start, 13 a statement; 14 is an outcome.
    expect(eventsOf(await server.stored('audit', root)).at(-1)).toBe('aa-13')
    await server.configure(users(''))
    server.process.reload()
    await sleep(300)
    await sendUntilTaken(sink, batch)
    const stored = eventsOf(await server.stored('audit', root))
    expect(withoutDoubles(stored)).toEqual(eventsOf(shipments('aa', 1, 31)))
  })

  it('who may only publish does, into a stream that somebody else made', async () => {
    const server = await startServer(`authorization { users: [
      { user: root, password: root },
      { user: audit, password: secret,
        permissions: { publish: ["audit.>"], subscribe: ["_INBOX.>"] } }
    ] }`)
    const root = { user: 'root', pass: 'root' }
    await server.asManager(
      (manager) => manager.streams.add({ name: 'audit', subjects: ['audit.>'] }),
      root,
    )
    const sink = sinkOf(server, {
      login: { type: 'password', user: 'audit', password: new Secret('secret') },
    })
    await sink.send(shipments('aa', 1, 11), never)
    expect(await server.stored('audit', root)).toHaveLength(10)
  })

  it('a wrong token is refused, in words without it; the right one, by TLS with a certificate, is not', async () => {
    const authority = await certify('authority', { isAuthority: true })
    const own = await certify('nats', { by: authority, names: ['127.0.0.1'] })
    const client = await certify('pgwarden', { by: authority, names: ['pgwarden'] })
    const server = await startServer(
      `authorization { token: "the-token" }
      tls { cert_file: "DIRECTORY/crt", key_file: "DIRECTORY/key", ca_file: "DIRECTORY/ca", verify: true }`,
      { crt: own.certificate, key: own.key, ca: authority.certificate },
    )
    const tls = {
      ca: authority.certificate,
      client: { certificate: client.certificate, key: new Secret(client.key) },
    }
    const login = { type: 'token', token: new Secret('the-token') } as const
    const attempt = (more: Partial<NatsSettings>): Promise<unknown> =>
      sinkOf(server, more)
        .send(shipments('aa', 1, 11), never)
        .catch(String)
    const wrong = await attempt({ tls, login: { type: 'token', token: new Secret('guessed') } })
    expect(wrong).toMatch(/authorization/i)
    expect(wrong).not.toContain('guessed')
    // Without a certificate, with an authority that did not sign theirs, and in the clear.
    expect(await attempt({ login, tls: { ...tls, client: undefined } })).toMatch(/Problem/)
    expect(await attempt({ login, tls: { ...tls, ca: undefined } })).toMatch(/Problem/)
    expect(await attempt({ login, tls: undefined })).toMatch(/Problem/)
    expect(await attempt({ login, tls })).toBeUndefined()
  })
})
