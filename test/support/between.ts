// A TCP server in front of the target's, in whose hands a test has every byte and every connection.

import net from 'node:net'
import { type Forwarder, listenWith } from './forwarder.ts'

const cancelRequestCode = 80877102

export class Between {
  /** Open connections to the target, first to last. */
  readonly pairs: { readonly client: net.Socket; readonly upstream: net.Socket }[] = []
  /** A CancelRequest has come; it goes on when this resolves. */
  onCancel: () => Promise<void> = () => Promise.resolve()
  /** What becomes of a chunk of the target's. */
  fromTarget: (chunk: Buffer, client: net.Socket) => void = (chunk, client) => {
    client.write(chunk)
  }
  readonly #forwarder: Forwarder

  private constructor(forwarder: Forwarder) {
    this.#forwarder = forwarder
  }

  static async start(adminUrl: string): Promise<Between> {
    const { hostname, port } = new URL(adminUrl)
    const forwarder = await listenWith(
      (client) => between.#join(client, hostname, Number(port || 5432)),
      { allowHalfOpen: true },
    )
    const between = new Between(forwarder)
    return between
  }

  get port(): number {
    return this.#forwarder.port
  }

  stop(): Promise<void> {
    return this.#forwarder.close()
  }

  #join(client: net.Socket, host: string, port: number): void {
    const upstream = net.connect({ host, port, allowHalfOpen: true, noDelay: true })
    this.pairs.push({ client, upstream })
    client.on('error', () => upstream.destroy())
    upstream.on('error', () => client.destroy())
    client.on('data', (chunk: Buffer) => {
      const cancels = chunk.length >= 16 && chunk.readInt32BE(4) === cancelRequestCode
      if (cancels) void this.onCancel().then(() => upstream.write(chunk))
      else upstream.write(chunk)
    })
    client.on('end', () => upstream.end())
    client.on('close', () => upstream.destroy())
    upstream.on('data', (chunk: Buffer) => this.fromTarget(chunk, client))
    upstream.on('end', () => client.end())
    upstream.on('close', () => client.destroy())
  }
}
