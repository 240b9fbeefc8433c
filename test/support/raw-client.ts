// A connection on which anything is said, and whose answers are kept as bytes. It never fails by itself:
// that the other side has gone is what a hostile client expects.

import net from 'node:net'

/** Of what is heard, so much is kept. */
const keptBytes = 256 * 1024

export class RawClient {
  readonly socket: net.Socket
  readonly #heard: Buffer[] = []
  #heardBytes = 0
  readonly #closed: Promise<void>

  private constructor(socket: net.Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => {
      if (this.#heardBytes < keptBytes) this.#heard.push(chunk)
      this.#heardBytes += chunk.length
    })
    socket.on('error', () => socket.destroy())
    this.#closed = new Promise((resolve) => {
      socket.once('close', () => resolve())
    })
  }

  static async dial(port: number): Promise<RawClient> {
    const socket = net.connect({ host: '127.0.0.1', port, allowHalfOpen: true, noDelay: true })
    await new Promise((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
    return new RawClient(socket)
  }

  /** On a connection that somebody else has opened and logged in. */
  static over(socket: net.Socket): RawClient {
    return new RawClient(socket)
  }

  get heard(): Buffer {
    return Buffer.concat(this.#heard)
  }

  say(bytes: Buffer): void {
    if (this.socket.writable) this.socket.write(bytes)
  }

  /** Says no more and waits until the other side has ended the connection too. */
  async leave(limitMs: number): Promise<void> {
    this.socket.resume()
    this.socket.end()
    const late = new AbortController()
    const timer = setTimeout(() => {
      late.abort()
      this.socket.destroy()
    }, limitMs)
    await this.#closed
    clearTimeout(timer)
    if (late.signal.aborted) throw new Error(`the connection was still open after ${limitMs} ms`)
  }

  /** Is gone from one moment to the next. */
  vanish(): void {
    this.socket.resetAndDestroy()
  }
}
