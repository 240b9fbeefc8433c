// From the first byte to the startup packet: encryption requests, TLS, cancel requests. Everything
// here is reachable by strangers: lengths are checked before anything is read, each request is
// answered once, and bytes smuggled behind an SSLRequest are refused (CVE-2021-23214).
// PostgreSQL documentation, "Message Flow: Start-up, SSL Session Encryption, GSSAPI".

import type { Socket } from 'node:net'
import { type SecureContext, TLSSocket } from 'node:tls'
import { Failure } from '../errors.ts'
import { encodeBackend } from '../wire/backend.ts'
import type { StartupPacket } from '../wire/startup.ts'
import { decodeStartup, protocolVersion, startupSize } from '../wire/startup.ts'
import { Intake } from './intake.ts'

export interface Opening {
  /** The raw socket, or the TLS one on top of it. */
  readonly socket: Socket
  readonly intake: Intake
  readonly tls: boolean
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
  let tls = false
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
        socket = await handshake(raw, secureContext)
        attach(socket)
        intake = new Intake(socket)
        tls = true
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

/**
 * The NegotiateProtocolVersion that a newer client must be answered with, once and first; undefined
 * for one that asked for what is spoken.
 */
export function negotiation(
  packet: Extract<StartupPacket, { type: 'startup' }>,
): Buffer | undefined {
  const unrecognised = [...packet.parameters.keys()].filter((name) => name.startsWith('_pq_.'))
  if (packet.minor === 0 && unrecognised.length === 0) return undefined
  return encodeBackend({
    type: 'negotiateProtocolVersion',
    version: protocolVersion,
    unrecognised,
  })
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
