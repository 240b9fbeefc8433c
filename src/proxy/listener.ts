// The data plane's front door: accepts connections within limits, gives each until a deadline to say
// who it is, answers every failure with an ErrorResponse, and closes everything when it stops.

import net, { BlockList, isIPv6, type Socket } from 'node:net'
import { createSecureContext, type SecureContext } from 'node:tls'
import { cancelRecord } from '../audit/record.ts'
import { Failure } from '../errors.ts'
import { errorResponse } from '../wire/backend.ts'
import { Anteroom, type Guest } from './anteroom.ts'
import { Cancels } from './cancel.ts'
import { asFailure } from './login.ts'
import { peerOf } from './peer.ts'
import { endSocket } from './relay.ts'
import { type Hall, type ServeDependencies, serve } from './serve.ts'
import { Sessions } from './sessions.ts'
import { readStartup } from './startup.ts'

export interface ListenerOptions {
  readonly address: string
  readonly port: number
  readonly tls: { readonly certificate: string; readonly key: string } | undefined
  /** CIDR ranges from which a client may log in without TLS. */
  readonly allowPlaintextFrom: readonly string[]
  /** From the first byte to the password. */
  readonly startupTimeoutMs: number
  readonly maxConnections: number
  readonly maxStatementBytes: number
}

/** How long sockets may take to close when the listener stops. */
const stopMs = 2_000

export class Listener {
  readonly #options: ListenerOptions
  readonly #deps: ServeDependencies
  readonly #server: net.Server
  readonly #secureContext: SecureContext | undefined
  readonly #hall: Hall
  readonly #sockets = new Set<Socket>()
  readonly #anteroom: Anteroom
  #unknownCancelAt = Number.NEGATIVE_INFINITY

  /** Throws when the certificate, its key or an address range cannot be used. */
  constructor(options: ListenerOptions, deps: ServeDependencies) {
    this.#options = options
    this.#deps = deps
    this.#anteroom = new Anteroom(deps.clock)
    this.#secureContext =
      options.tls &&
      createSecureContext({
        cert: options.tls.certificate,
        key: options.tls.key,
        minVersion: 'TLSv1.2',
      })
    const sessions = new Sessions(deps.clock, (grantId) => {
      deps.credentials.endGrant(grantId).catch((error: unknown) => {
        deps.log.error({ grantId, err: error }, 'credentials of an ended grant were not revoked')
      })
    })
    this.#hall = {
      cancels: new Cancels(),
      sessions,
      plaintext: ranges(options.allowPlaintextFrom),
      maxStatementBytes: options.maxStatementBytes,
    }
    // Half open: a client may shut its side down and still wait for its last answer.
    this.#server = net.createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true })
    this.#server.on('connection', (socket) => void this.#accept(socket))
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
    this.#hall.sessions.start()
    const bound = this.#server.address()
    return typeof bound === 'object' && bound !== null ? bound.port : port
  }

  /** Accepts nothing more, tells every session why, and returns when the sockets are closed. */
  async stop(): Promise<void> {
    this.#hall.sessions.stop()
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
    })
    this.#hall.sessions.endAll(shutdown())
    const timer = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy()
    }, stopMs)
    await closed
    clearTimeout(timer)
  }

  async #accept(raw: Socket): Promise<void> {
    const { log, meter } = this.#deps
    let socket = raw
    this.#sockets.add(raw)
    const guest: Guest = {
      dismiss: () => {
        this.#sockets.delete(raw)
        if (!socket.writableEnded) dismiss(tooMany())
        raw.destroySoon()
      },
    }
    this.#anteroom.enter(guest)
    raw.on('close', () => {
      this.#sockets.delete(raw)
      this.#anteroom.leave(guest)
    })
    // Until the relay takes over, an error on the socket only means that the peer is gone.
    raw.on('error', () => raw.destroy())
    raw.setKeepAlive(true, 60_000)
    const dismiss = (failure: Failure): void => {
      // Nothing at all said: a health check. Something: somebody to be told.
      if (raw.bytesRead === 0) raw.destroy()
      else endSocket(socket, errorResponse(failure))
    }
    const deadline = setTimeout(() => dismiss(tooSlow()), this.#options.startupTimeoutMs)
    try {
      while (this.#sockets.size > this.#options.maxConnections) {
        if (!this.#anteroom.makeRoom()) throw tooMany()
      }
      const opening = await readStartup(raw, this.#secureContext, (tls) => {
        socket = tls
        tls.on('error', () => tls.destroy())
      })
      if (opening === undefined) {
        meter.connection('silent')
        raw.destroy()
      } else if (opening.packet.type === 'cancelRequest') {
        clearTimeout(deadline)
        meter.connection('cancel')
        await this.#cancel(socket, opening.packet)
        endSocket(socket)
      } else {
        meter.connection('login')
        const heard = (): void => {
          clearTimeout(deadline)
          this.#anteroom.leave(guest)
        }
        await serve(opening, opening.packet, heard, this.#hall, this.#deps)
      }
    } catch (error) {
      const failure = asFailure(error)
      meter.connection('rejected')
      const fields = { code: failure.code, sqlstate: failure.sqlstate, err: failure.cause }
      if (failure.cause === undefined) log.debug(fields, failure.message)
      else log.warn(fields, failure.message)
      endSocket(socket, errorResponse(failure, 'FATAL'))
      if (!raw.destroyed) this.#anteroom.refuse(guest)
    } finally {
      clearTimeout(deadline)
    }
  }

  /** Answered with nothing, whatever the key; the caller closes only when the upstream has. */
  async #cancel(
    socket: Socket,
    request: { readonly processId: number; readonly secret: Buffer },
  ): Promise<void> {
    const { result, sessionId } = await this.#hall.cancels.request(
      request.processId,
      request.secret,
    )
    this.#deps.meter.cancel(result)
    if (result === 'unknown' && !this.#mayRecordUnknown()) return
    this.#deps.journal.append(
      cancelRecord({ result, client: peerOf(socket).name, session: sessionId }),
    )
  }

  /** Anybody can send a cancel request with any key: one a second is recorded, all are counted. */
  #mayRecordUnknown(): boolean {
    const now = this.#deps.clock.elapsed()
    if (now - this.#unknownCancelAt < 1_000) return false
    this.#unknownCancelAt = now
    return true
  }
}

function ranges(cidrs: readonly string[]): BlockList {
  const list = new BlockList()
  for (const cidr of cidrs) {
    const [address = '', prefix] = cidr.split('/')
    const family = isIPv6(address) ? 'ipv6' : 'ipv4'
    if (prefix === undefined) list.addAddress(address, family)
    else list.addSubnet(address, Number(prefix), family)
  }
  return list
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

function shutdown(): Failure {
  return new Failure('session_terminated', {
    message: 'terminating connection due to administrator command',
    detail: 'pgwarden is shutting down.',
    hint: 'Connect again in a moment.',
  })
}
