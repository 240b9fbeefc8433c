// What a client is told of its grant's end, with a clock that is moved by hand.

import { describe, expect, it } from 'vitest'
import { Authorization } from '../../src/access/authorization.ts'
import { newGrant } from '../../src/access/grant.ts'
import { GrantChanges } from '../../src/access/grant-changes.ts'
import { GrantEnd } from '../../src/proxy/grant-end.ts'
import { type BackendMessage, decodeBackend } from '../../src/wire/backend.ts'

const minute = 60_000

function ending(durationMs: number) {
  const clock = { at: Date.UTC(2030, 0, 1), now: () => clock.at, elapsed: () => clock.at }
  const client = { hears: true }
  const told: BackendMessage[] = []
  const changes = new GrantChanges()
  const terms = { principal: 'alice', target: 'shop', role: 'read_only', reason: 'test' }
  const known = { roles: new Set(['read_only']), targets: new Set(['shop']) }
  const grant = newGrant({ ...terms, startsAt: clock.at, durationMs }, known)
  const authorization = Authorization.mint(grant, 't1', '::1', changes)
  const end = new GrantEnd(authorization, clock, (notice) => {
    if (client.hears) told.push(decodeBackend(notice, 0, notice.length))
    return client.hears
  })
  const pass = (ms: number): void => {
    for (const until = clock.at + ms; clock.at < until; clock.at += 250) end.look()
  }
  return { client, told, changes, grant, pass }
}

describe('a grant that ends soon', () => {
  it('is told to its session five minutes before, once, with what to do', () => {
    const { told, grant, pass } = ending(60 * minute)
    pass(55 * minute)
    expect(told).toEqual([])
    pass(6 * minute)
    expect(told).toEqual([
      {
        type: 'noticeResponse',
        fields: {
          S: 'NOTICE',
          V: 'NOTICE',
          C: '01000',
          M: 'the grant of this session ends in 5 minutes',
          D: 'At 2030-01-01T01:00:00.000Z the connection is closed, and what runs then is cancelled and rolled back.',
          H: `To go on, ask for more time before then: pgwarden extend ${grant.id} --for 1h --reason TEXT`,
        },
      },
    ])
  })

  it('is told again when it was prolonged, and ends soon again', () => {
    const { told, changes, grant, pass } = ending(60 * minute)
    pass(58 * minute)
    changes.prolong(grant.id, grant.endsAt + 30 * minute)
    pass(26 * minute)
    expect(told).toHaveLength(1)
    pass(2 * minute)
    expect(told).toHaveLength(2)
  })

  it('is told later to a client that cannot be told now', () => {
    const { client, told, pass } = ending(60 * minute)
    client.hears = false
    pass(56 * minute)
    client.hears = true
    pass(250)
    expect(JSON.stringify(told)).toContain('ends in 4 minutes')
  })

  it('is told at the beginning to a session that begins so late', () => {
    const { told, pass } = ending(90_000)
    pass(250)
    expect(JSON.stringify(told)).toContain('ends in 90 seconds')
  })
})
