// The other end of a client's connection, as it is compared and recorded.

import type { Socket } from 'node:net'
import type { ClientCertificate } from '../audit/record.ts'
import { unmapped } from './networks.ts'

export interface Peer {
  /** An IPv4 one never in IPv6 clothes. */
  readonly address: string
  /** `address:port`, as the audit names it. */
  readonly name: string
  /** What it has proved to be; undefined when it showed nothing. */
  readonly certificate: ClientCertificate | undefined
}

export function peerOf(socket: Socket, certificate?: ClientCertificate): Peer {
  const { remoteAddress = '', remotePort = 0 } = socket
  const address = unmapped(remoteAddress)
  return { address, name: `${address}:${remotePort}`, certificate }
}
