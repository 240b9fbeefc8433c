// One door of the data plane: accepts connections within limits, has load balancers say whose theirs are,
// gives each until a deadline to say who it is, answers every failure with an ErrorResponse, and closes
// everything when it stops.

import net, { type Socket } from 'node:net'
import { Failure } from '../errors.ts'
import { errorResponse } from '../wire/backend-encoder.ts'
import { Anteroom, type Guest } from './anteroom.ts'
import { Intake } from './intake.ts'
import { readIntroduction } from './introduction.ts'
import { tooManyConnections, tooManyOfAddress, tooSlow } from './limit-refusals.ts'
import { Line } from './line.ts'
import { asFailure } from './login.ts'
import { Networks, networkOf } from './networks.ts'
import { Places, type Taken } from './places.ts'
import type { Attendance, Certificates } from './ports.ts'
import type { Authentication } from './proof.ts'
import { type Entrance, type Hall, type Place, type ServeDependencies, serve } from './serve.ts'
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
  /** CIDR ranges of load balancers: from there a connection must begin with a PROXY protocol header. */
  readonly proxyProtocolFrom: readonly string[]
  readonly maxConnections: number
  /** Of one client's address (of IPv6, one /64); undefined: as many as there are. */
  readonly maxConnectionsPerAddress: number | undefined
}

/** A connection, until it has a session. */
interface Visit extends Guest, Place {
  readonly line: Line
  /** What it takes of its address's places, once that is known. */
  ofAddress: Taken | undefined
  readonly deadline: NodeJS.Timeout
}

/** In a full house so many may still say that they only want something cancelled. */
const cancelPlaces = 32
/**
 * Who has connected when the listener closes may say so long what it came for: it would not know an error
 * that it is answered before.
 */
const heardOutMs = 1_000
/** And so many of an address that has all its connections. */
const cancelPlacesPerAddress = 4
/** How long sockets may take to close when the listener stops. */
const stopMs = 2_000

export class Listener {
  readonly #options: ListenerOptions
  readonly #deps: ServeDependencies
  readonly #server: net.Server
  readonly #tls: TlsDoor | undefined
  readonly #hall: Hall
  readonly #entrance: Entrance
  readonly #balancers: Networks
  readonly #lines = new Set<Line>()
  /** Those of whom it is not decided yet whether they get a session. */
  readonly #arrivals = new Set<Promise<void>>()
  /** Of these, those that came when all places were taken. */
  readonly #placeless = new Set<Line>()
  /** By address: those that may log in, sessions among them; and those that come when it has all of these. */
  readonly #ofAddress = new Places()
  readonly #beyond = new Places()
  /** Those that have a session. */
  readonly #sessions = new Set<Line>()
  readonly #anteroom: Anteroom

