// Opens a session on the target with an issued login: connect, startup, authentication, up to the
// first ReadyForQuery. What the server says on the way (ParameterStatus, notices) is kept as it came,
// for the client. Ignorant of who asked, of policy and of audit.
// PostgreSQL documentation, "Message Flow: Start-up"; "SASL Authentication".

import net from 'node:net'
import { Failure } from '../errors.ts'
import type { Secret } from '../secret.ts'
import type { BackendMessage, ErrorFields } from '../wire/backend.ts'
import { decodeBackend, upstreamLoginFrames } from '../wire/backend.ts'
import { FrameReader } from '../wire/frames.ts'
import { encodeFrontend } from '../wire/frontend.ts'
import { ScramClient } from '../wire/scram-client.ts'
import { encodeStartup } from '../wire/startup.ts'
import { MessageWriter } from '../wire/writer.ts'

export interface UpstreamAddress {
  readonly host: string
  readonly port: number
}

export interface UpstreamOptions extends UpstreamAddress {
  /** The whole startup packet, `user` and `database` included. */
  readonly parameters: ReadonlyMap<string, string>
  readonly password: Secret
  /** For the TCP connection and the login together. */
  readonly timeoutMs: number
}

export interface Upstream {
  /** Paused; no listener of ours is left on it. */
  readonly socket: net.Socket
  readonly processId: number
  /** The server's own cancel key. Empty when it sent none. */
  readonly cancelKey: Buffer
  /** ParameterStatus and notices, as they came. */
  readonly greeting: Buffer
  /** The settings that the server reported, names in lower case. */
  readonly reported: ReadonlyMap<string, string>
  /** As server_version_num; undefined when the server did not say. */
  readonly serverVersion: number | undefined
  /** Bytes that came behind ReadyForQuery. */
  readonly rest: Buffer
}

/** Throws upstream_unreachable, upstream_lost, unknown_database, too_many_connections or cannot_connect_now. */
export async function connectUpstream(options: UpstreamOptions): Promise<Upstream> {
  const socket = net.connect({
    host: options.host,
    port: options.port,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: 60_000,
    allowHalfOpen: true,
  })
  return new Promise<Upstream>((resolve, reject) => {
    const login = new Login(options, socket)
    let settled = false
    const settle = (): void => {
      settled = true
      clearTimeout(timer)
      socket.removeAllListeners()
      socket.pause()
    }
    const fail = (failure: unknown): void => {
      if (settled) return
      settle()
      // A late error on a socket that is being given up must not become an uncaught exception.
      socket.on('error', () => undefined)
      socket.destroy()
      reject(failure instanceof Failure ? failure : unreachable(failure))
    }
    const timer = setTimeout(() => fail(unreachable(new Error('timed out'))), options.timeoutMs)
    socket.on('error', fail)
    socket.on('close', () => fail(unreachable(new Error('closed during login'))))
    socket.on('end', () => fail(unreachable(new Error('ended during login'))))
    socket.on('connect', () => socket.write(encodeStartup(options.parameters)))
    // One chunk at a time: a SASL step is asynchronous, and order is everything.
    socket.on('data', (chunk: Buffer) => {
      socket.pause()
      login.read(chunk).then((upstream) => {
        if (settled) return
        if (upstream === undefined) socket.resume()
        else {
          settle()
          resolve(upstream)
        }
      }, fail)
    })
  })
}

class Login {
  readonly #socket: net.Socket
  readonly #scram: ScramClient
  readonly #frames: FrameReader
  readonly #greeting: Buffer[] = []
  #messages: BackendMessage[] = []
  #rest: Buffer = Buffer.alloc(0)
  #processId = 0
  #cancelKey = Buffer.alloc(0)
  readonly #reported = new Map<string, string>()
  #ready = false

