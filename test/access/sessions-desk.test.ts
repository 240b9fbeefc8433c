// Who may end which session, and what is said of it, with the store, the process's own sessions and the
// other processes made up.

import { beforeEach, describe, expect, it } from 'vitest'
import type { Change } from '../../src/access/change.ts'
import { newGrant } from '../../src/access/grant.ts'
import type { Identity, Scope } from '../../src/access/identity.ts'
import type { LiveSession } from '../../src/access/live-session.ts'
import { SessionsDesk } from '../../src/access/sessions-desk.ts'

const known = { roles: new Set(['read_only']), targets: new Set(['shop']) }
const terms = { principal: 'alice', target: 'shop', role: 'read_only', reason: 'test' }
const grant = newGrant({ ...terms, startsAt: 0, durationMs: 60_000 }, known)
const facts = { grantId: grant.id, principal: 'alice', target: 'shop', role: 'read_only' }
const more = { client: '192.0.2.1:5000', application: 'psql', startedAt: 5 }

let inStore: LiveSession[]
let here: string[]
let done: string[]
let changes: Change[]
let time: number
let recording: () => Promise<void>
let hears: (id: string) => void
let desk: SessionsDesk

beforeEach(() => {
  inStore = ['here', 'there'].map((id) => ({ id, ...facts, ...more }))
  here = ['here']
  done = []
  changes = []
  time = 0
  recording = () => Promise.resolve()
  hears = remove
  desk = new SessionsDesk({
    store: {
      listSessions: (wanted) =>
        Promise.resolve(inStore.filter(({ id }) => wanted.id === undefined || wanted.id === id)),
      askToEnd: async (id) => void done.push(`asked ${id}`),
      findGrant: (id) => Promise.resolve(id === grant.id ? grant : undefined),
      loginsOf: () => Promise.resolve([]),
    },
    here: {
      flush: () => Promise.resolve(),
      end: (id) => {
        if (!here.includes(id)) return false
        done.push(`ended ${id}`)
        remove(id)
        return true
      },
    },
    tell: async (id) => {
      done.push(`told ${id}`)
      hears(id)
    },
    record: async (change) => {
      await recording()
      changes.push(change)
    },
    rules: {
      ...{ roles: new Map(), targets: new Map(), teams: new Map(), approvers: new Map() },
      ...{ defaultMs: 1, longestUnapprovedMs: 1, longestMs: 1, pendingMs: 1, claims: [] },
      administrators: ['admins'],
      auditors: [],
    },
    clock: { now: () => time, elapsed: () => time },
    sleep: async (ms) => {
      time += ms
    },
  })
})

function remove(id: string): void {
  inStore = inStore.filter((session) => session.id !== id)
}

function person(principal: string, groups: readonly string[], scopes: readonly Scope[]): Identity {
  const rest = { claims: {}, via: 'oidc', expiresAt: 1_000 }
  return { principal, kind: 'person', groups, scopes: new Set(scopes), ...rest }
}

const alice = person('alice', [], ['access'])
const admin = person('eve', ['admins'], ['administer'])

describe('a session', () => {
  it('is ended by its holder, here at once', async () => {
    expect(await desk.end(alice, 'here', ' stuck ')).toBe(true)
    expect(done).toEqual(['ended here'])
    expect(changes).toMatchObject([
      { type: 'session.ended', sessionId: 'here', reason: 'stuck', by: { principal: 'alice' } },
    ])
  })

  it('is ended by an administrator, wherever it is', async () => {
    expect(await desk.end(admin, 'there', 'a runaway')).toBe(true)
    expect(done).toEqual(['asked there', 'told there'])
  })

  it('is said not to be ended yet when its process does not answer', async () => {
    hears = () => undefined
    expect(await desk.end(admin, 'there', 'a runaway')).toBe(false)
    expect(time).toBeLessThanOrEqual(2_100)
  })

  it.each([
    ['somebody else', person('bob', ['developers'], ['access', 'administer'])],
    ['an administrator whose credential is not for that', person('eve', ['admins'], ['access'])],
  ])('is none that %s could end, or hear of', async (_, by) => {
    await expect(desk.end(by, 'here', 'why not')).rejects.toMatchObject({ code: 'not_found' })
    await expect(desk.end(by, 'nowhere', 'why not')).rejects.toMatchObject({ code: 'not_found' })
    expect(done).toEqual([])
    expect(changes).toEqual([])
  })

  it('is not ended by a credential that is for reading only', async () => {
    const reading = person('alice', [], ['audit'])
    await expect(desk.end(reading, 'here', 'why')).rejects.toMatchObject({ code: 'forbidden' })
  })

  it('is not ended without a reason, nor where that cannot be put on record', async () => {
    await expect(desk.end(alice, 'here', ' ')).rejects.toMatchObject({ code: 'invalid_parameter' })
    recording = () => Promise.reject(new Error('disk full'))
    await expect(desk.end(alice, 'here', 'stuck')).rejects.toThrow('disk full')
    expect(done).toEqual([])
  })
})
