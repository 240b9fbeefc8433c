// The sink Kafka: one record for each record, keyed by its chain's id, so that a chain stays in one
// partition and in order. Ignorant of files, and of when to try again.
// Kafka documentation: producer configuration (acks, enable.idempotence), message.max.bytes.

import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { type ISocketFactory, Kafka, logLevel, Partitioners, type Producer } from 'kafkajs'
import type { Secret } from '../secret.ts'
import { unlessAborted } from './abortable.ts'
import type { Shipment, Sink } from './sink.ts'
import { type TlsSettings, tlsOptions } from './tls.ts'

export interface KafkaSettings {
  /** `host:port` each: some of one cluster; they name the others. */
  readonly brokers: readonly string[]
  readonly topic: string
  readonly login:
    | {
        readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'
        readonly user: string
        readonly password: Secret
      }
    | undefined
  /** Undefined on this machine only. */
  readonly tls: TlsSettings | undefined
}

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
      throw error
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
        key: chainIdOf(event),
        value: line,
        headers: { event, type, chain },
        timestamp: String(Date.parse(time)),
      })),
    })
  }
}

function open({ brokers, topic: _, login, tls }: KafkaSettings): Connection {
  const sockets = new Set<Socket>()
  let over = false
  const kafka = new Kafka({
    clientId: 'pgwarden-audit',
    brokers: [...brokers],
    ...(tls && { ssl: { ...tlsOptions(tls) } }),
    ...(login && {
      sasl: {
        mechanism: login.mechanism,
        username: login.user,
        password: login.password.reveal(),
      },
    }),
    connectionTimeout: connectMs,
    authenticationTimeout: connectMs,
    requestTimeout: answerMs,
    // Whoever sends hears of every failure, and says so.
    logLevel: logLevel.NOTHING,
    socketFactory: ({ host, port, ssl, onConnect }) => {
      if (over) throw new Error('closed')
      const socket = dial({ host, port, ssl, onConnect })
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
function dial({ host, port, ssl, onConnect }: Parameters<ISocketFactory>[0]): Socket {
  const servername = isIP(host) === 0 ? { servername: host } : {}
  const socket = isTls(ssl)
    ? connectTls({ host, port, ...servername, ...ssl }, onConnect)
    : connect({ host, port }, onConnect)
  return socket.setKeepAlive(true, keepAliveMs)
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

/** An event is `<chain id>-<sequence>`. */
function chainIdOf(event: string): string {
  return event.slice(0, event.lastIndexOf('-'))
}
