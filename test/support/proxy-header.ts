// Headers of the PROXY protocol, as a load balancer writes them and as nobody should.

import { isIPv6 } from 'node:net'

export interface NamedClient {
  readonly family: 'ipv4' | 'ipv6'
  readonly address: string
  readonly port: number
}

/** Version 1. */
export function proxyLine({ family, address, port }: NamedClient): Buffer {
  const [protocol, here] = family === 'ipv4' ? ['TCP4', '192.0.2.254'] : ['TCP6', '2001:db8::fe']
  return Buffer.from(`PROXY ${protocol} ${address} ${here} ${port} 6432\r\n`)
}

/** Version 2: of this client, or of what `parts` say. */
export function proxyHeader(
  client: NamedClient | undefined,
  parts: {
    readonly command?: number
    readonly kind?: number
    readonly body?: Buffer
    readonly extensions?: Buffer
    readonly checksum?: boolean
  } = {},
): Buffer {
  const { command = 0x21, kind = client?.family === 'ipv6' ? 0x21 : 0x11 } = parts
  const body = Buffer.concat([
    parts.body ?? (client === undefined ? Buffer.alloc(0) : addresses(client)),
    parts.extensions ?? Buffer.alloc(0),
    parts.checksum === true ? Buffer.from([3, 0, 4, 0, 0, 0, 0]) : Buffer.alloc(0),
  ])
  const start = Buffer.from('\r\n\r\n\0\r\nQUIT\n    ')
  start[12] = command
  start[13] = kind
  start.writeUInt16BE(body.length, 14)
  const header = Buffer.concat([start, body])
  if (parts.checksum === true) header.writeUInt32BE(crc32c(header), header.length - 4)
  return header
}

function addresses({ family, address, port }: NamedClient): Buffer {
  const ports = Buffer.alloc(4)
  ports.writeUInt16BE(port, 0)
  ports.writeUInt16BE(6432, 2)
  const here = family === 'ipv4' ? Buffer.from([192, 0, 2, 254]) : Buffer.alloc(16, 0xfe)
  return Buffer.concat([family === 'ipv4' ? bytes4(address) : bytes6(address), here, ports])
}

function bytes4(address: string): Buffer {
  return Buffer.from(address.split('.').map(Number))
}

function bytes6(address: string): Buffer {
  if (!isIPv6(address)) throw new Error(`${address} is no address of IPv6`)
  // As a host of a URL it is written in groups of hexadecimal digits.
  const [front = '', back] = new URL(`http://[${address}]/`).hostname.slice(1, -1).split('::')
  const groups = (text: string): string[] => (text === '' ? [] : text.split(':'))
  const [first, last] = [groups(front), groups(back ?? '')]
  const zeros = Array.from({ length: 8 - first.length - last.length }, () => '0')
  const bytes = Buffer.alloc(16)
  for (const [at, group] of [...first, ...zeros, ...last].entries()) {
    bytes.writeUInt16BE(Number.parseInt(group, 16), at * 2)
  }
  return bytes
}

/** By the table, where the program counts bit by bit. */
const table = Array.from({ length: 256 }, (_, byte) => {
  let entry = byte
  for (let bit = 0; bit < 8; bit++) entry = entry & 1 ? (entry >>> 1) ^ 0x82f63b78 : entry >>> 1
  return entry >>> 0
})

function crc32c(bytes: Buffer): number {
  let crc = 0xffffffff
  for (const byte of bytes) crc = (crc >>> 8) ^ (table[(crc ^ byte) & 0xff] ?? 0)
  return ~crc >>> 0
}
