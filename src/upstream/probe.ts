// Connects to one server as a session would, with TLS as its mode demands, and leaves before the login.
// Ignorant of logins, and of other servers.

import { TLSSocket } from 'node:tls'
import { isLoopback } from './open.ts'
import { ServerProblem } from './problem.ts'
import type { Server } from './target.ts'
import { attempts, openTransport, prepare } from './tls.ts'

export interface Probed {
  readonly loopback: boolean
  /** DER; undefined where there is no TLS. */
  readonly certificate: Buffer | undefined
}

/** Throws a ServerProblem, or a Failure for certificates of ours that cannot be used. */
export async function probe(server: Server, signal: AbortSignal): Promise<Probed> {
  const prepared = prepare(server)
  const [first, second] = attempts[server.tls.mode]
  const { socket } = await openTransport(prepared, first, signal).catch((error: unknown) => {
    const other = error instanceof ServerProblem && error.kind === 'tls' ? second : undefined
    if (other === undefined) throw error
    return openTransport(prepared, other, signal)
  })
  try {
    const { remoteAddress = server.host } = socket
    const certificate = socket instanceof TLSSocket ? socket.getPeerCertificate().raw : undefined
    return { loopback: isLoopback(remoteAddress), certificate }
  } finally {
    socket.destroy()
  }
}