  constructor(options: UpstreamOptions, socket: net.Socket) {
    this.#socket = socket
    this.#scram = new ScramClient(options.password)
    this.#frames = new FrameReader(upstreamLoginFrames, {
      begin: (_type, _size, bytes, start, end) => {
        this.#frame(bytes, start, end)
        return true
      },
      rest: () => undefined,
    })
  }

  /** The open session once ReadyForQuery has come; undefined before. */
  async read(chunk: Buffer): Promise<Upstream | undefined> {
    const used = this.#frames.push(chunk)
    if (this.#ready) this.#rest = chunk.subarray(used)
    const messages = this.#messages
    this.#messages = []
    for (const message of messages) await this.#answer(message)
    if (!this.#ready) return undefined
    return {
      socket: this.#socket,
      processId: this.#processId,
      cancelKey: this.#cancelKey,
      greeting: Buffer.concat(this.#greeting),
      reported: this.#reported,
      serverVersion: versionNumber(this.#reported.get('server_version')),
      rest: this.#rest,
    }
  }

  #frame(bytes: Buffer, start: number, end: number): void {
    const message = decodeBackend(bytes, start, end)
    if (message.type === 'readyForQuery') {
      this.#ready = true
      this.#frames.stop()
    }
    if (message.type === 'parameterStatus' || message.type === 'noticeResponse') {
      this.#greeting.push(Buffer.from(bytes.subarray(start, end)))
    }
    this.#messages.push(message)
  }

  async #answer(message: BackendMessage): Promise<void> {
    switch (message.type) {
      case 'authenticationSASL':
        if (!message.mechanisms.includes('SCRAM-SHA-256')) throw unsupported()
        this.#send(saslInitialResponse('SCRAM-SHA-256', this.#scram.first()))
        break
      case 'authenticationSASLContinue':
        this.#send(await this.#scram.final(message.data))
        break
      case 'authenticationSASLFinal':
        this.#scram.verify(message.data)
        break
      case 'backendKeyData':
        this.#processId = message.processId
        this.#cancelKey = Buffer.from(message.secret)
        break
      case 'errorResponse':
        throw refused(message.fields)
      case 'parameterStatus':
        this.#reported.set(message.name.toLowerCase(), message.value)
        break
      case 'authenticationOk':
      case 'noticeResponse':
      case 'readyForQuery':
        break
      default:
        throw unsupported()
    }
  }

  #send(data: Buffer): void {
    this.#socket.write(encodeFrontend({ type: 'password', data }))
  }
}

/** `18.4 (Debian 18.4-1)` is 180004; a release in preparation, `19beta1`, is 190000. */
function versionNumber(version: string | undefined): number | undefined {
  const parts = /^(\d+)(?:\.(\d+))?/.exec(version ?? '')
  return parts === null ? undefined : Number(parts[1]) * 10_000 + Number(parts[2] ?? 0)
}

function saslInitialResponse(mechanism: string, data: Buffer): Buffer {
  return new MessageWriter().string(mechanism).value(data).take()
}

function unreachable(cause: unknown): Failure {
  return new Failure(
    'upstream_unreachable',
    {
      message: 'could not connect to the target database',
      hint: 'Try again later; if it lasts, tell the people who run pgwarden.',
    },
    { cause },
  )
}

function unsupported(): Failure {
  return new Failure('upstream_lost', {
    message: 'could not log in to the target database',
    detail: 'It asks for an authentication method other than SCRAM-SHA-256.',
    hint: 'Tell the people who run pgwarden.',
  })
}

/**
 * What the target's own refusal becomes. Its text about our login is never passed on: the client
 * would be asked for a password it does not have, and would see whose login it was.
 */
function refused(fields: ErrorFields): Failure {
  const cause = new Error(`${fields['C'] ?? '?'}: ${fields['M'] ?? 'no message'}`)
  switch (fields['C']) {
    case '53300':
      return new Failure(
        'too_many_connections',
        { message: 'the target database has too many connections', hint: 'Try again later.' },
        { cause },
      )
    case '57P03':
      return new Failure(
        'cannot_connect_now',
        {
          message: 'the target database is starting up or shutting down',
          hint: 'Try again later.',
        },
        { cause },
      )
    case '3D000':
      return new Failure(
        'unknown_database',
        {
          message: 'the target database does not exist',
          hint: 'Tell the people who run pgwarden: the target points at a database that is not there.',
        },
        { cause },
      )
    default:
      return new Failure(
        'upstream_lost',
        {
          message: 'could not log in to the target database',
          detail: `The target refused the login that was issued for this session (SQLSTATE ${fields['C'] ?? 'unknown'}).`,
          hint: 'Tell the people who run pgwarden.',
        },
        { cause },
      )
  }
}
