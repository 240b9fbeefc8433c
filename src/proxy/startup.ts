// From the first byte to the startup packet: encryption requests, TLS, cancel requests. Everything
// here is reachable by strangers: lengths are checked before anything is read, each request is
// answered once, and bytes smuggled behind an SSLRequest are refused (CVE-2021-23214).
// PostgreSQL documentation, "Message Flow: Start-up, SSL Session Encryption, GSSAPI".

import type { Socket } from 'node:net'
import { Failure } from '../errors.ts'
import { encodeBackend } from '../wire/backend-encoder.ts'
import { beginsProxyHeader } from '../wire/proxy-protocol.ts'
import type { StartupPacket } from '../wire/startup.ts'
import { decodeStartup, startupSize, version32 } from '../wire/startup.ts'
import { Intake } from './intake.ts'
import type { Line } from './line.ts'
import type { Peer } from './peer.ts'
import { type ClientTls, clientTlsOf, meantForUs, type TlsDoor } from './tls.ts'

export interface Opening {
  /** The raw socket, or the TLS one on top of it. */
  readonly socket: Socket
  readonly intake: Intake
  readonly peer: Peer
  /** Undefined on a plain connection. */
  readonly tls: ClientTls | undefined
  readonly packet: Extract<StartupPacket, { readonly type: 'startup' | 'cancelRequest' }>
}

/** The first byte of a TLS handshake. No startup packet may be long enough to begin with it. */
const tlsHandshake = 0x16

/**
 * Undefined when the peer went away without a startup packet, as health checks do. Throws a Failure
 * for anything else. The line knows at any moment how the connection is to be ended. `first` reads from it.
 */
export async function readStartup(
  line: Line,
  first: Intake,
  door: TlsDoor | undefined,
): Promise<Opening | undefined> {
  let intake = first
  let tls: ClientTls | undefined
  let gssAsked = false
  let sslAsked = false

  if ((await intake.peek()) === tlsHandshake) {
    if (door === undefined) {
      line.deafened()
      throw noCertificate()
    }
    line.raw.unshift(intake.rest())
    ;({ intake, tls } = await encrypt(line, door, true))
  }
  for (;;) {
    const packet = await readPacket(intake)
    if (packet === undefined) return undefined
    switch (packet.type) {
      case 'gssEncRequest':
        if (tls !== undefined) throw encryptedAlready()
        if (gssAsked) throw repeated('GSSENCRequest')
        gssAsked = true
        if (intake.ahead) throw smuggled()
        line.socket.write('N')
        break
      case 'sslRequest':
        if (tls !== undefined) throw encryptedAlready()
        if (sslAsked) throw repeated('SSLRequest')
        sslAsked = true
        if (intake.ahead) throw smuggled()
        if (door === undefined) {
          line.socket.write('N')
        } else {
          line.socket.write('S')
          ;({ intake, tls } = await encrypt(line, door, false))
        }
        break
      case 'cancelRequest':
      case 'startup':
        return { socket: line.socket, intake, peer: line.peer, tls, packet }
    }
  }
}

/** `direct`: it was begun without being asked for. */
async function encrypt(
  line: Line,
  door: TlsDoor,
  direct: boolean,
): Promise<{ readonly intake: Intake; readonly tls: ClientTls }> {
  line.handshakeBegins()
  const socket = await door.handshake(line.raw)
  line.secured(socket)
  if (direct && !meantForUs(socket)) {
    // Perhaps bytes for another service, redirected to us: what we answer could mean something there.
    line.deafened()
    throw withoutAlpn()
  }
  return { intake: new Intake(socket), tls: clientTlsOf(socket) }
}

async function readPacket(intake: Intake): Promise<StartupPacket | undefined> {
  const head = await intake.bytes(4)
  if (head === undefined) return undefined
  if (beginsProxyHeader(head)) throw introducedByAStranger()
  const size = startupSize(head)
  const body = await intake.bytes(size - 4)
  return body === undefined ? undefined : decodeStartup(Buffer.concat([head, body]))
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

function encryptedAlready(): Failure {
  return new Failure('protocol_violation', {
    message: 'encryption was requested on a connection that is encrypted already',
  })
}

/** For the log: whoever sent it hears no more than that the connection is closed. */
function noCertificate(): Failure {
  return new Failure('protocol_violation', {
    message: 'direct TLS on a listener that has no certificate',
  })
}

function withoutAlpn(): Failure {
  return new Failure('protocol_violation', {
    message: 'direct TLS without the ALPN protocol "postgresql"',
  })
}

/** Anybody can write an address: only the configured ones are asked for a header, once and first. */
function introducedByAStranger(): Failure {
  return new Failure('protocol_violation', {
    message: 'received a PROXY protocol header where none is taken',
    detail:
      'A header is taken from the addresses in listen.proxyProtocol.from alone, and only once.',
    hint: 'Add the address of the load balancer there, or have it send no header.',
  })
}

function repeated(request: string): Failure {
  return new Failure('protocol_violation', { message: `${request} was sent twice` })
}
