// What failed logins cost those who fail, and nobody else: against a real store, with lock-outs that last a
// second instead of minutes.

import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import type { Change } from '../../src/access/change.ts'
import { LoginGuard, type LoginRules } from '../../src/access/login-guard.ts'
import { systemClock } from '../../src/clock.ts'
import { operations } from '../../src/composition/server.ts'
import { Secret } from '../../src/secret.ts'
import { Store } from '../../src/store/store.ts'
import { eventually } from '../support/eventually.ts'
import { Warden } from '../support/warden.ts'

const adminUrl = inject('adminUrl')
const rules: LoginRules = {
  ...{ failures: 4, withinMs: 60_000, lockOutMs: 60_000 },
  ...{ delayMs: 250, longestDelayMs: 5_000 },
}
const operator = { principal: 'eve', via: 'operator' }
const alice = { principal: 'alice', address: '192.0.2.1' }

let warden: Warden
let store: Store
let changes: Change[]

beforeAll(async () => {
  warden = await Warden.start(adminUrl, {
    failedLogins: '{ failures: 3, lockOut: 1s, delay: 100ms, longestDelay: 1s }',
  })
  store = await Store.open({ url: new Secret(warden.storeUrl), onProblem: () => undefined })
})

afterAll(async () => {
  await store.close()
  await warden.stop()
})

beforeEach(async () => {
  changes = []
  await warden.inStore((client) =>
    client.query('truncate pgwarden.login_failures, pgwarden.known_addresses'),
  )
})

/** A process beside others. */
function guard(): LoginGuard {
  return new LoginGuard({
    ...{ store: store.loginFailures, rules: () => rules, clock: systemClock },
    record: async (change) => void changes.push(change),
    onProblem: (error) => {
      throw error
    },
  })
}

/** The answers' delays in milliseconds. */
async function failing(by: LoginGuard, times: number, who = alice): Promise<readonly number[]> {
  const delays = []
  for (let n = 0; n < times; n++) delays.push(await by.failed(who))
  return delays
}