  /** Throws when the certificate or an address range cannot be used. */
  constructor(options: ListenerOptions, hall: Hall, deps: ServeDependencies) {
    this.#options = options
    this.#deps = deps
    this.#anteroom = new Anteroom(deps.clock)
    this.#hall = hall
    this.#balancers = new Networks(options.proxyProtocolFrom)
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

  get attendance(): Attendance {
    const { address, port, maxConnections: max } = this.#options
    const sessions = this.#sessions.size
    return { address, port, sessions, opening: this.#lines.size - sessions, max }
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
    const visit = this.#enter(raw)
    const { line } = visit
    try {
      await this.#receive(visit)
    } catch (error) {
      const failure = asFailure(error)
      meter.connection('rejected')
      const { code, sqlstate, cause } = failure
      const fields = { client: line.peer.name, code, sqlstate, err: cause }
      if (cause === undefined) log.debug(fields, failure.message)
      else log.warn(fields, failure.message)
      line.end(errorResponse(failure, 'FATAL'))
      visit.refused()
    } finally {
      clearTimeout(visit.deadline)
    }
  }

  /** Somebody has connected. From here on the place is free again when the connection is over. */
  #enter(raw: Socket): Visit {
    const line = new Line(raw)
    const dismiss = (failure: Failure): void => {
      // Nothing at all said: a health check. Something: somebody to be told.
      if (line.silent) raw.destroy()
      else line.end(errorResponse(failure))
    }
    const visit: Visit = {
      line,
      ofAddress: undefined,
      deadline: setTimeout(() => {
        this.#deps.meter.limitReached('startup_time')
        dismiss(tooSlow())
      }, this.#options.startupTimeoutMs),
      dismiss: () => {
        this.#free(visit)
        if (!line.socket.writableEnded) {
          dismiss(this.#hall.closing.aborted ? shuttingDown() : this.#houseIsFull())
        }
        line.socket.destroySoon()
      },
      heard: () => {
        clearTimeout(visit.deadline)
        this.#anteroom.leave(visit)
      },
      refused: () => {
        visit.ofAddress?.giveBack()
        if (!raw.destroyed) this.#anteroom.refuse(visit)
      },
    }
    this.#lines.add(line)
    this.#anteroom.enter(visit)
    raw.on('close', () => {
      this.#free(visit)
      this.#anteroom.leave(visit)
    })
    raw.setKeepAlive(true, 60_000)
    return visit
  }

  #free({ line, ofAddress }: Visit): void {
    this.#lines.delete(line)
    this.#placeless.delete(line)
    this.#sessions.delete(line)
    ofAddress?.giveBack()
  }

  async #receive(visit: Visit): Promise<void> {
    const { meter } = this.#deps
    const { line } = visit
    const placed = this.#makeRoom()
    if (!placed && this.#placeless.size >= cancelPlaces) throw this.#houseIsFull()
    if (!placed) this.#placeless.add(line)

    const intake = new Intake(line.raw)
    const known = await this.#introduced(line, intake)
    // Whoever is gone by now has freed its place, and would not free another one.
    const welcome = known && !line.raw.destroyed && this.#countAddress(visit)
    const opening = known ? await readStartup(line, intake, this.#tls) : undefined
    if (opening === undefined) {
      meter.connection('silent')
      line.destroy()
    } else if (opening.packet.type === 'cancelRequest') {
      clearTimeout(visit.deadline)
      meter.connection('cancel')
      await this.#hall.cancelRequests.handle(opening.packet, opening.peer)
      line.end()
    } else {
      if (this.#hall.closing.aborted) throw shuttingDown()
      if (!placed) throw this.#houseIsFull()
      if (!welcome) throw this.#addressIsFull()
      meter.connection('login')
      await serve(opening, opening.packet, visit, this.#entrance, this.#hall, this.#deps)
      if (this.#lines.has(line)) this.#sessions.add(line)
    }
  }

  /** Whether it is known whose connection it is; false when it ended before that. */
  async #introduced(line: Line, intake: Intake): Promise<boolean> {
    if (!this.#balancers.has(line.peer.address)) return true
    try {
      return await readIntroduction(line, intake)
    } catch (error) {
      this.#deps.meter.proxyProtocolError()
      throw error
    }
  }

  /** Takes one of the address's places. False: it has none left, and may only cancel. */
  #countAddress(visit: Visit): boolean {
    const network = networkOf(visit.line.peer.address)
    visit.ofAddress = this.#ofAddress.take(network, this.#options.maxConnectionsPerAddress)
    if (visit.ofAddress !== undefined) return true
    visit.ofAddress = this.#beyond.take(network, cancelPlacesPerAddress)
    if (visit.ofAddress === undefined) throw this.#addressIsFull()
    return false
  }

  #houseIsFull(): Failure {
    this.#deps.meter.limitReached('connections')
    return tooManyConnections()
  }

  #addressIsFull(): Failure {
    this.#deps.meter.limitReached('connections_per_address')
    return tooManyOfAddress(this.#options.maxConnectionsPerAddress)
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
