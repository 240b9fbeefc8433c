// A client of the soak: thousands of them live in one process, so it counts frames and keeps nothing.
// It can stop reading, and be gone in any of the ways in which clients go.

import { connect, type Socket } from 'node:net'
import { Secret } from '../src/secret.ts'
import { backend, decodeBackend, decodeErrorFields } from '../src/wire/backend.ts'
import { FrameReader, headerBytes } from '../src/wire/frames.ts'
import { encodeFrontend, type FrontendMessage } from '../src/wire/frontend.ts'
import { ScramClient } from '../src/wire/scram-client.ts'
import { encodeCancelRequest, encodeStartup } from '../src/wire/startup.ts'
import { MessageWriter } from '../src/wire/writer.ts'
import type { Connection } from './load.ts'

const patienceMs = 120_000
const mechanism = 'SCRAM-SHA-256'

interface Waiter {
  readonly type: number
  resolve(): void
  reject(error: Error): void
}

export class SoakClient {
  /** SQLSTATE of the last error. */
  lastError: string | undefined
  readonly #connection: Connection
  readonly #socket: Socket
  readonly #scram: ScramClient
  #key: { readonly processId: number; readonly secret: Buffer } | undefined
  #waiter: Waiter | undefined
  #closed = false

  private constructor(connection: Connection, socket: Socket) {
    this.#connection = connection
    this.#socket = socket
    this.#scram = new ScramClient({
      password: new Secret(connection.password),
      binding: { type: 'none' },
    })
    const reader = new FrameReader(
      { need: (type, size) => (streamed.has(type) ? headerBytes : size) },
      {
        begin: (type, _size, bytes, start, end) => {
          this.#frame(type, bytes, start, end)
          return true
        },
        rest: () => undefined,
      },
    )
    socket.on('data', (chunk: Buffer) => reader.push(chunk))
    socket.on('error', () => socket.destroy())
    socket.on('close', () => {
      this.#closed = true
      this.#waiter?.reject(new Error(`the connection was closed (${this.lastError ?? 'no error'})`))
    })
  }

  /** Nothing has been said yet. */
  static async dial(connection: Connection): Promise<SoakClient> {
    const socket = connect({ host: connection.host, port: connection.port, noDelay: true })
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
    return new SoakClient(connection, socket)
  }

  static async logIn(connection: Connection): Promise<SoakClient> {
    const client = await SoakClient.dial(connection)
    client.startup()
    await client.hears(backend.readyForQuery)
    return client
  }

  startup(): void {
    const { user, database } = this.#connection
    this.#socket.write(encodeStartup(Object.entries({ user, database })))
  }

  say(...messages: readonly FrontendMessage[]): void {
    this.#socket.write(Buffer.concat(messages.map(encodeFrontend)))
  }

  /** Resolves with the next frame of this type; rejects when the connection ends first. */
  async hears(type: number): Promise<void> {
    if (this.#closed) throw new Error('the connection was closed')
    const timer = setTimeout(() => this.#waiter?.reject(new Error('no answer')), patienceMs)
    try {
      await new Promise<void>((resolve, reject) => {
        this.#waiter = { type, resolve, reject }
      })
    } finally {
      clearTimeout(timer)
      this.#waiter = undefined
    }
  }

  async ask(...messages: readonly FrontendMessage[]): Promise<void> {
    this.say(...messages)
    await this.hears(backend.readyForQuery)
  }

  /** A request to cancel what runs, on a connection of its own. `spoilt`: with a wrong key. */
  async cancel(spoilt: boolean): Promise<void> {
    const key = this.#key
    if (key === undefined) throw new Error('no cancel key')
    const secret = Buffer.from(key.secret)
    if (spoilt) secret[0] = (secret[0] ?? 0) ^ 1
    const { host, port } = this.#connection
    const socket = connect({ host, port })
    await new Promise<void>((resolve) => {
      socket.on('error', () => socket.destroy())
      socket.on('close', () => resolve())
      socket.resume()
      socket.write(encodeCancelRequest(key.processId, secret))
    })
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  reset(): void {
    this.#socket.resetAndDestroy()
  }

  /** Shuts down its own side only. */
  halfClose(): void {
    this.#socket.end()
  }

  close(): void {
    this.#socket.destroy()
  }

  #frame(type: number, bytes: Buffer, start: number, end: number): void {
    if (type === backend.authentication) this.#authenticate(bytes, start, end)
    if (type === backend.error) this.lastError = decodeErrorFields(bytes, start, end)['C']
    if (type === backend.backendKeyData) {
      const message = decodeBackend(bytes, start, end)
      if (message.type === 'backendKeyData') {
        this.#key = { processId: message.processId, secret: Buffer.from(message.secret) }
      }
    }
    if (type === this.#waiter?.type) this.#waiter.resolve()
  }

  #authenticate(bytes: Buffer, start: number, end: number): void {
    const message = decodeBackend(bytes, start, end)
    const answer = (data: Buffer): void => this.say({ type: 'password', data })
    if (message.type === 'authenticationCleartextPassword') {
      answer(Buffer.from(`${this.#connection.password}\0`))
    } else if (message.type === 'authenticationSASL') {
      answer(new MessageWriter().string(mechanism).value(this.#scram.first()).take())
    } else if (message.type === 'authenticationSASLContinue') {
      this.#scram.final(Buffer.from(message.data)).then(answer, (error: unknown) => {
        this.#waiter?.reject(error instanceof Error ? error : new Error('SCRAM failed'))
      })
    }
  }
}

/** Frames of which only the header is of interest. */
const streamed: ReadonlySet<number> = new Set([backend.dataRow, backend.copyData])
