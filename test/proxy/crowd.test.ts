// How many sessions somebody has and how fast logins come, with the clock held.

import { describe, expect, it } from 'vitest'
import type { Grant } from '../../src/access/access.ts'
import { Crowd } from '../../src/proxy/crowd.ts'
import type { CrowdLimits, Limit } from '../../src/proxy/ports.ts'
import { HeldClock } from '../support/memory-journal.ts'
import { silentMeter } from '../support/silent-meter.ts'

const grantOf = (principal: string, id: string): Grant => ({
  ...{ id, principal, target: 'shop', role: 'read_only', startsAt: 0 },
  ...{ endsAt: Number.MAX_SAFE_INTEGER, revokedAt: undefined, reason: 'test' },
  ...{ requestId: undefined, relations: undefined, claims: {} },
})

class Scene {
  readonly clock = new HeldClock()
  readonly reached: Limit[] = []
  limits: CrowdLimits = {
    sessionsPerPrincipal: undefined,
    sessionsPerGrant: undefined,
    loginsPerSecond: undefined,
  }
  readonly crowd = new Crowd({
    clock: this.clock,
    limits: () => this.limits,
    meter: { ...silentMeter, limitReached: (limit) => this.reached.push(limit) },
  })

  constructor(limits: Partial<CrowdLimits>) {
    this.limits = { ...this.limits, ...limits }
  }

  /** How many of so many logins are taken. */
  logins(address: string, times: number): number {
    return Array.from({ length: times }, () => this.crowd.mayLogIn(address)).filter(Boolean).length
  }
}

describe('sessions', () => {
  it('are as many as there are where there is no limit', () => {
    const { crowd } = new Scene({})
    for (let at = 0; at < 1_000; at++) crowd.seat(grantOf('alice', 'g1'))
  })

  it('of a principal are counted over all its grants', () => {
    const { crowd, reached } = new Scene({ sessionsPerPrincipal: 2 })
    const first = crowd.seat(grantOf('alice', 'g1'))
    crowd.seat(grantOf('alice', 'g2'))
    expect(() => crowd.seat(grantOf('alice', 'g3'))).toThrow('too many sessions of "alice"')
    crowd.seat(grantOf('bob', 'g4'))
    expect(reached).toEqual(['sessions_per_principal'])
    first.giveBack()
    crowd.seat(grantOf('alice', 'g3'))
  })

  it('of a grant are counted beside its principal’s others', () => {
    const { crowd, reached } = new Scene({ sessionsPerPrincipal: 2, sessionsPerGrant: 1 })
    crowd.seat(grantOf('alice', 'g1'))
    for (let at = 0; at < 3; at++) {
      expect(() => crowd.seat(grantOf('alice', 'g1'))).toThrow('too many sessions on the grant g1')
    }
    // Who was refused on one grant has lost nothing on another.
    crowd.seat(grantOf('alice', 'g2'))
    expect(reached).toEqual(Array.from({ length: 3 }, () => 'sessions_per_grant'))
  })

  it('give one place back, however often that is said', () => {
    const { crowd } = new Scene({ sessionsPerPrincipal: 2 })
    const first = crowd.seat(grantOf('alice', 'g1'))
    crowd.seat(grantOf('alice', 'g1'))
    first.giveBack()
    first.giveBack()
    crowd.seat(grantOf('alice', 'g1'))
    expect(() => crowd.seat(grantOf('alice', 'g1'))).toThrow()
  })

  it('that are open count when a limit is set later', () => {
    const scene = new Scene({})
    scene.crowd.seat(grantOf('alice', 'g1'))
    scene.limits = { ...scene.limits, sessionsPerPrincipal: 1 }
    expect(() => scene.crowd.seat(grantOf('alice', 'g1'))).toThrow()
  })
})

describe('logins of one address', () => {
  it('are so many in a row, and so many each second', () => {
    const scene = new Scene({ loginsPerSecond: 4 })
    expect(scene.logins('192.0.2.1', 20)).toBe(4)
    scene.clock.wall += 250
    expect(scene.logins('192.0.2.1', 20)).toBe(1)
    scene.clock.wall += 60_000
    expect(scene.logins('192.0.2.1', 20)).toBe(4)
    expect(scene.reached).toHaveLength(51)
  })

  it('are counted for a whole /64 of IPv6, and for each address of IPv4', () => {
    const scene = new Scene({ loginsPerSecond: 4 })
    expect(scene.logins('2001:db8::1', 3) + scene.logins('2001:db8::ffff', 3)).toBe(4)
    expect(scene.logins('192.0.2.1', 9) + scene.logins('192.0.2.2', 9)).toBe(8)
  })

  it('follow another limit at once', () => {
    const scene = new Scene({ loginsPerSecond: 1 })
    expect(scene.logins('192.0.2.1', 9)).toBe(1)
    scene.limits = { ...scene.limits, loginsPerSecond: 5 }
    expect(scene.logins('192.0.2.1', 9)).toBe(5)
    scene.limits = { ...scene.limits, loginsPerSecond: undefined }
    expect(scene.logins('192.0.2.1', 9)).toBe(9)
  })
})
