// How many wrong keys a network may send, with the clock held.

import { describe, expect, it } from 'vitest'
import { NetworkRate } from '../../src/proxy/network-rate.ts'
import { networkOf } from '../../src/proxy/networks.ts'
import { HeldClock } from '../support/memory-journal.ts'

function limited(networks = 100): {
  readonly clock: HeldClock
  readonly limit: NetworkRate
  /** How many guesses of `times` are looked at. */
  readonly guesses: (address: string, times: number) => number
} {
  const clock = new HeldClock()
  const limit = new NetworkRate(clock, { burst: 5, everyMs: 1_000, networks })
  const guesses = (address: string, times: number): number =>
    Array.from({ length: times }, () => limit.spend(address)).filter((guess) => guess !== undefined)
      .length
  return { clock, limit, guesses }
}

describe('wrong guesses', () => {
  it('are looked at so many times in a row, then one a second', () => {
    const { clock, guesses } = limited()
    expect(guesses('192.0.2.1', 20)).toBe(5)
    clock.wall += 999
    expect(guesses('192.0.2.1', 20)).toBe(0)
    clock.wall += 1
    expect(guesses('192.0.2.1', 20)).toBe(1)
    clock.wall += 3_600_000
    expect(guesses('192.0.2.1', 20)).toBe(5)
  })

  it('of one address do not count for another', () => {
    const { guesses } = limited()
    guesses('192.0.2.1', 20)
    expect(guesses('192.0.2.2', 20)).toBe(5)
  })

  it('count for a whole /64 of IPv6', () => {
    const { guesses } = limited()
    expect(guesses('2001:db8::1', 3)).toBe(3)
    expect(guesses('2001:db8:0:0:ffff::2', 20)).toBe(2)
    expect(guesses('2001:db8:0:1::1', 20)).toBe(5)
  })

  it('that were right do not count', () => {
    const { limit } = limited()
    for (let n = 0; n < 100; n++) limit.spend('192.0.2.1')?.giveBack()
    expect(limit.spend('192.0.2.1')).toBeDefined()
  })

  it('from ever new addresses have one limit between them when too many networks are known', () => {
    const { clock, guesses } = limited(10)
    for (let n = 0; n < 10; n++) guesses(`192.0.2.${n}`, 5)
    let more = 0
    for (let n = 0; n < 200; n++) more += guesses(`198.51.100.${n}`, 1)
    expect(more).toBe(5)
    // Those that were known keep their own.
    clock.wall += 2_000
    expect(guesses('192.0.2.3', 20)).toBe(2)
    // And who has been quiet long enough is forgotten for somebody new.
    clock.wall += 5_000
    expect(guesses('198.51.100.7', 20)).toBe(5)
    expect(guesses('198.51.100.8', 20)).toBe(5)
  })
})

describe('a network', () => {
  it.each([
    ['192.0.2.1', '192.0.2.1'],
    ['::1', '0:0:0:0::/64'],
    ['2001:db8::', '2001:db8:0:0::/64'],
    ['2001:0DB8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['1:2:3:4:5:6:7::', '1:2:3:4::/64'],
  ])('of %s is %s', (address, network) => {
    expect(networkOf(address)).toBe(network)
  })
})
