// The other end of a client's connection, as it is compared and recorded: who is connected to us, or whom
// a load balancer that may be believed names in its stead. An address is always written in the same way.

import { type Socket, SocketAddress } from 'node:net'
import type { ClientCertificate } from '../audit/record.ts'
import { Failure } from '../errors.ts'
import type { ProxyHeader } from '../wire/proxy-protocol.ts'
import { unmapped } from './networks.ts'

export interface Peer {
  /** An IPv4 one never in IPv6 clothes. */
  readonly address: string
  /** `address:port`, as the audit names it. */
  readonly name: string
  /** What it has proved to be; undefined when it showed nothing. */
  readonly certificate: ClientCertificate | undefined
}

export function peerOf({ remoteAddress = '', remotePort = 0 }: Socket): Peer {
  return peerAt(remoteAddress, remotePort)
}

/** Whom the header names. Throws a protocol_violation when that is no address. */
export function peerNamed({ family, address, port }: ProxyHeader & { type: 'client' }): Peer {
  try {
    return peerAt(new SocketAddress({ family, address }).address, port)
  } catch {
    throw new Failure('protocol_violation', {
      message: 'the PROXY protocol header of a load balancer names an address that there is not',
    })
  }
}

function peerAt(written: string, port: number): Peer {
  const address = unmapped(written)
  return { address, name: `${address}:${port}`, certificate: undefined }
}
