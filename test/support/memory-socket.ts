// A socket without a network: what a test feeds it is read from it, what is written to it is kept.

import { Socket } from 'node:net'

export class MemorySocket extends Socket {
  readonly written: Buffer[] = []

  /** What the peer sends. */
  feed(bytes: Buffer): void {
    this.push(bytes)
  }

  /** The peer has closed its side. */
  feedEnd(): void {
    this.push(null)
  }

  override _read(): void {
    // What is fed is there already.
  }

  override _write(said: Buffer | string, _: BufferEncoding, done: () => void): void {
    this.written.push(Buffer.from(said))
    done()
  }

  override _final(done: () => void): void {
    done()
  }
}
