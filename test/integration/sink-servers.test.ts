// What every sink promises, of those whose receivers are servers of others: a real NATS, a real Kafka and a
// real PostgreSQL. A kind whose server this machine does not have is NOT RUN, and says so.

import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, describe, expect, inject, test } from 'vitest'
import { Secret } from '../../src/secret.ts'
import { KafkaSink } from '../../src/sinks/kafka.ts'
import { NatsSink } from '../../src/sinks/nats.ts'
import { PostgresqlSink } from '../../src/sinks/postgresql.ts'
import type { Sink } from '../../src/sinks/sink.ts'
import { connectedTo, freshDatabase } from '../support/databases.ts'
import { listenWith } from '../support/forwarder.ts'
import { findKafka, KafkaServer, kafkaLogin } from '../support/kafka-server.ts'
import { NatsServer } from '../support/nats-server.ts'
import { findNatsServer } from '../support/psql.ts'
import { sendUntilTaken, shipment, shipments, withoutDoubles } from '../support/shipments.ts'

interface Receiver {
  /** To a stream, a topic or a table of that name. */
  sink(place: string, address?: string): Sink
  /** In the order in which it has them; a table has none, but for the numbers in it. */
  stored(place: string): Promise<{ readonly event: string; readonly text: string }[]>
  /** Stands in the way for a moment. */
  interrupt(): Promise<void>
}

const stops: (() => Promise<void>)[] = []
afterAll(async () => {
  for (const stop of stops) await stop()
}, 20_000)

const never = new AbortController().signal
const nats = await natsReceiver()
const kafka = await kafkaReceiver()
const postgresql = await postgresqlReceiver()

const receivers = [
  ['NATS', nats],
  ['Kafka', kafka],
  ['PostgreSQL', postgresql],
] as const

describe.each(receivers)('%s', (name, receiver) => {
  if (receiver === undefined) {
    test.skip(`keeps what a sink promises (NOT RUN: there is no ${name})`)
    return
  }

  test('has what it was sent, byte for byte and in order', async () => {
    const place = freshPlace()
    const sink = receiver.sink(place)
    const all = shipments('aa', 1, 301)
    await sink.send(all.slice(0, 1), never)
    await sink.send(all.slice(1, 200), never)
    await sink.send(all.slice(200), never)
    await sink.close()
    const stored = await receiver.stored(place)
    expect(stored.map(({ event }) => event)).toEqual(all.map(({ event }) => event))
    expect(stored.map(({ text }) => asValue(text))).toEqual(
      all.map(({ line }) => asValue(line.toString())),
    )
  })

  test('takes what it has already, and what follows stands behind it', async () => {
    const place = freshPlace()
    const all = shipments('bb', 1, 61)
    const one = receiver.sink(place)
    await one.send(all.slice(0, 40), never)
    await one.close()
    const another = receiver.sink(place)
    await another.send(all.slice(20), never)
    await another.close()
    const events = (await receiver.stored(place)).map(({ event }) => event)
    expect(withoutDoubles(events)).toEqual(all.map(({ event }) => event))
    if (name !== 'Kafka') expect(events).toHaveLength(60)
  })

  test('misses nothing when it is gone in the middle and comes back', async () => {
    const place = freshPlace()
    const sink = receiver.sink(place)
    const all = shipments('cc', 1, 6_001)
    let refused = 0
    let interrupted: Promise<void> | undefined
    for (let at = 0; at < all.length; at += 500) {
      const sending = sendUntilTaken(sink, all.slice(at, at + 500), 700)
      if (at === 1_000) interrupted = receiver.interrupt()
      refused += await sending
    }
    await interrupted
    await sink.close()
    expect(refused).toBeGreaterThan(0)
    const events = (await receiver.stored(place)).map(({ event }) => event)
    expect(withoutDoubles(events)).toEqual(all.map(({ event }) => event))
  })

  test('is given up at once when it says nothing, and closing does not wait for it', async () => {
    const silent = await listenWith(() => undefined)
    const sink = receiver.sink(freshPlace(), `127.0.0.1:${silent.port}`)
    const began = Date.now()
    await expect(sink.send(shipments('dd', 1, 2), AbortSignal.timeout(200))).rejects.toThrow()
    await sink.close()
    expect(Date.now() - began).toBeLessThan(2_000)
    await silent.close()
  })
})

test.skipIf(kafka === undefined)(
  'Kafka is asked by SASL over TLS, and a wrong password is a sentence without it',
  async () => {
    if (kafka === undefined) return
    const { server, topic } = kafka
    const place = await topic()
    const sinkWith = (password: string): KafkaSink =>
      new KafkaSink({
        type: 'kafka',
        name: 'kafka',
        brokers: [server.saslAddress],
        topic: place,
        login: {
          mechanism: 'scram-sha-512',
          user: kafkaLogin.user,
          password: new Secret(password),
        },
        tls: { ca: server.ca, client: undefined },
      })
    const wrong = sinkWith('not-the-secret')
    const refusal = await wrong.send(shipments('ee', 1, 2), never).catch(String)
    expect(refusal).toMatch(/SASL|authentication/i)
    expect(refusal).not.toContain('not-the-secret')
    await wrong.close()
    const right = sinkWith(kafkaLogin.password)
    await right.send(shipments('ee', 1, 11), never)
    await right.close()
    expect(await server.produced(place)).toHaveLength(10)
  },
)

