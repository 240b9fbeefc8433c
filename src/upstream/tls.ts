// TLS towards a server, by libpq's modes: whether it is asked for, and what is demanded of the
// certificate. Ignorant of what is said inside. ADR 0011 tells why the modes mean what they mean.
// PostgreSQL documentation, "SSL Session Encryption"; libpq, "SSL Support".

import { X509Certificate } from 'node:crypto'
import net from 'node:net'
import tls from 'node:tls'
import { Failure } from '../errors.ts'
import { tlsServerEndPoint } from '../wire/channel-binding.ts'
import { encodeSslRequest } from '../wire/startup.ts'
import { ServerProblem } from './problem.ts'
import { connected, dial, nextChunk, quiet, secured } from './socket.ts'
import type { Server, TlsMode } from './target.ts'

export type Encryption = 'none' | 'tls'

/** What is tried in a mode: the second only when the first is not what the server wants. */
export const attempts: Readonly<Record<TlsMode, readonly [Encryption, second?: Encryption]>> = {
  disable: ['none'],
  allow: ['none', 'tls'],
  prefer: ['tls', 'none'],
  require: ['tls'],
  'verify-ca': ['tls'],
  'verify-full': ['tls'],
}

/** A server with what is made once for all connections to it. */
export interface PreparedServer extends Server {
  readonly context: tls.SecureContext
}

export interface Transport {
  readonly socket: net.Socket
  readonly encryption: Encryption
  /** What SCRAM can be bound to. Undefined without TLS, and where the certificate defines nothing. */
  readonly endPoint: Buffer | undefined
}

/** @throws Failure invalid_configuration for a certificate or key that cannot be used. */
export function prepare(server: Server): PreparedServer {
  const { ca, client } = server.tls
  try {
    // OpenSSL passes over what is no certificate: a file without one would trust nobody, and say nothing.
    if (ca !== undefined) new X509Certificate(ca)
    const context = tls.createSecureContext({
      minVersion: 'TLSv1.2',
      ...(ca === undefined ? {} : { ca }),
      ...(client === undefined ? {} : { cert: client.certificate, key: client.key.reveal() }),
    })
    return { ...server, context }
  } catch (cause) {
    throw new Failure(
      'invalid_configuration',
      {
        message: `the certificates for ${server.host}:${server.port} cannot be used`,
        ...(cause instanceof Error ? { detail: `OpenSSL says: ${cause.message}.` } : {}),
        hint: 'tls.ca, tls.certificate and tls.key are PEM files, and the key is that of the certificate.',
      },
      { cause },
    )
  }
}

/**
 * A connection over which nothing has been said yet. `address` is where to find the server when its
 * name has been resolved before. Throws a ServerProblem.
 */
export async function openTransport(
  server: PreparedServer,
  encryption: Encryption,
  signal: AbortSignal,
  address: { readonly host: string; readonly port: number } = server,
): Promise<Transport> {
  const socket = dial(address.host, address.port)
  try {
    await connected(socket, signal)
    if (encryption === 'none') return { socket, encryption, endPoint: undefined }
    await askForTls(server, socket, signal)
    return await encrypted(server, socket, signal)
  } catch (error) {
    socket.destroy()
    throw error
  }
}

async function askForTls(
  { tls: { mode } }: PreparedServer,
  socket: net.Socket,
  signal: AbortSignal,
): Promise<void> {
  socket.write(encodeSslRequest())
  const answer = await nextChunk(socket, signal)
  // Whatever came with it came unencrypted, and would be read as if it had not: CVE-2021-23222.
  if (answer.length !== 1) {
    throw new ServerProblem('tls', 'sent unencrypted bytes behind its answer to SSLRequest')
  }
  if (answer[0] === 'S'.charCodeAt(0)) return
  // An ErrorResponse is not read either: anybody on the way could have written it.
  throw new ServerProblem(
    'tls',
    `does not offer TLS, and tls.mode is ${mode}; to do without, write tls: { mode: disable }`,
  )
}

async function encrypted(
  { host, tls: { mode, serverName }, context }: PreparedServer,
  raw: net.Socket,
  signal: AbortSignal,
): Promise<Transport> {
  const name = serverName ?? host
  const socket = quiet(
    tls.connect({
      socket: raw,
      secureContext: context,
      // SNI carries names only.
      ...(net.isIP(name) === 0 ? { servername: name } : {}),
      ALPNProtocols: ['postgresql'],
      rejectUnauthorized: mode === 'verify-ca' || mode === 'verify-full',
      checkServerIdentity: (_, certificate) =>
        mode === 'verify-full' ? tls.checkServerIdentity(name, certificate) : undefined,
    }),
  )
  try {
    await secured(socket, signal)
  } catch (error) {
    socket.destroy()
    if (signal.aborted) throw error
    const why = error instanceof Error ? error.message : String(error)
    const advice = untrusted(error) ? '; the certificate of its authority belongs into tls.ca' : ''
    throw new ServerProblem('tls', `no TLS (tls.mode is ${mode}): ${why}${advice}`, {
      cause: error,
    })
  }
  // Not getPeerX509Certificate: in Node 20 that takes the certificate away from every later call.
  const { raw: certificate } = socket.getPeerCertificate()
  return { socket, encryption: 'tls', endPoint: tlsServerEndPoint(certificate) }
}

/** Whether the chain ends at nobody we know, as it does with an authority of one's own. */
function untrusted(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined
  if (!(cause instanceof Error) || !('code' in cause)) return false
  return /SELF_SIGNED|UNABLE_TO_(VERIFY|GET_ISSUER)/.test(String(cause.code))
}
