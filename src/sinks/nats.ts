// The sink NATS JetStream: one message for each record, under `<subject>.<chain>.<type>`. Its care is the
// order: a server that refuses a record and takes the ones behind it would leave a hole that no later
// attempt can close. Ignorant of files, and of when to try again.
// NATS documentation: JetStream, headers of publishing; docs/adr/0020 for why these.

import {
  DiscardPolicy,
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamClient,
  jetstream,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
} from '@nats-io/jetstream'
import {
  type Authenticator,
  connect,
  credsAuthenticator,
  type NatsConnection,
  nanos,
  PermissionViolationError,
  tokenAuthenticator,
  usernamePasswordAuthenticator,
} from '@nats-io/transport-node'
import type { Shipment } from '../audit/outbox.ts'
import type { NatsSettings } from '../audit/sink-settings.ts'
import { unlessAborted } from '../waiting.ts'
import { type Sink, SinkProblem } from './sink.ts'
import { tlsOptions } from './tls.ts'

const connectMs = 5_000
const answerMs = 5_000
/** How long a stream made here knows a record again that is sent to it twice. */
const duplicatesMs = 120_000
/** Records under way at once. A stream takes in no more than 10,000 at a time, from everybody. */
const widest = 1_000
/** "wrong last msg ID" */
const wrongLastMessage = 10070

export class NatsSink implements Sink {
  readonly #settings: NatsSettings
  #connection: NatsConnection | undefined
  #window = widest
  #attempts = 0

  constructor(settings: NatsSettings) {
    this.#settings = settings
  }

  async send(batch: readonly Shipment[], signal: AbortSignal): Promise<void> {
    try {
      const connection = await unlessAborted(signal, this.#connected(signal))
      const stream = jetstream(connection, { timeout: answerMs })
      for (let sent = 0; sent < batch.length; ) {
        const next = batch.slice(sent, sent + this.#window)
        sent += await unlessAborted(signal, this.#publish(stream, next))
      }
    } catch (error) {
      // What is under way on it could still arrive; a new connection begins with the oldest.
      await this.close()
      throw new SinkProblem(sentenceFor(error))
    }
  }

  async close(): Promise<void> {
    const connection = this.#connection
    this.#connection = undefined
    await connection?.close()
  }

  /**
   * All at once, each but the first only if the one before it is the last that the stream has: what is
   * stored is a beginning of them, whatever the server refuses and whoever else writes there.
   * @returns how many it has now, at least one.
   */
  async #publish(stream: JetStreamClient, shipments: readonly Shipment[]): Promise<number> {
    const { stream: streamName, subject } = this.#settings
    const answers = await Promise.allSettled(
      shipments.map(({ chain, type, event, line }, at) => {
        const before = shipments[at - 1]?.event
        return stream.publish(`${subject}.${chain}.${subjectPart(type)}`, line, {
          msgID: event,
          expect: { streamName, ...(before !== undefined && { lastMsgID: before }) },
        })
      }),
    )
    const failed = answers.findIndex(({ status }) => status === 'rejected')
    const answer = answers[failed]
    if (answer?.status !== 'rejected') {
      this.#window = Math.min(this.#window * 2, widest)
      return shipments.length
    }
    // Another proxy wrote between two of ours. The fewer at once, the seldomer.
    if (failed > 0 && isApiError(answer.reason, wrongLastMessage)) {
      this.#window = Math.ceil(this.#window / 2)
      return failed
    }
    throw answer.reason
  }

  async #connected(signal: AbortSignal): Promise<NatsConnection> {
    if (this.#connection !== undefined && !this.#connection.isClosed()) return this.#connection
    const { servers, tls, login } = this.#settings
    // One at a time: the next one has its turn when this one fails.
    const server = servers[this.#attempts++ % servers.length] ?? ''
    const connection = await connect({
      name: 'pgwarden audit',
      servers: server,
      // The library compares a certificate with the name `localhost` where it connected to an address.
      tls: tls === undefined ? null : { ...tlsOptions(tls), ...{ host: hostOf(server) } },
      timeout: connectMs,
      // Whoever sends decides when to try again, and begins with the oldest record.
      reconnect: false,
      ignoreClusterUpdates: true,
      noAsyncTraces: true,
      ...(login && { authenticator: authenticatorOf(login) }),
    })
    try {
      signal.throwIfAborted()
      await this.#makeStream(connection)
      signal.throwIfAborted()
    } catch (error) {
      await connection.close()
      throw error
    }
    this.#connection = connection
    return connection
  }

  /** Who may not look whether it is there, or make it, finds out with the first record. */
  async #makeStream(connection: NatsConnection): Promise<void> {
    const { stream, subject } = this.#settings
    const manager = await jetstreamManager(connection, { checkAPI: false, timeout: answerMs })
    try {
      await manager.streams.info(stream).catch((error: unknown) => {
        if (!isApiError(error, JetStreamApiCodes.StreamNotFound)) throw error
        return manager.streams.add({
          name: stream,
          subjects: [`${subject}.>`],
          storage: StorageType.File,
          retention: RetentionPolicy.Limits,
          // Should somebody limit it: what is full refuses, and does not forget what it has.
          discard: DiscardPolicy.New,
          duplicate_window: nanos(duplicatesMs),
        })
      })
    } catch (error) {
      if (!isForbidden(error)) throw error
    }
  }
}

function authenticatorOf(login: NonNullable<NatsSettings['login']>): Authenticator {
  switch (login.type) {
    case 'credentials':
      return credsAuthenticator(Buffer.from(login.content.reveal()))
    case 'token':
      return tokenAuthenticator(login.token.reveal())
    case 'password':
      return usernamePasswordAuthenticator(login.user, login.password.reveal())
  }
}

function hostOf(server: string): string {
  return new URL(`nats://${server}`).hostname.replace(/^\[(.*)\]$/, '$1')
}

/** A type is read from a file: what would be a wildcard, or the end of a command, must not become one. */
function subjectPart(type: string): string {
  return /^[a-z_]+(\.[a-z_]+)*$/i.test(type) ? type : 'unknown'
}

/** The library takes nobody's answering for JetStream being switched off. */
function sentenceFor(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.name === 'JetStreamNotEnabled' ? 'no stream takes the subject' : error.message
}

function isApiError(error: unknown, code: number): boolean {
  return error instanceof JetStreamApiError && error.code === code
}

function isForbidden(error: unknown): boolean {
  return (
    error instanceof PermissionViolationError ||
    (error instanceof Error && error.cause instanceof PermissionViolationError)
  )
}
