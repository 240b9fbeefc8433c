// A client that says exactly what a test tells it to, byte for byte, and hears everything.

import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Secret } from '../../src/secret.ts'
import { type BackendMessage, decodeBackend } from '../../src/wire/backend.ts'
import { encodeFrontend, type FrontendMessage } from '../../src/wire/frontend.ts'
import { ScramClient } from '../../src/wire/scram-client.ts'
import { encodeStartup } from '../../src/wire/startup.ts'

/** The body of a SASLInitialResponse. */
export function saslStart(mechanism: string, data: Buffer | null): Buffer {
  const length = Buffer.alloc(4)
  length.writeInt32BE(data?.length ?? -1)
  return Buffer.concat([Buffer.from(`${mechanism}\0`), length, data ?? Buffer.alloc(0)])
}

export class WireClient {
  readonly socket: net.Socket
  readonly localPort: number
  readonly heard: BackendMessage[] = []
  ended = false
  /** What the server gave to cancel by. */
  key: { readonly processId: number; readonly secret: Buffer } | undefined
  #bytes = Buffer.alloc(0)

  private constructor(socket: net.Socket) {
    this.socket = socket
    this.localPort = socket.localPort ?? 0
    socket.on('data', (chunk: Buffer) => this.#read(chunk))
    socket.on('end', () => {
      this.ended = true
    })
    socket.on('error', () => {
      this.ended = true
    })
    socket.on('close', () => {
      this.ended = true
    })
  }

  /** A TCP connection on which nothing has been said. `from`: an address of this machine's loopback. */
  static async dial(port: number, from = '127.0.0.1'): Promise<WireClient> {
    const host = net.isIPv6(from) ? '::1' : '127.0.0.1'
    const options = { host, port, localAddress: from, allowHalfOpen: true, noDelay: true }
    const socket = net.connect(options)
    await new Promise((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
    return new WireClient(socket)
  }

  /** On a connection that somebody else has opened and logged in. */
  static over(socket: net.Socket): WireClient {
    const client = new WireClient(socket)
    socket.resume()
    return client
  }

  /** Logged in, with the greeting heard. */
  static async logIn(
    port: number,
    login: { readonly user: string; readonly password: string },
    parameters: Readonly<Record<string, string>> = {},
  ): Promise<WireClient> {
    const client = await WireClient.dial(port)
    await client.logsIn(login, parameters)
    return client
  }

  /** From the startup packet to the end of the greeting. */
  async logsIn(
    login: { readonly user: string; readonly password: string },
    parameters: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    this.startup({ user: login.user, database: 'shop', ...parameters })
    await this.proves(login.password)
    await this.hears('readyForQuery')
  }

  /**
   * Proves by SCRAM to have this token, after a startup packet, and says `behind` in the same breath.
   * What comes of it is still to be heard.
   */
  async proves(token: string, ...behind: readonly Buffer[]): Promise<void> {
    const scram = new ScramClient({ password: new Secret(token), binding: { type: 'none' } })
    await this.hears('authenticationSASL')
    this.says({ type: 'password', data: saslStart('SCRAM-SHA-256', scram.first()) })
    const challenge = (await this.hears('authenticationSASLContinue')).at(-1)
    if (challenge?.type !== 'authenticationSASLContinue') throw new Error('no challenge')
    const final = encodeFrontend({ type: 'password', data: await scram.final(challenge.data) })
    this.socket.write(Buffer.concat([final, ...behind]))
  }

  startup(parameters: Readonly<Record<string, string>>): void {
    this.socket.write(encodeStartup(Object.entries(parameters)))
  }

  says(...messages: readonly FrontendMessage[]): void {
    this.socket.write(Buffer.concat(messages.map(encodeFrontend)))
  }

  query(text: string): void {
    this.says({ type: 'query', text: Buffer.from(text) })
  }

  /** All up to the first message of this type; throws when the connection ends or time runs out. */
  async hears(type: BackendMessage['type'], limitMs = 10_000): Promise<readonly BackendMessage[]> {
    const deadline = Date.now() + limitMs
    for (;;) {
      const at = this.heard.findIndex((message) => message.type === type)
      if (at >= 0) return this.heard.splice(0, at + 1)
      if (this.ended) throw new Error(`ended, having said ${JSON.stringify(this.heard)}`)
      if (Date.now() > deadline) throw new Error(`no ${type}, only ${JSON.stringify(this.heard)}`)
      await sleep(5)
    }
  }

  /** Everything until the other side ends the connection. */
  async hearsTheEnd(limitMs = 15_000): Promise<readonly BackendMessage[]> {
    const deadline = Date.now() + limitMs
    while (!this.ended) {
      if (Date.now() > deadline) throw new Error('the connection was not ended')
      await sleep(5)
    }
    return this.heard.splice(0)
  }

  close(): void {
    this.socket.destroy()
  }

  #read(chunk: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk])
    let at = 0
    while (this.#bytes.length - at >= 5) {
      const end = at + 1 + this.#bytes.readInt32BE(at + 1)
      if (this.#bytes.length < end) break
      const message = decodeBackend(Buffer.from(this.#bytes.subarray(at, end)), 0, end - at)
      if (message.type === 'backendKeyData') this.key = message
      this.heard.push(message)
      at = end
    }
    this.#bytes = this.#bytes.subarray(at)
  }
}
