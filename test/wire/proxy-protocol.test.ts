// The header of a load balancer: what is taken, what is not, and that no byte too many is asked for.

import { isIPv6 } from 'node:net'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  decodeProxyHeader,
  type ProxyHeader,
  proxyHeaderLacks,
} from '../../src/wire/proxy-protocol.ts'
import { proxyLine, proxyHeader as version2 } from '../support/proxy-header.ts'

/** Reads a stream as a connection is read; what is left of it is the client's. */
function read(stream: Buffer): { readonly header: ProxyHeader; readonly rest: Buffer } {
  let at = 0
  for (;;) {
    const lacks = proxyHeaderLacks(stream.subarray(0, at))
    if (lacks === 0) break
    if (at + lacks > stream.length) throw new Error(`waits for ${lacks} bytes more`)
    at += lacks
  }
  return { header: decodeProxyHeader(stream.subarray(0, at)), rest: stream.subarray(at) }
}

const own = { type: 'own' }
const violation: unknown = expect.objectContaining({ sqlstate: '08P01' })
const rest = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes))
const port = fc.integer({ min: 0, max: 65_535 })
const address4 = fc.ipV4()
const address6 = fc.ipV6().filter(isIPv6)

describe('a header of version 1', () => {
  it('names any client, and not a byte behind it is read', () => {
    const addresses = fc.oneof(
      fc.record({ family: fc.constant('ipv4' as const), address: address4 }),
      fc.record({ family: fc.constant('ipv6' as const), address: address6 }),
    )
    fc.assert(
      fc.property(addresses, port, rest, (from, port, rest) => {
        const client = { ...from, port }
        expect(read(Buffer.concat([proxyLine(client), rest]))).toEqual({
          header: { type: 'client', ...client },
          rest,
        })
      }),
    )
  })

  it.each(['PROXY UNKNOWN\r\n', 'PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n'])(
    'that says %j keeps the address of the connection',
    (line) => {
      expect(read(Buffer.from(line)).header).toEqual(own)
    },
  )

  it.each([
    'PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n',
    'PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n',
    'PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n',
    'PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n',
    'PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n',
    'PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n',
    'PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n',
    'PROXY UNKNOWN\n',
    'PROXY UNKNOWN   \n',
    'PROXY TCP4 db.internal 192.0.2.2 1 2\r\n',
    'proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n',
    'PROXY TCP4 192.0.2.1 192.0.2.2 1 2\rx\r\n',
  ])('is not %j', (line) => {
    expect(() => read(Buffer.from(line))).toThrow(violation)
  })

  it('is no longer than 107 bytes', () => {
    const longest = `PROXY UNKNOWN ${'f'.repeat(91)}\r\n`
    expect(longest).toHaveLength(107)
    expect(read(Buffer.from(longest)).header).toEqual(own)
    expect(() => read(Buffer.from(`PROXY UNKNOWN ${'f'.repeat(200)}\r\n`))).toThrow(violation)
  })
})

describe('a header of version 2', () => {
  it('names any client, and not a byte behind it is read', () => {
    const addresses = fc.oneof(
      fc.record({ family: fc.constant('ipv4' as const), address: address4 }),
      fc.record({ family: fc.constant('ipv6' as const), address: address6 }),
    )
    fc.assert(
      fc.property(addresses, port, rest, fc.boolean(), (from, port, rest, checksum) => {
        const sent = version2({ ...from, port }, { checksum })
        const { header, rest: left } = read(Buffer.concat([sent, rest]))
        expect(header).toMatchObject({ type: 'client', family: from.family, port })
        expect(left).toEqual(rest)
      }),
    )
  })

  it('writes an address as groups that mean the same', () => {
    const { header } = read(version2({ family: 'ipv6', address: '2001:db8::1:0:2', port: 5 }))
    expect(header).toMatchObject({ address: '2001:db8:0:0:0:1:0:2' })
  })

  it('may say more, none of which is believed: not the client’s TLS either', () => {
    const ssl = Buffer.from('2000080700000000210000', 'hex')
    const from = { family: 'ipv4', address: '192.0.2.1', port: 5 } as const
    expect(read(version2(from, { extensions: ssl })).header).toEqual({ type: 'client', ...from })
  })

  it.each([
    ['of a health check', { command: 0x20, kind: 0x00, body: Buffer.alloc(0) }],
    ['of a health check, whatever it says', { command: 0x20, kind: 0xff, body: Buffer.alloc(7) }],
    ['without an address', { command: 0x21, kind: 0x00, body: Buffer.alloc(0) }],
    ['from a Unix socket', { command: 0x21, kind: 0x31, body: Buffer.alloc(216) }],
  ])('%s keeps the address of the connection', (_, parts) => {
    expect(read(version2(undefined, parts)).header).toEqual(own)
  })

  it.each([
    ['of a later version', { command: 0x31, kind: 0x11, body: Buffer.alloc(12) }],
    ['of an unknown command', { command: 0x22, kind: 0x11, body: Buffer.alloc(12) }],
    ['about UDP', { command: 0x21, kind: 0x12, body: Buffer.alloc(12) }],
    ['with half an address', { command: 0x21, kind: 0x11, body: Buffer.alloc(11) }],
    ['with half an IPv6 address', { command: 0x21, kind: 0x21, body: Buffer.alloc(12) }],
    ['with half an extension', { command: 0x21, kind: 0x11, body: Buffer.alloc(14) }],
    ['with an extension too long', { command: 0x21, kind: 0x00, body: Buffer.from([4, 0, 9, 1]) }],
    [
      'with a wrong checksum',
      { command: 0x21, kind: 0x00, body: Buffer.from([3, 0, 4, 0, 0, 0, 0]) },
    ],
    ['with half a checksum', { command: 0x21, kind: 0x00, body: Buffer.from([3, 0, 2, 0, 0]) }],
  ])('%s is refused', (_, parts) => {
    expect(() => read(version2(undefined, parts))).toThrow(violation)
  })

  it('of 64 KiB is refused before it is read', () => {
    const start = version2(undefined, { command: 0x20, body: Buffer.alloc(65_535) }).subarray(0, 16)
    expect(() => proxyHeaderLacks(start)).toThrow(violation)
  })
})

describe('anything else', () => {
  it('is refused at its first byte, or as soon as it differs', () => {
    for (const bytes of [
      [0x16, 3, 1],
      [0, 0, 0, 8],
      [0x50, 0x4f],
      [0x0d, 0x0a, 0x0a],
    ]) {
      expect(() => proxyHeaderLacks(Buffer.from(bytes))).toThrow(violation)
    }
  })
})
