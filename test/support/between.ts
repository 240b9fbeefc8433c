// A TCP server in front of the target's, in whose hands a test has every byte and every connection.

import net from 'node:net'

const cancelRequestCode = 80877102

export class Between {
  readonly port: number
  /** Open connections to the target, first to last. */
  readonly pairs: { readonly client: net.Socket; readonly upstream: net.Socket }[] = []
  /** A CancelRequest has come; it goes on when this resolves. */
  onCancel: () => Promise<void> = () => Promise.resolve()
  /** What becomes of a chunk of the target's. */
  fromTarget: (chunk: Buffer, client: net.Socket) => void = (chunk, client) => {
    client.write(chunk)
  }
  readonly #server: net.Server

  private constructor(server: net.Server, port: number) {
    this.#server = server
    this.port = port
  }

  static async start(adminUrl: string): Promise<Between> {
    const { hostname, port } = new URL(adminUrl)
    const server = net.createServer({ allowHalfOpen: true })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    const own = typeof address === 'object' && address !== null ? address.port : 0
    const between = new Between(server, own)
    server.on('connection', (client) => between.#join(client, hostname, Number(port || 5432)))
    return between
  }

  async stop(): Promise<void> {
    for (const { client, upstream } of this.pairs) {
      client.destroy()
      upstream.destroy()
    }
    await new Promise((resolve) => this.#server.close(resolve))
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
