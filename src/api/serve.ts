// Gives the control plane a socket: listens, with TLS where there is a certificate, and closes within a
// limit however long clients keep their connections. A renewed certificate is shown from the next connection
// on. Ignorant of routes.

import { Server } from 'node:http'
import { createServer as createTlsServer, Server as TlsServer } from 'node:https'
import { createAdaptorServer } from '@hono/node-server'
import type { Hono } from 'hono'
import { Failure } from '../errors.ts'
import type { Secret } from '../secret.ts'

/** Another object in `current` whenever it was renewed. */
interface Certificates {
  readonly current: { readonly chain: string; readonly key: Secret }
}

export interface ListenOptions {
  readonly address: string
  /** 0 takes any free port. */
  readonly port: number
  /** With them it speaks TLS, and nothing else on this port. */
  readonly certificates?: Certificates | undefined
}

export interface ServedApi {
  readonly port: number
  /** Stops accepting, lets requests that are running finish for a while, then ends every connection. */
  close(): Promise<void>
}

/** Slow clients must not hold a connection for nothing. */
const headersTimeout = 10_000
const requestTimeout = 30_000
/** Longer than any answer takes, and than a stream is silent: who reads nothing for so long is gone. */
const idleTimeout = 60_000
const closeLimitMs = 3_000
/** Stands for the Host that load balancers leave out of their health checks, by HTTP/1.0. */
const unnamed = 'pgwarden'

/** Throws a Failure with a sentence for the operator when the address cannot be had. */
export async function serveApi(
  app: Pick<Hono, 'fetch'>,
  options: ListenOptions,
): Promise<ServedApi> {
  const { certificates } = options
  const serverOptions = { headersTimeout, requestTimeout }
  const shared = { fetch: app.fetch, serverOptions, hostname: unnamed }
  const server = createAdaptorServer(
    certificates === undefined ? shared : { ...shared, createServer: createTlsServer },
  )
  if (!(server instanceof Server || server instanceof TlsServer)) {
    throw new TypeError('the control plane speaks HTTP/1.1 only')
  }
  server.setTimeout(idleTimeout)
  if (certificates !== undefined && server instanceof TlsServer) showCurrent(server, certificates)
  await listen(server, options)
  const bound = server.address()
  return {
    port: typeof bound === 'object' && bound !== null ? bound.port : options.port,
    close: () => closeServer(server),
  }
}

/** Before the handshake of each connection, so that nobody who comes after a renewal sees the old one. */
function showCurrent(server: TlsServer, certificates: Certificates): void {
  let shown: Certificates['current'] | undefined
  const show = (): void => {
    const { current } = certificates
    if (current === shown) return
    server.setSecureContext({
      cert: current.chain,
      key: current.key.reveal(),
      minVersion: 'TLSv1.2',
    })
    shown = current
  }
  show()
  server.prependListener('connection', show)
}

function listen(server: Server | TlsServer, { address, port }: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const refuse = (error: Error): void => reject(cannotListen(error, address, port))
    server.once('error', refuse)
    server.listen(port, address, () => {
      server.off('error', refuse)
      resolve()
    })
  })
}

function closeServer(server: Server | TlsServer): Promise<void> {
  return new Promise((resolve) => {
    const limit = setTimeout(() => server.closeAllConnections(), closeLimitMs)
    server.close(() => {
      clearTimeout(limit)
      resolve()
    })
    server.closeIdleConnections()
  })
}

function cannotListen(error: Error, address: string, port: number): Failure {
  const code = 'code' in error ? error.code : undefined
  const reasons = new Map<unknown, string>([
    ['EADDRINUSE', 'another process is using that port'],
    ['EACCES', 'this process may not use that port'],
    ['EADDRNOTAVAIL', 'this machine does not have that address'],
  ])
  return new Failure(
    'invalid_configuration',
    {
      message: `the control plane cannot listen on ${address}:${port}: ${reasons.get(code) ?? error.message}`,
      hint: 'Stop the other process or choose another address or port.',
    },
    { cause: error },
  )
}
