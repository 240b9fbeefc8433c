// The line between pgwarden and a server, at an address that stays: listened to, cut and mended as a test
// wants it.

import { once } from 'node:events'
import net from 'node:net'
import { join } from './forwarder.ts'

export class Line {
  readonly #server: net.Server
  readonly #sockets = new Set<net.Socket>()
  readonly port: number
  /** What the server has said. */
  heard = ''

  private constructor(server: net.Server, port: number) {
    this.#server = server
    this.port = port
  }

  static async to(host: string, port: number): Promise<Line> {
    const server = net.createServer((client) => {
      const upstream = net.connect({ host, port })
      for (const socket of [client, upstream]) {
        line.#sockets.add(socket)
        socket.on('close', () => line.#sockets.delete(socket))
      }
      upstream.on('data', (chunk: Buffer) => {
        line.heard += chunk.toString('utf8')
      })
      join(client, upstream)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('a TCP server has a port')
    const line = new Line(server, address.port)
    return line
  }

  /** From now on connections are refused, as by a machine whose server is stopped. */
  async cut(): Promise<void> {
    if (!this.#server.listening) return
    const closed = once(this.#server, 'close')
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  async mend(): Promise<void> {
    this.#server.listen(this.port, '127.0.0.1')
    await once(this.#server, 'listening')
  }
}
