// A list of networks that an address is looked up in, family by family: an IPv4 peer in IPv6 clothes
// (::ffff:192.0.2.1) is the IPv4 one that it is, and ::/0 is not taken to mean IPv4 too.
// RFC 4291, section 2.5.5.2.

import { BlockList, isIPv4, isIPv6 } from 'node:net'

/** The IPv4 address in `::ffff:192.0.2.1`; any other text as it is. */
export function unmapped(address: string): string {
  const inner = /^::ffff:([0-9.]+)$/i.exec(address)?.[1]
  return inner !== undefined && isIPv4(inner) ? inner : address
}

export class Networks {
  readonly #ipv4 = new BlockList()
  readonly #ipv6 = new BlockList()

  /** CIDR ranges or single addresses, of IPv4 without such clothes. Throws when one is neither. */
  constructor(ranges: readonly string[]) {
    for (const range of ranges) {
      const [address = '', bits] = range.split('/')
      if (isIPv6(address)) this.#ipv6.addSubnet(address, Number(bits ?? 128), 'ipv6')
      else this.#ipv4.addSubnet(address, Number(bits ?? 32), 'ipv4')
    }
  }

  /** False for what is no address: nothing is known of a peer that is gone. */
  has(address: string): boolean {
    const plain = unmapped(address)
    if (isIPv4(plain)) return this.#ipv4.check(plain, 'ipv4')
    return isIPv6(plain) && this.#ipv6.check(plain, 'ipv6')
  }
}

/**
 * What an address is counted under: who has IPv6 has a /64 at least, and could come from another address
 * each time.
 */
export function networkOf(address: string): string {
  const plain = unmapped(address)
  if (!isIPv6(plain)) return plain
  const [front = '', back] = plain.replace(/%.*$/, '').split('::')
  const groups = front === '' ? [] : front.split(':')
  if (back !== undefined) {
    const behind = back === '' ? [] : back.split(':')
    while (groups.length + behind.length < 8) groups.push('0')
    groups.push(...behind)
  }
  const network = groups.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16))
  return `${network.join(':')}::/64`
}
