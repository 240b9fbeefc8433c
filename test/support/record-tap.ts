// A TCP relay in front of a server with TLS, which sees how large the records are that it sends. It can
// read nothing in them.
// RFC 8446, section 5 (the record layer).

import net from 'node:net'
import { type Forwarder, join, listenWith } from './forwarder.ts'

const headerBytes = 5

export class RecordTap {
  /** Of one record's content, as its header tells it. */
  largest = 0
  /** Of all records. */
  bytes = 0
  readonly #forwarder: Forwarder

  private constructor(forwarder: Forwarder) {
    this.#forwarder = forwarder
  }

  static async start(target: number): Promise<RecordTap> {
    const forwarder = await listenWith((client) => {
      const server = net.connect(target, '127.0.0.1')
      join(client, server)
      tap.#watch(server)
    })
    const tap = new RecordTap(forwarder)
    return tap
  }

  get port(): number {
    return this.#forwarder.port
  }

  stop(): Promise<void> {
    return this.#forwarder.close()
  }

  #watch(server: net.Socket): void {
    let waiting = Buffer.alloc(0)
    // The answer to the SSLRequest comes first, one byte.
    let skip = 1
    server.on('data', (chunk: Buffer) => {
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
