// A client for gigabytes: it counts what it hears instead of keeping it, and stops reading when it is
// told to. Plain or inside TLS.

import { once } from 'node:events'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import tls from 'node:tls'
import { upstreamFrames } from '../../src/wire/backend.ts'
import { FrameReader } from '../../src/wire/frames.ts'
import { encodeFrontend, type FrontendMessage } from '../../src/wire/frontend.ts'
import { encodeSslRequest } from '../../src/wire/startup.ts'
import { WireClient } from './wire-client.ts'

export class FlowClient {
  readonly socket: Socket
  /** Messages heard, by type letter. */
  readonly counts = new Map<string, number>()
  /** SQLSTATEs of the errors heard, in order. */
  readonly errors: string[] = []
  bytes = 0
  /** Of the largest message. */
  largest = 0

  private constructor(socket: Socket) {
    this.socket = socket
    const reader = new FrameReader(upstreamFrames, {
      begin: (type, size, bytes, start, end) => {
        const letter = String.fromCharCode(type)
        this.counts.set(letter, (this.counts.get(letter) ?? 0) + 1)
        this.largest = Math.max(this.largest, size)
        const code = letter === 'E' && /\0C(\w{5})\0/.exec(bytes.toString('latin1', start, end))
        if (code) this.errors.push(code[1] ?? '')
        return true
      },
      rest: () => undefined,
    })
    socket.removeAllListeners('data')
    socket.on('data', (chunk: Buffer) => {
      this.bytes += chunk.length
      reader.push(chunk)
    })
  }

  static async logIn(
    port: number,
    login: { readonly user: string; readonly password: string },
    security: 'plain' | 'tls' = 'plain',
  ): Promise<FlowClient> {
    const wire =
      security === 'plain' ? await WireClient.dial(port) : WireClient.over(await encrypted(port))
    wire.startup({ user: login.user, database: 'shop' })
    await wire.proves(login.password)
    await wire.hears('readyForQuery')
    return new FlowClient(wire.socket)
  }

  says(...messages: readonly FrontendMessage[]): void {
    this.socket.write(Buffer.concat(messages.map(encodeFrontend)))
  }

  /** Writes as fast as the other side takes it. */
  async streams(pieces: Iterable<Buffer>): Promise<void> {
    for (const piece of pieces) {
      if (!this.socket.write(piece)) await once(this.socket, 'drain')
    }
  }

  /** Until so many messages of a type have been heard. */
  async hears(letter: string, count: number, limitMs: number): Promise<void> {
    const deadline = Date.now() + limitMs
    while ((this.counts.get(letter) ?? 0) < count) {
      if (this.socket.destroyed || Date.now() > deadline) {
        throw new Error(`no ${count} of ${letter}, but ${JSON.stringify([...this.counts])}`)
      }
      await sleep(5)
    }
  }

  close(): void {
    this.socket.destroy()
  }
}

/** Whose certificate it is, is another test's business. */
async function encrypted(port: number): Promise<Socket> {
  const { socket } = await WireClient.dial(port)
  socket.removeAllListeners('data')
  socket.pause()
  socket.write(encodeSslRequest())
  await once(socket, 'readable')
  socket.read(1)
  const secure = tls.connect({ socket, rejectUnauthorized: false })
  await once(secure, 'secureConnect')
  return secure
}
