// From the first byte to the startup packet: encryption requests, TLS, cancel requests. Everything
// here is reachable by strangers: lengths are checked before anything is read, each request is
// answered once, and bytes smuggled behind an SSLRequest are refused (CVE-2021-23214).
// PostgreSQL documentation, "Message Flow: Start-up, SSL Session Encryption, GSSAPI".

import type { Socket } from 'node:net'
import { type SecureContext, TLSSocket } from 'node:tls'
import { Failure } from '../errors.ts'
import { encodeBackend } from '../wire/backend.ts'
import type { StartupPacket } from '../wire/startup.ts'
import { decodeStartup, startupSize, version32 } from '../wire/startup.ts'
import { Intake } from './intake.ts'

/** What is known of the TLS that a client came with. */
export interface Encryption {
  /** `TLSv1.3` and the like. */
  readonly version: string
  /** The server name that the client asked for (SNI); undefined when it named none. */
  readonly serverName: string | undefined
  /** The certificate that this connection was shown, DER: what channel binding is about. */
  readonly certificate: Buffer | undefined
}

export interface Opening {
  /** The raw socket, or the TLS one on top of it. */
  readonly socket: Socket
  readonly intake: Intake
  /** Undefined on a plain connection. */
  readonly tls: Encryption | undefined
  readonly packet: Extract<StartupPacket, { readonly type: 'startup' | 'cancelRequest' }>
}

/**
 * Undefined when the peer went away without a startup packet, as health checks do. Throws a Failure
 * for anything else; `attach` is told of the TLS socket as soon as errors have to go through it.
 */
export async function readStartup(
  raw: Socket,
  secureContext: SecureContext | undefined,
  attach: (socket: Socket) => void,
): Promise<Opening | undefined> {
  let socket = raw
  let intake = new Intake(raw)
  let tls: Encryption | undefined
  let gssAsked = false
  let sslAsked = false
  for (;;) {
    const packet = await readPacket(intake)
    if (packet === undefined) return undefined
    switch (packet.type) {
      case 'gssEncRequest':
        if (gssAsked) throw repeated('GSSENCRequest')
        gssAsked = true
        if (intake.ahead) throw smuggled()
        socket.write('N')
        break
      case 'sslRequest':
        if (sslAsked) throw repeated('SSLRequest')
        sslAsked = true
        if (intake.ahead) throw smuggled()
        if (secureContext === undefined) {
          socket.write('N')
          break
        }
        socket.write('S')
        {
          const encrypted = await handshake(raw, secureContext)
          attach(encrypted)
          socket = encrypted
          intake = new Intake(encrypted)
          tls = encryptionOf(encrypted)
        }
        break
      case 'cancelRequest':
      case 'startup':
        return { socket, intake, tls, packet }
    }
  }
}

async function readPacket(intake: Intake): Promise<StartupPacket | undefined> {
  const head = await intake.bytes(4)
  if (head === undefined) return undefined
  const size = startupSize(head)
  const body = await intake.bytes(size - 4)
  return body === undefined ? undefined : decodeStartup(Buffer.concat([head, body]))
}

async function handshake(raw: Socket, secureContext: SecureContext): Promise<TLSSocket> {
  const socket = new TLSSocket(raw, { isServer: true, secureContext })
  await new Promise<void>((resolve, reject) => {
    socket.once('secure', resolve)
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('closed during the TLS handshake')))
  })
  socket.removeAllListeners('error')
  socket.removeAllListeners('close')
  return socket
}

function encryptionOf(socket: TLSSocket): Encryption {
  const { servername } = socket
  const own = socket.getCertificate()
  return {
    version: socket.getProtocol() ?? 'unknown',
    serverName: typeof servername === 'string' && servername !== '' ? servername : undefined,
    certificate: own !== null && 'raw' in own ? own.raw : undefined,
  }
}

/** What is spoken with a client from here on. */
interface Agreement {
  /** Protocol version: what the client asked for, at most 3.2. */
  readonly version: number
  /** The NegotiateProtocolVersion to send, once and first; undefined for one who got all it asked for. */
  readonly reply: Buffer | undefined
}

/** Newer versions and `_pq_.` options are negotiated down, as PostgreSQL 18 does it. */
export function agree(packet: Extract<StartupPacket, { type: 'startup' }>): Agreement {
  const asked = packet.major * 0x10000 + packet.minor
  const version = Math.min(asked, version32)
  const unrecognised = packet.protocolOptions
  if (asked === version && unrecognised.length === 0) return { version, reply: undefined }
  const reply = encodeBackend({ type: 'negotiateProtocolVersion', version, unrecognised })
  return { version, reply }
}

function smuggled(): Failure {
  return new Failure('protocol_violation', {
    message: 'received unencrypted data after an encryption request',
    detail: 'The bytes came before the encryption was agreed and could be somebody else’s.',
  })
}

function repeated(request: string): Failure {
  return new Failure('protocol_violation', { message: `${request} was sent twice` })
}
