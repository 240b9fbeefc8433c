// A wire tap: stands between two that speak PostgreSQL's protocol in the clear, hands everything on and
// keeps it. It can also answer in the place of the server.

import net, { type Server, type Socket } from 'node:net'
import { backend } from '../../src/wire/backend.ts'
import { frontend } from '../../src/wire/frontend.ts'

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
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  private constructor(server: Server, serverPort: number) {
    this.#server = server
    server.on('connection', (socket) => this.#accept(socket, serverPort))
  }

  static async start(serverPort: number): Promise<Recorder> {
    const server = net.createServer({ noDelay: true })
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve)
    })
    return new Recorder(server, serverPort)
  }

  get port(): number {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('a TCP server has a port')
    return address.port
  }

  stop(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  #accept(client: Socket, serverPort: number): void {
    const tapped = new Tapped()
    this.connections.push(tapped)
    const server = net.connect({ host: '127.0.0.1', port: serverPort, noDelay: true })
    for (const socket of [client, server]) {
      this.#sockets.add(socket)
      socket.on('error', () => socket.destroy())
    }
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
