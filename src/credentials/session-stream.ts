// A session that somebody else has opened and logged in, as the stream that the pg driver talks over:
// the driver's own startup packet goes nowhere, and is answered with the greeting that was heard then.
// So the driver needs no password, no TLS and no list of hosts. It trusts its server, and we do not: it
// is handed whole messages of a session and nothing else. Ignorant of what is asked afterwards.

import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { type BackendMessage, decodeBackend } from '../wire/backend.ts'
import { encodeBackend } from '../wire/backend-encoder.ts'
import { FrameReader } from '../wire/frames.ts'

export interface OpenSession {
  /** Paused. */
  readonly socket: Socket
  /** ParameterStatus and notices, as they came. */
  readonly greeting: Buffer
  /** Bytes that came behind ReadyForQuery. */
  readonly rest: Buffer
}

/** Far above the largest definition in a catalog. */
const longestMessage = 64 * 1024 * 1024

/**
 * Answers to queries. Asked for a password in the middle, the driver would send the one of PGPASSWORD; and
 * over a message that is cut short it would end the process.
 */
const expected: ReadonlySet<BackendMessage['type']> = new Set([
  'rowDescription',
  'dataRow',
  'commandComplete',
  'emptyQueryResponse',
  'errorResponse',
  'noticeResponse',
  'notificationResponse',
  'parameterStatus',
  'readyForQuery',
  'parseComplete',
  'bindComplete',
  'closeComplete',
  'noData',
  'parameterDescription',
  'portalSuspended',
])

type Done = (error?: Error | null) => void

export class SessionStream extends Duplex {
  readonly #open: () => Promise<OpenSession>
  readonly #messages = new FrameReader(
    {
      need(_type, size) {
        if (size > longestMessage) throw new Error('the target sent too long a message')
        return size
      },
    },
    {
      begin: (_type, _size, bytes, start, end) => {
        const { type } = decodeBackend(bytes, start, end)
        if (!expected.has(type)) throw new Error(`the target sent ${type} in a session`)
        if (!this.push(bytes.subarray(start, end))) this.#session?.socket.pause()
        return true
      },
      rest: () => undefined,
    },
  )
  #session: OpenSession | undefined
  #greeted = false

  constructor(open: () => Promise<OpenSession>) {
    super()
    this.#open = open
  }

  /** Called by the driver, with a port and a host that mean nothing here. */
  connect(): void {
    this.#open().then(
      (session) => {
        // The driver has lost its patience meanwhile.
        if (this.destroyed) session.socket.destroy()
        else this.#start(session)
      },
      (error: Error) => this.destroy(error),
    )
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    if (this.#session === undefined) done(new Error('not connected'))
    else if (this.#greeted) this.#session.socket.write(chunk, done)
    else {
      this.#greet(this.#session)
      done()
    }
  }

  override _read(): void {
    if (this.#greeted) this.#session?.socket.resume()
  }

  override _final(done: Done): void {
    this.#session?.socket.end()
    done()
  }

  override _destroy(error: Error | null, done: Done): void {
    this.#session?.socket.destroy()
    done(error)
  }

  setNoDelay(): void {
    // Done by whoever opened the session.
  }

  ref(): void {
    this.#session?.socket.ref()
  }

  unref(): void {
    this.#session?.socket.unref()
  }

  #start(session: OpenSession): void {
    this.#session = session
    const { socket } = session
    socket.on('data', (chunk: Buffer) => this.#take(chunk))
    socket.on('end', () => {
      this.push(null)
      this.end()
    })
    socket.on('error', (error) => this.destroy(error))
    socket.on('close', () => {
      if (!socket.readableEnded) this.destroy()
    })
    // Adding a listener for data has not started it: the session comes paused.
    this.emit('connect')
  }

  #greet({ greeting, rest, socket }: OpenSession): void {
    this.#greeted = true
    this.push(
      Buffer.concat([
        encodeBackend({ type: 'authenticationOk' }),
        greeting,
        encodeBackend({ type: 'readyForQuery', status: 'I' }),
      ]),
    )
    socket.resume()
    this.#take(rest)
  }

  #take(chunk: Buffer): void {
    try {
      this.#messages.push(chunk)
    } catch (error) {
      this.#messages.stop()
      this.destroy(error instanceof Error ? error : new Error(String(error)))
    }
  }
}