describe('somebody who fails to log in', () => {
  it('waits longer each time, whichever process answers, up to a limit', async () => {
    const known = { ...alice, address: '192.0.2.9' }
    await store.loginFailures.rememberLogin(known)
    const delays = [...(await failing(guard(), 3, known)), ...(await failing(guard(), 4, known))]
    expect(delays).toEqual([250, 500, 1_000, 2_000, 4_000, 5_000, 5_000])
  })

  it('is locked out after too many, with that name and from that address only', async () => {
    const by = guard()
    await failing(by, 3)
    expect(await by.lockedUntil(alice)).toBeUndefined()
    await failing(by, 2)
    const until = (await guard().lockedUntil(alice)) ?? 0
    expect(until - Date.now()).toBeGreaterThan(50_000)
    expect(await by.lockedUntil({ ...alice, address: '192.0.2.2' })).toBeUndefined()
    expect(await by.lockedUntil({ ...alice, principal: 'bob' })).toBeUndefined()
    expect(changes).toMatchObject([
      { type: 'login.locked', principal: 'alice', address: '192.0.2.1', failures: 4 },
    ])
  })

  it('is let in again when an operator lifts it, and that is on record', async () => {
    const by = guard()
    await failing(by, 4)
    const [lockOut] = await by.list()
    expect(lockOut).toMatchObject({ ...alice, failures: 4 })
    expect(await by.lift(operator, lockOut?.id ?? '')).toBe(true)
    expect(await by.lift(operator, lockOut?.id ?? '')).toBe(false)
    expect(await by.lockedUntil(alice)).toBeUndefined()
    expect(changes.at(-1)).toEqual({ type: 'login.unlocked', by: operator, ...alice })
    expect(await failing(by, 1)).toEqual([250])
  })

  it('is let in again from the command line beside the store too', async () => {
    await failing(guard(), 4)
    const { configFile } = warden
    const [lockOut] = await operations.listLockOuts({ configFile })
    expect(lockOut).toMatchObject(alice)
    const { id = '' } = lockOut ?? {}
    await operations.liftLockOut({ configFile, id })
    expect(await guard().lockedUntil(alice)).toBeUndefined()
    await expect(operations.liftLockOut({ configFile, id })).rejects.toThrow('it is over')
    expect(await warden.operatorJournal('login.unlocked')).toMatchObject([
      { principal: 'alice', client: '192.0.2.1' },
    ])
  })

  it('locks nobody out who has logged in from there, and cannot do so from elsewhere', async () => {
    const by = guard()
    by.succeeded(alice)
    await eventually(async () => (await knownAddresses()) === 1)
    await failing(by, 12)
    await failing(by, 12, { ...alice, address: '203.0.113.5' })
    expect(await by.lockedUntil(alice)).toBeUndefined()
  })

  it('is forgiven at the first login', async () => {
    const by = guard()
    await failing(by, 3)
    by.succeeded(alice)
    await eventually(async () => (await knownAddresses()) === 1)
    expect(await failing(by, 1)).toEqual([250])
  })

  it('is not remembered for longer than it counts', async () => {
    await failing(guard(), 3)
    const later = "update pgwarden.login_failures set since = since - interval '61 s'"
    await warden.inStore((client) => client.query(later))
    expect(await failing(guard(), 1)).toEqual([250])
    await warden.inStore((client) => client.query(later))
    await store.loginFailures.forgetFailures(rules)
    expect(await pairs()).toBe(0)
  })

  it('fills no more than a little of the store with names from one address', async () => {
    const by = guard()
    await Promise.all(
      Array.from({ length: 60 }, (_, n) => by.failed({ ...alice, principal: `p${n}` })),
    )
    await by.failed({ principal: 'x'.repeat(9_000), address: '192.0.2.7' })
    expect(await pairs()).toBeLessThanOrEqual(61)
    expect(await failing(by, 1, { ...alice, principal: 'one more' })).toEqual([5_000])
  })

  async function pairs(): Promise<number> {
    const { rowCount } = await warden.inStore((client) =>
      client.query('select from pgwarden.login_failures where length(principal) <= 128'),
    )
    return rowCount ?? 0
  }

  async function knownAddresses(): Promise<number> {
    const { rowCount } = await warden.inStore((client) =>
      client.query('select from pgwarden.known_addresses'),
    )
    return rowCount ?? 0
  }
})

describe('a client on the wire', () => {
  /** What a login with this token comes to, and how long that takes. */
  async function answer(login: { readonly user: string; readonly password: string }) {
    const startedAt = performance.now()
    const client = new Client({ host: '127.0.0.1', port: warden.port, database: 'shop', ...login })
    client.on('error', () => undefined)
    const code = await client.connect().then(
      () => 'in',
      (error: { readonly code?: string }) => error.code,
    )
    await client.end().catch(() => undefined)
    return { code, ms: performance.now() - startedAt }
  }

  it.each([
    ['that exists', true],
    ['that nobody has', false],
  ])(
    'with a name %s hears the same, ever later, and is then locked out for a while',
    async (_, exists) => {
      const user = exists ? 'dora' : 'nobody'
      const real = exists ? await warden.login('read_only', { user }) : undefined
      const wrong = { user, password: 'guessed' }
      const heard = [await answer(wrong), await answer(wrong), await answer(wrong)]
      expect(heard.map(({ code }) => code)).toEqual(['28P01', '28P01', '28P01'])
      for (const [at, { ms }] of heard.entries()) expect(ms).toBeGreaterThan(95 * 2 ** at)
      // The right token opens nothing now either, and a wrong one cannot be told from it.
      const locked = [
        await answer(wrong),
        ...(real ? [await answer({ user, password: real.password })] : []),
      ]
      for (const { code } of locked) expect(code).toBe('28000')
      if (real === undefined) return
      await sleep(1_000)
      expect((await answer({ user, password: real.password })).code).toBe('in')
      expect(await warden.journal('login.locked')).toMatchObject([{ principal: 'dora' }])
    },
  )
})
