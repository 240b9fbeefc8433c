// The header by which a load balancer says whose connection it passes on: version 1, a line of text, and
// version 2, binary. Strict and bounded, and read no further than it goes, because the client's own bytes
// follow at once. What it says beside the address, that the client came with TLS above all, is skipped:
// somebody else's word for TLS is not TLS. Ignorant of who may be believed.
// HAProxy, "The PROXY protocol", sections 2.1 and 2.2.

import { Failure } from '../errors.ts'

export type ProxyHeader =
  /** The connection is the sender's own, a health check say, or it does not know: its own address holds. */
  | { readonly type: 'own' }
  | {
      readonly type: 'client'
      readonly family: 'ipv4' | 'ipv6'
      /** As it was written, which need not be an address. */
      readonly address: string
      readonly port: number
    }

const own: ProxyHeader = { type: 'own' }

const text = Buffer.from('PROXY ')
const longestLine = 107
const signature = Buffer.from('\r\n\r\n\0\r\nQUIT\n')
const binaryStart = 16
/** Addresses take 216 bytes at the most; the rest is what senders have to add, certificates' names for example. */
const longestBinary = 4_096

const line =
  /^PROXY (?:UNKNOWN(?: [^\r\n]*)?|(TCP[46]) ([\dA-Fa-f:.]+) [\dA-Fa-f:.]+ (\d{1,5}) \d{1,5})\r\n$/

/**
 * How many more bytes belong to the header that begins with these, as far as they tell; 0 when it is whole.
 * Throws a protocol_violation as soon as they begin none.
 */
export function proxyHeaderLacks(start: Buffer): number {
  const { length } = start
  if (length === 0) return 1
  const binary = start[0] === signature[0]
  const expected = binary ? signature : text
  const compared = Math.min(length, expected.length)
  if (!start.subarray(0, compared).equals(expected.subarray(0, compared))) {
    throw bad('does not begin with one')
  }
  if (length < signature.length) return signature.length - length
  return binary ? binaryLacks(start) : lineLacks(start)
}

function lineLacks(start: Buffer): number {
  if (start.at(-1) === 0x0a) return 0
  if (start.length >= longestLine) throw bad(`has a line longer than ${longestLine} bytes`)
  return 1
}

function binaryLacks(start: Buffer): number {
  if (start.length < binaryStart) return binaryStart - start.length
  const size = binaryStart + start.readUInt16BE(binaryStart - 2)
  if (size > longestBinary) throw bad(`has a header longer than ${longestBinary} bytes`)
  return size - start.length
}

/** A whole header. Throws a protocol_violation. */
export function decodeProxyHeader(header: Buffer): ProxyHeader {
  return header[0] === signature[0] ? decodeBinary(header) : decodeLine(header)
}

function decodeLine(header: Buffer): ProxyHeader {
  const parts = line.exec(header.toString('latin1'))
  if (parts === null) throw bad('has a line that is not as it should be')
  const [, protocol, address = '', port] = parts
  if (protocol === undefined) return own
  if (Number(port) > 0xffff) throw bad('names a port that there is not')
  const family = protocol === 'TCP4' ? 'ipv4' : 'ipv6'
  return { type: 'client', family, address, port: Number(port) }
}

function decodeBinary(header: Buffer): ProxyHeader {
  const command = header[12]
  // LOCAL: what else stands there is not to be looked at.
  if (command === 0x20) return own
  if (command !== 0x21) throw bad('has an unknown version or command')
  switch (header[13]) {
    case 0x00:
      checkExtensions(header, binaryStart)
      return own
    case 0x11:
      checkExtensions(header, binaryStart + 12)
      return {
        type: 'client',
        family: 'ipv4',
        address: [...header.subarray(16, 20)].join('.'),
        port: header.readUInt16BE(24),
      }
    case 0x21:
      checkExtensions(header, binaryStart + 36)
      return {
        type: 'client',
        family: 'ipv6',
        address: groups(header.subarray(16, 32)).join(':'),
        port: header.readUInt16BE(48),
      }
    case 0x31:
      checkExtensions(header, binaryStart + 216)
      return own
    default:
      throw bad('is about another kind of connection than TCP')
  }
}

function groups(address: Buffer): readonly string[] {
  return Array.from({ length: 8 }, (_, at) => address.readUInt16BE(at * 2).toString(16))
}

const checksum = 0x03

/** Type, length and value each, up to the header's end. A checksum is checked; nothing else is looked at. */
function checkExtensions(header: Buffer, start: number): void {
  let at = start
  while (at + 3 <= header.length) {
    const value = at + 3
    const end = value + header.readUInt16BE(at + 1)
    if (header[at] === checksum && !isChecksum(header, value, end))
      throw bad('has a wrong checksum')
    at = end
  }
  if (at !== header.length) throw bad('ends in the middle of a field')
}

/** It is that of the header with nothing in its own place. */
function isChecksum(header: Buffer, start: number, end: number): boolean {
  if (end - start !== 4 || end > header.length) return false
  const blank = Buffer.from(header).fill(0, start, end)
  return header.readUInt32BE(start) === crc32c(blank)
}

/** RFC 4960, appendix B, bit by bit: a header is short and comes once. */
function crc32c(bytes: Buffer): number {
  let crc = 0xffffffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0)
  }
  return ~crc >>> 0
}

/** Whether a connection whose first four bytes are these begins with a header, as no PostgreSQL client's does. */
export function beginsProxyHeader(start: Buffer): boolean {
  return start.equals(text.subarray(0, 4)) || start.equals(signature.subarray(0, 4))
}

function bad(what: string): Failure {
  return new Failure('protocol_violation', {
    message: `the PROXY protocol header of a load balancer ${what}`,
  })
}
