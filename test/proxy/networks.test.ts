import { describe, expect, it } from 'vitest'
import { Networks, unmapped } from '../../src/proxy/networks.ts'

describe('a list of networks', () => {
  const networks = new Networks([
    '127.0.0.0/8',
    '192.0.2.7',
    '2001:db8::/33',
    '::1/128',
    'fe80::/10',
  ])

  it.each([
    '127.0.0.1',
    '127.255.255.255',
    '192.0.2.7',
    '::ffff:127.0.0.1',
    '::FFFF:192.0.2.7',
    '2001:db8:7fff::1',
    '::1',
    'fe80::1%eth0',
  ])('has %s', (address) => {
    expect(networks.has(address)).toBe(true)
  })

  it.each([
    '128.0.0.1',
    '192.0.2.8',
    '::ffff:192.0.2.8',
    '2001:db8:8000::1',
    '::2',
    '0.0.0.1',
    '',
    'localhost',
  ])('does not have %j', (address) => {
    expect(networks.has(address)).toBe(false)
  })

  it('does not take all of IPv6 for all of IPv4, nor the other way round', () => {
    expect(new Networks(['::/0']).has('10.0.0.1')).toBe(false)
    expect(new Networks(['::/0']).has('::ffff:10.0.0.1')).toBe(false)
    expect(new Networks(['::/0']).has('2001:db8::1')).toBe(true)
    expect(new Networks(['0.0.0.0/0']).has('2001:db8::1')).toBe(false)
  })

  it('of nothing has nobody', () => {
    expect(new Networks([]).has('127.0.0.1')).toBe(false)
  })
})

describe('an IPv4 address in IPv6 clothes', () => {
  it('is the IPv4 one', () => {
    expect(unmapped('::ffff:192.0.2.1')).toBe('192.0.2.1')
    expect(unmapped('::ffff:999.0.2.1')).toBe('::ffff:999.0.2.1')
    expect(unmapped('2001:db8::1')).toBe('2001:db8::1')
  })
})
