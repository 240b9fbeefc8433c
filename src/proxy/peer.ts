// The other end of a client's socket, as it is compared and recorded.

import { isIPv4, type Socket } from 'node:net'

export interface Peer {
  /** An IPv4 one never in IPv6 clothes. */
  readonly address: string
  /** `address:port`, as the audit names it. */
  readonly name: string
}

export function peerOf(socket: Socket): Peer {
  const { remoteAddress = '', remotePort = 0 } = socket
  const mapped = /^::ffff:([0-9.]+)$/i.exec(remoteAddress)?.[1]
  const address = mapped !== undefined && isIPv4(mapped) ? mapped : remoteAddress
  return { address, name: `${address}:${remotePort}` }
}
