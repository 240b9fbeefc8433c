// A wire tap: stands between two that speak PostgreSQL's protocol in the clear, hands everything on and
// keeps it. It can also answer in the place of the server.

import net, { type Socket } from 'node:net'
import { backend } from '../../src/wire/backend.ts'
import { frontend } from '../../src/wire/frontend.ts'
import { type Forwarder, listenWith } from './forwarder.ts'

/** One connection. Its startup packet is the beginning of `said`. */
export class Tapped {
  readonly #said: Buffer[] = []
  readonly #heard: Buffer[] = []

  /** By the one who connected. */
  get said(): Buffer {
    return Buffer.concat(this.#said)
  }

  /** From the server. */
  get heard(): Buffer {
    return Buffer.concat(this.#heard)
  }

  hears(bytes: Buffer): void {
    this.#heard.push(bytes)
  }

  says(bytes: Buffer): void {
    this.#said.push(bytes)
  }

  /** What the login's SASL exchange is made of: nonces, salt, proofs, signatures; both sides' parts. */
  get saslValues(): readonly string[] {
    const startupBytes = this.said.length < 4 ? 0 : this.said.readInt32BE(0)
    const answers = frames(this.said.subarray(startupBytes), frontend.password)
    const requests = frames(this.heard, backend.authentication)
    return [...answers, ...requests].flatMap((frame) =>
      [...frame.toString('latin1').matchAll(/[rspv]=([A-Za-z0-9+/=]{8,})/g)].map(
        ([, value = '']) => value,
      ),
    )
  }

  /** The secret of the BackendKeyData, if there was one. */
  get cancelSecret(): Buffer | undefined {
    return frames(this.heard, backend.backendKeyData)[0]?.subarray(9)
  }
}

export class Recorder {
  readonly connections: Tapped[] = []
  /** Given a startup packet, what to answer with before hanging up; undefined: the server answers. */
  instead: (startup: Buffer) => Buffer | undefined = () => undefined
  readonly #forwarder: Forwarder

  private constructor(forwarder: Forwarder) {
    this.#forwarder = forwarder
  }

  static async start(serverPort: number): Promise<Recorder> {
    const forwarder = await listenWith((client) => recorder.#accept(client, serverPort), {
      noDelay: true,
    })
    const recorder = new Recorder(forwarder)
    return recorder
  }

  get port(): number {
    return this.#forwarder.port
  }

  stop(): Promise<void> {
    return this.#forwarder.close()
  }

  #accept(client: Socket, serverPort: number): void {
    const tapped = new Tapped()
    this.connections.push(tapped)
    const server = net.connect({ host: '127.0.0.1', port: serverPort, noDelay: true })
    server.on('error', () => server.destroy())
    client.on('close', () => server.destroy())
    server.on('close', () => client.destroySoon())
    server.on('data', (chunk: Buffer) => {
      tapped.hears(chunk)
      client.write(chunk)
    })
    client.on('data', (chunk: Buffer) => {
      const first = tapped.said.length === 0
      tapped.says(chunk)
      const answer = first ? this.instead(chunk) : undefined
      if (answer === undefined) server.write(chunk)
      else {
        tapped.hears(answer)
        server.removeAllListeners('close')
        server.destroy()
        client.end(answer)
      }
    })
  }
}

/** The whole frames of one type. */
function frames(bytes: Buffer, type: number): readonly Buffer[] {
  const found: Buffer[] = []
  for (let at = 0; at + 5 <= bytes.length; ) {
    const end = at + 1 + bytes.readInt32BE(at + 1)
    if (bytes[at] === type) found.push(bytes.subarray(at, end))
    at = end
  }
  return found
}
