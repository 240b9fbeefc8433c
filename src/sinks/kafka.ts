// The sink Kafka: one record for each record, keyed by its chain's id, so that a chain stays in one
// partition and in order. Ignorant of files, and of when to try again.
// Kafka documentation: producer configuration (acks, enable.idempotence), message.max.bytes.

import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { Kafka, logLevel, Partitioners, type Producer, type SASLOptions } from 'kafkajs'
import { chainIdOf } from '../audit/chain.ts'
import type { Shipment } from '../audit/outbox.ts'
import type { KafkaSettings, TlsSettings } from '../audit/sink-settings.ts'
import { unlessAborted } from '../waiting.ts'
import { type Sink, SinkProblem } from './sink.ts'
import { tlsOptions } from './tls.ts'

const connectMs = 5_000
const answerMs = 10_000
const keepAliveMs = 60_000
const allInSync = -1
/** Brokers take 1 MiB of it where nothing else is configured. */
const requestBytes = 768 * 1024
/** Key, headers and numbers of a record, at most. */
const overheadBytes = 256

interface Connection {
  readonly producer: Producer
  /** Ends what the library has open, and opens nothing more for it. */
  cut(): void
}

export class KafkaSink implements Sink {
  readonly #settings: KafkaSettings
  #connection: Connection | undefined

  constructor(settings: KafkaSettings) {
    this.#settings = settings
  }

  async send(batch: readonly Shipment[], signal: AbortSignal): Promise<void> {
    try {
      const producer = await this.#connected(signal)
      for (const part of parts(batch)) {
        await unlessAborted(signal, this.#produce(producer, part))
      }
    } catch (error) {
      // An idempotent producer that does not know what became of its last request cannot go on.
      await this.close()
      throw new SinkProblem(error instanceof Error ? error.message : String(error))
    }
  }

  async close(): Promise<void> {
    const connection = this.#connection
    this.#connection = undefined
    // First: the library would wait for answers of brokers that give none.
    connection?.cut()
    await connection?.producer.disconnect()
  }

  async #connected(signal: AbortSignal): Promise<Producer> {
    if (this.#connection === undefined) {
      this.#connection = open(this.#settings)
      await unlessAborted(signal, this.#connection.producer.connect())
    }
    return this.#connection.producer
  }

  async #produce(producer: Producer, shipments: readonly Shipment[]): Promise<void> {
    await producer.send({
      topic: this.#settings.topic,
      acks: allInSync,
      timeout: answerMs,
      messages: shipments.map(({ chain, event, type, time, line }) => ({
        // Records of the first format have no id of their chain.
        key: chainIdOf(event) ?? chain,
        value: line,
        headers: { event, type, chain },
        timestamp: String(Date.parse(time)),
      })),
    })
  }
}

function open({ brokers, login, tls }: KafkaSettings): Connection {
  const sockets = new Set<Socket>()
  let over = false
  const kafka = new Kafka({
    clientId: 'pgwarden-audit',
    brokers: [...brokers],
    ssl: tls === undefined ? false : { ...tlsOptions(tls) },
    ...(login && { sasl: saslOf(login) }),
    connectionTimeout: connectMs,
    authenticationTimeout: connectMs,
    requestTimeout: answerMs,
    // Whoever sends hears of every failure, and says so.
    logLevel: logLevel.NOTHING,
    socketFactory: ({ host, port, onConnect }) => {
      if (over) throw new Error('closed')
      const socket = dial(host, port, tls, onConnect)
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket))
      return socket
    },
  })
  const producer = kafka.producer({
    idempotent: true,
    maxInFlightRequests: 1,
    createPartitioner: Partitioners.DefaultPartitioner,
    // For a partition whose leader has moved. All that takes longer is for whoever sends.
    retry: { retries: 2, initialRetryTime: 200, maxRetryTime: 1_000 },
  })
  return {
    producer,
    cut: () => {
      over = true
      // Without an error the library does not notice.
      for (const socket of sockets) socket.destroy(new Error('closed'))
    },
  }
}

/** As the library's own does, but for a socket that can be ended from outside. */
function dial(
  host: string,
  port: number,
  tls: TlsSettings | undefined,
  onConnect: () => void,
): Socket {
  const servername = isIP(host) === 0 ? { servername: host } : {}
  const socket =
    tls === undefined
      ? connect({ host, port }, onConnect)
      : connectTls({ host, port, ...servername, ...tlsOptions(tls) }, onConnect)
  return socket.setKeepAlive(true, keepAliveMs)
}

function saslOf({ mechanism, user, password }: NonNullable<KafkaSettings['login']>): SASLOptions {
  const login = { username: user, password: password.reveal() }
  switch (mechanism) {
    case 'plain':
      return { mechanism, ...login }
    case 'scram-sha-256':
      return { mechanism, ...login }
    case 'scram-sha-512':
      return { mechanism, ...login }
  }
}

/** A request is stored whole or not at all; each part fits into one. */
function parts(batch: readonly Shipment[]): Shipment[][] {
  const all: Shipment[][] = []
  let left = 0
  for (const shipment of batch) {
    const bytes = shipment.line.length + overheadBytes
    if (bytes > left) {
      all.push([])
      left = requestBytes
    }
    all.at(-1)?.push(shipment)
    left -= bytes
  }
  return all
}
