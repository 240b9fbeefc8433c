// A TCP relay in front of a server with TLS, which sees how large the records are that it sends. It can
// read nothing in them.
// RFC 8446, section 5 (the record layer).

import { once } from 'node:events'
import net from 'node:net'

const headerBytes = 5

export class RecordTap {
  readonly port: number
  /** Of one record's content, as its header tells it. */
  largest = 0
  /** Of all records. */
  bytes = 0
  readonly #server: net.Server

  private constructor(server: net.Server, port: number) {
    this.#server = server
    this.port = port
  }

  static async start(target: number): Promise<RecordTap> {
    const server = net.createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('a TCP server has a port')
    const tap = new RecordTap(server, address.port)
    server.on('connection', (client) => {
      const upstream = net.connect(target, '127.0.0.1')
      client.pipe(upstream).pipe(client)
      tap.#watch(upstream)
      for (const socket of [client, upstream]) socket.on('error', () => socket.destroy())
    })
    return tap
  }

  async stop(): Promise<void> {
    this.#server.close()
    await once(this.#server, 'close')
  }

  #watch(upstream: net.Socket): void {
    let waiting = Buffer.alloc(0)
    // The answer to the SSLRequest comes first, one byte.
    let skip = 1
    upstream.on('data', (chunk: Buffer) => {
      waiting = Buffer.concat([waiting, chunk])
      while (waiting.length >= skip + headerBytes) {
        const length = waiting.readUInt16BE(skip + 3)
        waiting = waiting.subarray(skip + headerBytes)
        this.largest = Math.max(this.largest, length)
        this.bytes += length
        skip = length
      }
    })
  }
}
