// A sink that is a syslog server: one connection, over TLS but on this machine. Syslog confirms nothing, so
// what was written counts when its connection has lived on for a while. Ignorant of files and of retries.
// RFC 5425 (TLS), RFC 6587 (TCP).

import net from 'node:net'
import { hostname } from 'node:os'
import tls from 'node:tls'
import type { Shipment } from '../audit/outbox.ts'
import type { SyslogSettings } from '../audit/sink-settings.ts'
import { type Sink, SinkProblem } from './sink.ts'
import { syslogFrame } from './syslog-message.ts'
import { tlsOptions } from './tls.ts'

const connectMs = 10_000
const writeMs = 30_000

export class SyslogSink implements Sink {
  readonly settleMs: number
  readonly #settings: SyslogSettings
  readonly #speaker = { host: hostname(), processId: process.pid }
  #line: Line | undefined

  constructor(settings: SyslogSettings, settleMs = 5_000) {
    this.#settings = settings
    this.settleMs = settleMs
  }

  async send(batch: readonly Shipment[], signal: AbortSignal): Promise<void> {
    const line = this.#line
    if (line?.broken !== undefined) {
      // Said before anything goes over a new one: what went over this one has to go first.
      this.#hangUp()
      throw line.broken
    }
    if (batch.length === 0) return
    this.#line ??= await connect(this.#settings, signal)
    const open = this.#line
    try {
      const frames = batch.map((shipment) => syslogFrame(shipment, this.#speaker))
      await within(writeMs, signal, 'took nothing', (done) =>
        open.write(Buffer.concat(frames), done),
      )
    } catch (error) {
      this.#hangUp()
      throw error
    }
  }

  async close(): Promise<void> {
    this.#line?.end()
    this.#line = undefined
  }

  #hangUp(): void {
    this.#line?.destroy()
    this.#line = undefined
  }
}

type Done = (error?: Error | null) => void

/** A connection that knows since when it is none. */
class Line {
  readonly #socket: net.Socket
  readonly #waiting = new Set<Done>()
  broken: SinkProblem | undefined

  constructor(socket: net.Socket) {
    this.#socket = socket
    socket.setKeepAlive(true, 10_000)
    // A server has nothing to say here; what it says all the same is not kept.
    socket.resume()
    socket.on('error', (error) => this.#break(`the connection broke (${codeOf(error)})`))
    socket.on('end', () => this.#break('the server ended the connection'))
    socket.on('close', () => this.#break('the connection was closed'))
  }

  write(bytes: Buffer, done: Done): void {
    this.#waiting.add(done)
    this.#socket.write(bytes, (error) => {
      if (this.#waiting.delete(done)) done(error)
    })
  }

  end(): void {
    this.#socket.end()
    this.#socket.unref()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #break(why: string): void {
    this.broken ??= new SinkProblem(why)
    for (const done of this.#waiting) done(this.broken)
    this.#waiting.clear()
  }
}

async function connect(settings: SyslogSettings, signal: AbortSignal): Promise<Line> {
  const { host, port } = settings
  const bare = host.replace(/^\[(.*)\]$/, '$1')
  const socket =
    settings.tls === undefined
      ? net.connect({ host: bare, port })
      : tls.connect({
          host: bare,
          port,
          // SNI carries names only.
          ...(net.isIP(bare) === 0 ? { servername: bare } : {}),
          ...tlsOptions(settings.tls),
        })
  try {
    await within(connectMs, signal, 'does not answer', (done) => {
      socket.once(settings.tls === undefined ? 'connect' : 'secureConnect', () => done())
      socket.once('error', (error: Error) =>
        done(new SinkProblem(`no connection (${codeOf(error)})`)),
      )
    })
  } catch (error) {
    // Whatever it still says of itself, nobody waits for it.
    socket.on('error', () => undefined).destroy()
    throw error
  }
  return new Line(socket)
}

function within(
  ms: number,
  signal: AbortSignal,
  what: string,
  begin: (done: Done) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const done: Done = (error) => {
      clearTimeout(limit)
      signal.removeEventListener('abort', abort)
      if (error) reject(error)
      else resolve()
    }
    const abort = (): void => done(new SinkProblem('pgwarden is being stopped'))
    const limit = setTimeout(() => done(new SinkProblem(`the server ${what} within ${ms} ms`)), ms)
    signal.addEventListener('abort', abort, { once: true })
    begin(done)
    if (signal.aborted) abort()
  })
}

/** A code where there is one: of a certificate's trouble too. */
function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message
}
