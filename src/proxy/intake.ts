// Reads exactly so many bytes from a socket that has not logged in yet, and leaves everything behind
// them in the socket. Bounded by what is asked for; a deadline belongs to the caller.

import type { Duplex } from 'node:stream'

export class Intake {
  readonly #stream: Duplex
  #held: Buffer = Buffer.alloc(0)

  /** The stream must be paused, without data listeners. */
  constructor(stream: Duplex) {
    this.#stream = stream
  }

  /** True when bytes are already here that nobody asked for. */
  get ahead(): boolean {
    this.#take()
    return this.#held.length > 0
  }

  /** The next byte, which stays; undefined when the stream ends first. */
  async peek(): Promise<number | undefined> {
    const first = await this.bytes(1)
    if (first !== undefined) this.#held = Buffer.concat([first, this.#held])
    return first?.[0]
  }

  /** The next `count` bytes; undefined when the stream ends first. */
  async bytes(count: number): Promise<Buffer | undefined> {
    while (this.#held.length < count) {
      this.#take()
      if (this.#held.length < count && !(await this.#more())) return undefined
    }
    const bytes = this.#held.subarray(0, count)
    this.#held = this.#held.subarray(count)
    return bytes
  }

  /** What has been read and not asked for. The caller's from now on. */
  rest(): Buffer {
    const rest = this.#held
    this.#held = Buffer.alloc(0)
    return rest
  }

  #take(): void {
    // The stream's own high-water mark bounds what one read can bring.
    const chunk: unknown = this.#stream.read()
    if (Buffer.isBuffer(chunk)) {
      this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk])
    }
  }

  /** False when no more will come. */
  async #more(): Promise<boolean> {
    const stream = this.#stream
    if (stream.readableEnded || stream.destroyed) return false
    return new Promise((resolve) => {
      const settle = (more: boolean) => (): void => {
        stream.off('readable', readable)
        stream.off('end', ended)
        stream.off('close', ended)
        stream.off('error', ended)
        resolve(more)
      }
      const readable = settle(true)
      const ended = settle(false)
      stream.on('readable', readable)
      stream.on('end', ended)
      stream.on('close', ended)
      stream.on('error', ended)
    })
  }
}
