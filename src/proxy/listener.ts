// One door of the data plane: accepts connections within limits, gives each until a deadline to say
// who it is, answers every failure with an ErrorResponse, and closes everything when it stops.

import net, { type Socket } from 'node:net'
import { Failure } from '../errors.ts'
import { errorResponse } from '../wire/backend-encoder.ts'
import { Anteroom, type Guest } from './anteroom.ts'
import { Line } from './line.ts'
import { asFailure } from './login.ts'
import { Networks } from './networks.ts'
import { peerOf } from './peer.ts'
import type { Certificates } from './ports.ts'
import type { Authentication } from './proof.ts'
import { type Entrance, type Hall, type ServeDependencies, serve } from './serve.ts'
import { shuttingDown } from './shutdown.ts'
import { readStartup } from './startup.ts'
import { TlsDoor } from './tls.ts'

export interface ListenerOptions {
  readonly address: string
  readonly port: number
  /** Undefined: TLS is not offered. */
  readonly certificates: Certificates | undefined
  /** CIDR ranges from which a client may log in without TLS. */
  readonly allowPlaintextFrom: readonly string[]
  readonly authentication: Authentication
  /** From the connection to the last that a client says about itself: the proof of its token. */
  readonly startupTimeoutMs: number
  readonly maxConnections: number
}

/** In a full house so many may still say that they only want something cancelled. */
const cancelPlaces = 32
/**
 * Who has connected when the listener closes may say so long what it came for: it would not know an error
 * that it is answered before.
 */
const heardOutMs = 1_000
/** How long sockets may take to close when the listener stops. */
const stopMs = 2_000

export class Listener {
  readonly #options: ListenerOptions
  readonly #deps: ServeDependencies
  readonly #server: net.Server
  readonly #tls: TlsDoor | undefined
  readonly #hall: Hall
  readonly #entrance: Entrance
  readonly #lines = new Set<Line>()
  /** Those of whom it is not decided yet whether they get a session. */
  readonly #arrivals = new Set<Promise<void>>()
  /** Of these, those that came when all places were taken. */
  readonly #placeless = new Set<Line>()
  readonly #anteroom: Anteroom

  /** Throws when the certificate or an address range cannot be used. */
  constructor(options: ListenerOptions, hall: Hall, deps: ServeDependencies) {
    this.#options = options
    this.#deps = deps
    this.#anteroom = new Anteroom(deps.clock)
    this.#hall = hall
    this.#tls = options.certificates && new TlsDoor(options.certificates)
    this.#entrance = {
      plaintext: new Networks(options.allowPlaintextFrom),
      authentication: options.authentication,
    }
    // Half open: a client may shut its side down and still wait for its last answer.
    this.#server = net.createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true })
    this.#server.on('connection', (socket) => {
      const arrival = this.#accept(socket).finally(() => this.#arrivals.delete(arrival))
      this.#arrivals.add(arrival)
    })
  }

  /** Resolves with the port that is listened on. */
  async start(): Promise<number> {
    const { address, port } = this.#options
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error: NodeJS.ErrnoException) => {
        reject(cannotListen(error, port))
      })
      this.#server.listen({ host: address, port }, resolve)
    })
    this.#server.on('error', (error) => this.#deps.log.error({ err: error }, 'listener failed'))
    const bound = this.#server.address()
    return typeof bound === 'object' && bound !== null ? bound.port : port
  }

  /** Accepts nothing more. Resolves when whoever had connected before has a session, or was turned away. */
  async close(): Promise<void> {
    this.#server.close()
    const timer = setTimeout(() => this.#anteroom.clear(), heardOutMs)
    await Promise.all(this.#arrivals)
    clearTimeout(timer)
  }

  /** Accepts nothing more, and returns when the sockets are closed: somebody else ends the sessions. */
  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
    })
    const timer = setTimeout(() => {
      for (const line of this.#lines) line.destroy()
    }, stopMs)
    await closed
    clearTimeout(timer)
  }

  /** Frees a place for the newest line, if need be one of somebody without a session. False: there is none. */
  #makeRoom(): boolean {
    while (this.#lines.size - this.#placeless.size > this.#options.maxConnections) {
      if (!this.#anteroom.makeRoom()) return false
    }
    return true
  }

  async #accept(raw: Socket): Promise<void> {
    const { log, meter } = this.#deps
    const { name: client } = peerOf(raw)
    const line = new Line(raw)
    this.#lines.add(line)
    const guest: Guest = {
      dismiss: () => {
        this.#lines.delete(line)
        this.#placeless.delete(line)
        if (!line.socket.writableEnded)
          dismiss(this.#hall.closing.aborted ? shuttingDown() : tooMany())
        line.socket.destroySoon()
      },
    }
    this.#anteroom.enter(guest)
    raw.on('close', () => {
      this.#lines.delete(line)
      this.#placeless.delete(line)
      this.#anteroom.leave(guest)
    })
    raw.setKeepAlive(true, 60_000)
    const dismiss = (failure: Failure): void => {
      // Nothing at all said: a health check. Something: somebody to be told.
      if (raw.bytesRead === 0) raw.destroy()
      else line.end(errorResponse(failure))
    }
    const deadline = setTimeout(() => dismiss(tooSlow()), this.#options.startupTimeoutMs)
    try {
      const placed = this.#makeRoom()
      if (!placed && this.#placeless.size >= cancelPlaces) throw tooMany()
      if (!placed) this.#placeless.add(line)
      const opening = await readStartup(line, this.#tls)
      if (opening === undefined) {
        meter.connection('silent')
        line.destroy()
      } else if (opening.packet.type === 'cancelRequest') {
        clearTimeout(deadline)
        meter.connection('cancel')
        await this.#hall.cancelRequests.handle(opening.packet, peerOf(opening.socket))
        line.end()
      } else {
        if (this.#hall.closing.aborted) throw shuttingDown()
        if (!placed) throw tooMany()
        meter.connection('login')
        const place = {
          heard: () => {
            clearTimeout(deadline)
            this.#anteroom.leave(guest)
          },
          refused: () => {
            if (!raw.destroyed) this.#anteroom.refuse(guest)
          },
        }
        await serve(opening, opening.packet, place, this.#entrance, this.#hall, this.#deps)
      }
    } catch (error) {
      const failure = asFailure(error)
      meter.connection('rejected')
      const fields = { client, code: failure.code, sqlstate: failure.sqlstate, err: failure.cause }
      if (failure.cause === undefined) log.debug(fields, failure.message)
      else log.warn(fields, failure.message)
      line.end(errorResponse(failure, 'FATAL'))
      if (!raw.destroyed) this.#anteroom.refuse(guest)
    } finally {
      clearTimeout(deadline)
    }
  }
}

function cannotListen(error: NodeJS.ErrnoException, port: number): Failure {
  const busy = error.code === 'EADDRINUSE'
  return new Failure(
    'invalid_configuration',
    {
      message: busy ? `port ${port} is in use by another program` : `cannot listen on port ${port}`,
      hint: busy
        ? 'Stop that program, or choose another port (listen.port, or --port for the demo).'
        : `The system says: ${error.message}`,
    },
    { cause: error },
  )
}

function tooSlow(): Failure {
  return new Failure('login_timeout', { message: 'canceling authentication due to timeout' })
}

function tooMany(): Failure {
  return new Failure('too_many_connections', {
    message: 'sorry, too many clients already',
    hint: 'Try again later.',
  })
}
