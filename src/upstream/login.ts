// Logs in on an open connection, up to the first ReadyForQuery. What the server says on the way
// (ParameterStatus, notices) is kept as it came, for the client. However a server misbehaves, this ends
// in a ServerProblem, within the memory bounded here. Ignorant of who asked, of policy and of audit.
// PostgreSQL documentation, "Message Flow: Start-up".

import type net from 'node:net'
import type { BackendMessage } from '../wire/backend.ts'
import { decodeBackend, upstreamLoginFrames } from '../wire/backend.ts'
import { FrameReader } from '../wire/frames.ts'
import { encodeFrontend } from '../wire/frontend.ts'
import { encodeStartup } from '../wire/startup.ts'
import type { Authentication } from './authentication.ts'
import { ServerProblem } from './problem.ts'
import { nextChunk } from './socket.ts'

/** PostgreSQL greets with some 20 messages of 40 bytes; event triggers on login may add notices. */
const maxMessages = 10_000
const maxGreetingBytes = 256 * 1024

export class Login {
  readonly #socket: net.Socket
  readonly #authentication: Authentication
  readonly #signal: AbortSignal
  readonly #greeting: Buffer[] = []
  readonly #reported = new Map<string, string>()
  #greetingBytes = 0
  #messages = 0
  #row: readonly string[] | undefined
  #asking = false
  #processId = 0
  #cancelKey = Buffer.alloc(0)
  #rest: Buffer = Buffer.alloc(0)

  constructor(socket: net.Socket, authentication: Authentication, signal: AbortSignal) {
    this.#socket = socket
    this.#authentication = authentication
    this.#signal = signal
  }

  get processId(): number {
    return this.#processId
  }

  /** Empty when the server sent none. */
  get cancelKey(): Buffer {
    return this.#cancelKey
  }

  /** ParameterStatus and notices, as they came. */
  get greeting(): Buffer {
    return Buffer.concat(this.#greeting)
  }

  /** Settings that the server reported, names in lower case. */
  get reported(): ReadonlyMap<string, string> {
    return this.#reported
  }

  /** Bytes that came behind ReadyForQuery. */
  get rest(): Buffer {
    return this.#rest
  }

  /** Resolves when the server is ready for a query. Throws a ServerProblem. */
  async start(parameters: ReadonlyMap<string, string>): Promise<void> {
    this.#socket.write(encodeStartup(parameters))
    await this.#untilReady()
  }

  /** The values of the one row that a query of ours has. Throws a ServerProblem. */
  async ask(query: string): Promise<readonly string[]> {
    this.#asking = true
    this.#socket.write(encodeFrontend({ type: 'query', text: Buffer.from(query) }))
    await this.#untilReady()
    this.#asking = false
    if (this.#row === undefined) throw unacceptable('did not answer a query of ours')
    return this.#row
  }

  /** A chunk after the other, and its messages in order: a SASL step is asynchronous. */
  async #untilReady(): Promise<void> {
    const messages: BackendMessage[] = []
    const frames = new FrameReader(upstreamLoginFrames, {
      begin: (_type, _size, bytes, start, end) => {
        const message = decodeBackend(bytes, start, end)
        this.#count(message, bytes.subarray(start, end))
        messages.push(message)
        if (message.type === 'readyForQuery') frames.stop()
        return true
      },
      rest: () => undefined,
    })
    let chunk = this.#rest
    for (;;) {
      this.#rest = chunk.subarray(frames.push(chunk))
      for (const message of messages.splice(0)) {
        await this.#hear(message)
        if (message.type === 'readyForQuery') return
      }
      chunk = await nextChunk(this.#socket, this.#signal)
    }
  }

  /** Keeps what is for the client. Neither many messages nor long ones may fill the memory. */
  #count(message: BackendMessage, bytes: Buffer): void {
    this.#messages += 1
    if (this.#messages > maxMessages) throw unacceptable(`sent more than ${maxMessages} messages`)
    if (message.type !== 'parameterStatus' && message.type !== 'noticeResponse') return
    this.#greetingBytes += bytes.length
    if (this.#greetingBytes > maxGreetingBytes) {
      throw unacceptable(`sent more than ${maxGreetingBytes} bytes of settings and notices`)
    }
    this.#greeting.push(Buffer.from(bytes))
  }

  async #hear(message: BackendMessage): Promise<void> {
    switch (message.type) {
      case 'noticeResponse':
      // The lowest version is what was asked for: there is nothing to settle for.
      case 'negotiateProtocolVersion':
        return
      case 'errorResponse': {
        const { C: sqlstate, M: text = 'no message' } = message.fields
        const said = `answers ${sqlstate ?? 'without a SQLSTATE'}: ${text}`
        throw new ServerProblem('refused', said, { said: message.fields })
      }
      default:
    }
    if (!this.#authentication.over) {
      const answer = await this.#authentication.answer(message)
      if (answer !== undefined) this.#socket.write(answer)
      return
    }
    switch (message.type) {
      case 'backendKeyData':
        this.#processId = message.processId
        this.#cancelKey = Buffer.from(message.secret)
        return
      case 'parameterStatus':
        this.#reported.set(message.name.toLowerCase(), message.value)
        return
      case 'readyForQuery':
        return
      case 'rowDescription':
      case 'commandComplete':
        if (this.#asking) return
        break
      case 'dataRow':
        if (!this.#asking) break
        this.#row = message.values.map((value) => value?.toString() ?? '')
        return
      default:
    }
    throw unacceptable(`sent ${message.type} during the login`)
  }
}

function unacceptable(message: string): ServerProblem {
  return new ServerProblem('unacceptable', message)
}
