// The other end of a client's connection, as it is compared and recorded.

import { isIPv6, type Socket } from 'node:net'
import { unmapped } from './networks.ts'
import type { ClientCertificate } from './tls.ts'

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

/**
 * What an address is counted under: one holder of IPv6 has a /64 at least, and could come from another
 * address each time.
 */
export function networkOf(address: string): string {
  if (!isIPv6(address)) return address
  const [front = '', back] = address.replace(/%.*$/, '').split('::')
  const groups = front === '' ? [] : front.split(':')
  if (back !== undefined) {
    const behind = back === '' ? [] : back.split(':')
    while (groups.length + behind.length < 8) groups.push('0')
    groups.push(...behind)
  }
  const network = groups.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16))
  return `${network.join(':')}::/64`
}