test.skipIf(kafka === undefined)('Kafka has each chain in one partition', async () => {
  if (kafka === undefined) return
  const place = await kafka.topic()
  const sink = kafka.sink(place)
  const chains = ['a1', 'b2', 'c3', 'd4', 'e5', 'f6'].map((pair) => pair.repeat(8))
  await sink.send(
    Array.from({ length: 50 }, (_, at) => chains.map((chain) => shipment(chain, at))).flat(),
    never,
  )
  await sink.close()
  const produced = await kafka.server.produced(place)
  for (const chain of chains) {
    const own = produced.filter(({ key }) => key === chain)
    expect(new Set(own.map(({ partition }) => partition)).size).toBe(1)
    expect(own.map(({ event }) => event)).toEqual(
      Array.from({ length: 50 }, (_, at) => `${chain}-${at}`),
    )
  }
  expect(new Set(produced.map(({ partition }) => partition)).size).toBeGreaterThan(1)
})

test('PostgreSQL is searched by what was done, to what and by whom', async () => {
  const place = freshPlace()
  const sink = postgresql.sink(place)
  const relations = [{ name: 'shop.orders', access: 'read' }]
  await sink.send(
    [
      shipment('aa', 1, { type: 'statement', principal: 'ada', text: 'select 1', relations }),
      shipment('aa', 2, { principal: 'p'.repeat(9_000), text: 'a\0b \ud800' }),
    ],
    never,
  )
  await sink.close()
  await postgresql.ask(place, async (client) => {
    const found = await client.query(
      `select seq, text, record ->> 'hash' as hash from ${place}.events where relations @> '{shop.orders}' and principal = 'ada'`,
    )
    expect(found.rows).toEqual([{ seq: '1', text: 'select 1', hash: null }])
    const other = await client.query(`select text from ${place}.events where seq = 2`)
    expect(other.rows).toEqual([{ text: 'a\ufffdb \ufffd' }])
  })
})

test('a login that may INSERT and SELECT suffices once the table is there', async () => {
  const place = freshPlace()
  await postgresql.sink(place).send(shipments('aa', 1, 2), never)
  await postgresql.ask(place, (client) =>
    client.query(`create role ${place} login password 'writer';
      grant usage on schema ${place} to ${place};
      grant insert, select on ${place}.events to ${place}`),
  )
  const sink = postgresql.sink(place, undefined, { user: place, password: 'writer' })
  await sink.send(shipments('aa', 1, 11), never)
  await sink.close()
  expect(await postgresql.stored(place)).toHaveLength(10)
  await postgresql.ask(place, (client) =>
    client.query(`drop owned by ${place}; drop role ${place}`),
  )
})

/** jsonb keeps the value, and not how it was written. */
function asValue(text: string): unknown {
  return JSON.parse(text)
}

function freshPlace(): string {
  return `audit_${randomBytes(4).toString('hex')}`
}

async function natsReceiver(): Promise<Receiver | undefined> {
  const program = findNatsServer()
  if (program === undefined) {
    console.warn('NOT RUN: there is no nats-server, so the sink NATS is not tested')
    return undefined
  }
  const server = await NatsServer.start(program)
  stops.push(() => server.stop())
  return {
    sink: (place, address = server.address) =>
      new NatsSink({
        type: 'nats',
        name: 'nats',
        servers: [address],
        stream: place,
        subject: place,
        login: undefined,
        tls: undefined,
      }),
    stored: (place) => server.stored(place),
    interrupt: async () => {
      await server.process.kill()
      await server.process.start()
    },
  }
}

async function kafkaReceiver(): Promise<
  (Receiver & { readonly server: KafkaServer; topic(): Promise<string> }) | undefined
> {
  const jars = await findKafka()
  if (jars.type === 'none') {
    console.warn(`NOT RUN: the sink Kafka is not tested: ${jars.why}`)
    return undefined
  }
  const server = await KafkaServer.start(jars.path)
  stops.push(() => server.stop())
  return {
    server,
    topic: async () => {
      const topic = freshPlace()
      await server.asAdmin((admin) =>
        admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions: 3 }] }),
      )
      return topic
    },
    sink: (topic, address = server.address) =>
      new KafkaSink({
        type: 'kafka',
        name: 'kafka',
        brokers: [address],
        topic,
        login: undefined,
        tls: undefined,
      }),
    stored: (topic) => server.produced(topic),
    interrupt: async () => {
      server.process.pause()
      await sleep(1_000)
      server.process.resume()
    },
  }
}

async function postgresqlReceiver() {
  const database = await freshDatabase(inject('adminUrl'), 'sink')
  stops.push(() => database.drop())
  const ask = <T>(_: string, work: Parameters<typeof connectedTo<T>>[1]): Promise<T> =>
    connectedTo(database.url, work)
  return {
    ask,
    sink: (place: string, address?: string, login?: { user: string; password: string }): Sink => {
      const url = new URL(database.url)
      if (address !== undefined) url.host = address
      if (login !== undefined) {
        url.username = login.user
        url.password = login.password
      }
      return new PostgresqlSink({
        type: 'postgresql',
        name: 'postgresql',
        url: new Secret(url.href),
        table: `${place}.events`,
      })
    },
    stored: (place: string) =>
      ask(place, async (client) => {
        const { rows } = await client.query<{ event: string; text: string }>(
          `select event, record::text as text from ${place}.events order by seq`,
        )
        return rows
      }),
    interrupt: async () => {
      for (let times = 0; times < 5; times++) {
        await ask('', (client) =>
          client.query(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pgwarden audit'",
          ),
        )
        await sleep(30)
      }
    },
  }
}
