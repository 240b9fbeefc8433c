// TLS towards clients: the handshake on a connection that is open already, and what is known of the
// client after it. The certificate is asked for at each handshake, so that a renewed one is shown at
// once and sessions under the old one live on. Ignorant of packets.
// RFC 8446; RFC 7301 (ALPN); PostgreSQL documentation, "SSL Session Encryption".

import { constants } from 'node:crypto'
import type { Socket } from 'node:net'
import { createServer, type Server, type TLSSocket } from 'node:tls'
import type { ClientCertificate } from '../audit/record.ts'
import { Failure } from '../errors.ts'
import type { Certificates } from './ports.ts'

/** What is known of the TLS that a client came with. */
export interface ClientTls {
  /** The server name that the client asked for (SNI), its own claim; undefined when it named none. */
  readonly serverName: string | undefined
  /** What was agreed on, e.g. `TLSv1.3`. */
  readonly version: string
  /** The certificate that this connection was shown, DER: what channel binding is about. */
  readonly certificate: Buffer | undefined
  readonly client: ClientIdentity
}

/** What a client showed of itself. Only a verified certificate can be had from it. */
type ClientIdentity =
  | { readonly type: 'none' }
  | { readonly type: 'verified'; readonly certificate: ClientCertificate }
  /** `reason`: OpenSSL's, e.g. `CERT_HAS_EXPIRED`. */
  | { readonly type: 'refused'; readonly reason: string }

/** The name that PostgreSQL registered: without it TLS that nobody asked for could be meant for another. */
const alpn = 'postgresql'

/**
 * PostgreSQL's records are no larger, since its buffer is not. An older libpq reads no more of a record
 * than it has room for, at least this much, and then waits for the socket although the rest is there.
 */
const recordBytes = 8192

/** Of TLS 1.2 those with forward secrecy and authenticated encryption, and all of 1.3. */
const ciphers = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_128_GCM_SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
].join(':')

interface Handshake {
  readonly done: (socket: TLSSocket) => void
  readonly failed: (error: Error) => void
}

export class TlsDoor {
  readonly #certificates: Certificates
  /** Never listens: connections are handed to it. It alone verifies clients, and reports every error. */
  readonly #server: Server
  readonly #handshakes = new Map<string, Handshake>()
  #shown: Certificates['current'] | undefined

  constructor(certificates: Certificates) {
    this.#certificates = certificates
    this.#server = createServer({
      pauseOnConnect: true,
      ALPNProtocols: [alpn],
      requestCert: certificates.current.clientCa !== undefined,
      // Refused later, with words; a handshake that fails tells a client next to nothing.
      rejectUnauthorized: false,
    })
    this.#server.on('secureConnection', (socket) => {
      socket.allowHalfOpen = true
      socket.setMaxSendFragment(recordBytes)
      this.#handshakes.get(lineOf(socket))?.done(socket)
    })
    this.#server.on('tlsClientError', (error, socket) => {
      this.#handshakes.get(lineOf(socket))?.failed(error)
    })
    this.#showCurrent()
  }

  /** Rejects when the handshake fails or the peer goes away; `raw` is closed then. */
  async handshake(raw: Socket): Promise<TLSSocket> {
    this.#showCurrent()
    const line = lineOf(raw)
    try {
      return await new Promise<TLSSocket>((done, failed) => {
        this.#handshakes.set(line, { done, failed })
        if (raw.destroyed) throw new Error('closed before the handshake')
        raw.once('close', () => failed(new Error('closed during the handshake')))
        // A peer that shuts its side down in the middle of it waits for nothing any more.
        raw.allowHalfOpen = false
        this.#server.emit('connection', raw)
      })
    } catch (error) {
      const reason = error instanceof Error ? error.message.trim() : String(error)
      throw new Failure('protocol_violation', { message: `TLS handshake failed: ${reason}` })
    } finally {
      this.#handshakes.delete(line)
    }
  }

  #showCurrent(): void {
    const { current } = this.#certificates
    if (current === this.#shown) return
    this.#server.setSecureContext({
      cert: current.chain,
      key: current.key.reveal(),
      ...(current.clientCa === undefined ? {} : { ca: current.clientCa }),
      minVersion: 'TLSv1.2',
      ciphers,
      // As PostgreSQL: no resumption, so that each login verifies its own certificate.
      secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
    })
    this.#shown = current
  }
}

/** Whether the client said in its handshake that it means PostgreSQL. */
export function meantForUs(socket: TLSSocket): boolean {
  return socket.alpnProtocol === alpn
}

export function clientTlsOf(socket: TLSSocket): ClientTls {
  const { servername } = socket
  const own = socket.getCertificate()
  return {
    serverName: typeof servername === 'string' && servername !== '' ? servername : undefined,
    version: socket.getProtocol() ?? 'unknown',
    certificate: own !== null && 'raw' in own ? own.raw : undefined,
    client: clientOf(socket),
  }
}

function clientOf(socket: TLSSocket): ClientIdentity {
  const shown = socket.getPeerX509Certificate()
  if (shown === undefined) return { type: 'none' }
  if (!socket.authorized) return { type: 'refused', reason: String(socket.authorizationError) }
  const subject = distinguishedName(shown.subject)
  const sha256 = shown.fingerprint256.replaceAll(':', '').toLowerCase()
  return { type: 'verified', certificate: { subject, sha256 } }
}

/**
 * Node gives a line to each attribute, the most general first, with special and control characters
 * escaped as in RFC 2253; and nothing where all of the subject is in its alternative names.
 */
function distinguishedName(lines: string | undefined): string {
  return lines?.split('\n').reverse().join(',') ?? ''
}

/** Both ends of a connection: while it is open, no other has the same. */
function lineOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`
}
