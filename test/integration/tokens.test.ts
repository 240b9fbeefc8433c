// Logins against a real store, many at the same moment: what one UPDATE promises must hold between
// processes, so each "process" here has a pool of its own.

import { Pool } from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import type { TokenKind } from '../../src/access/access.ts'
import { newGrant } from '../../src/access/grant.ts'
import { GrantChanges } from '../../src/access/grant-changes.ts'
import { TokenLogin } from '../../src/access/login.ts'
import { SittingKeeper } from '../../src/access/sittings.ts'
import { issueToken } from '../../src/access/token.ts'
import type { TokenSearch } from '../../src/access/token-store.ts'
import { Secret } from '../../src/secret.ts'
import { Store } from '../../src/store/store.ts'
import { type FreshDatabase, freshDatabase } from '../support/databases.ts'

const start = Date.UTC(2026, 0, 1)
const minute = 60_000
const rules = { redeemWithinMs: 10 * minute, sittingGraceMs: minute, sittingLogins: 4 }
const known = { roles: new Set(['read_only']), targets: new Set(['shop']) }
const here = '192.0.2.1'
const elsewhere = '192.0.2.2'

let now = start
const clock = { now: () => now, elapsed: () => now }

let database: FreshDatabase
let stores: Store[] = []
let direct: Pool

beforeAll(async () => {
  database = await freshDatabase(inject('adminUrl'), 'tokens')
  const open = () =>
    Store.open({ url: new Secret(database.url), onProblem: () => {}, connections: 8 })
  stores = await Promise.all([open(), open()])
  direct = new Pool({ connectionString: database.url })
})

afterAll(async () => {
  await Promise.all(stores.map((store) => store.close()))
  await direct.end()
  await database.drop()
})

function store(index: number): Store {
  const chosen = stores[index % stores.length]
  if (chosen === undefined) throw new Error('no store')
  return chosen
}

async function issue(kind: TokenKind) {
  now = start
  const grant = newGrant(
    {
      principal: 'alice',
      target: 'shop',
      role: 'read_only',
      startsAt: start,
      durationMs: 60 * minute,
      reason: 'report',
    },
    known,
  )
  const { record, text } = await issueToken(grant, kind, start, rules)
  await store(0).insertGrant(grant)
  await store(0).insertToken(record)
  const logIn = async (address: string, process = 0): Promise<string> => {
    const login = new TokenLogin(store(process), clock, () => rules, new GrantChanges())
    const claim = { principal: 'alice', tokenId: undefined }
    const proof = { type: 'token', text } as const
    const result = await login.verify({ claim, target: 'shop', proof, address })
    return result.type === 'authorized' ? 'authorized' : result.reason
  }
  return { grant, tokenId: record.id, logIn }
}

function count(results: readonly string[], what: string): number {
  return results.filter((result) => result === what).length
}

describe('a single-use token', () => {
  it('lets exactly one of 50 simultaneous logins in', async () => {
    const { logIn } = await issue('single-use')
    const results = await Promise.all(Array.from({ length: 50 }, (_, i) => logIn(here, i)))
    expect(count(results, 'authorized')).toBe(1)
    expect(count(results, 'overtaken') + count(results, 'spent')).toBe(49)
  })

  it('is spent for the same address too', async () => {
    const { logIn } = await issue('single-use')
    expect([await logIn(here), await logIn(here)]).toEqual(['authorized', 'spent'])
  })
})

describe('a one-time token', () => {
  it('belongs to the first of two addresses that use it at the same moment', async () => {
    const { logIn } = await issue('one-time')
    const results = await Promise.all(
      Array.from({ length: 20 }, async (_, i) => {
        const address = i % 2 === 0 ? here : elsewhere
        return { address, result: await logIn(address, i) }
      }),
    )
    const winners = results.filter(({ result }) => result === 'authorized')
    expect(new Set(winners.map(({ address }) => address)).size).toBe(1)
    const loser = winners[0]?.address === here ? elsewhere : here
    expect(await logIn(loser)).toBe('other_address')
  })

  it('admits as many logins of one sitting as the rules say, however simultaneous', async () => {
    const { logIn } = await issue('one-time')
    const results = await Promise.all(Array.from({ length: 30 }, (_, i) => logIn(here, i)))
    expect(count(results, 'authorized')).toBe(rules.sittingLogins)
    expect(await logIn(here)).toBe('too_many_logins')
  })

  it('is spent when the grace is over and no session is open', async () => {
    const { logIn } = await issue('one-time')
    expect(await logIn(here)).toBe('authorized')
    now = start + minute - 1
    expect(await logIn(here)).toBe('authorized')
    now += minute
    expect(await logIn(here)).toBe('spent')
  })

  it('goes on while a session of its sitting is open, and the grace after', async () => {
    const { logIn, tokenId } = await issue('one-time')
    const keeper = new SittingKeeper(
      store(1),
      clock,
      () => rules,
      (error) => {
        throw error
      },
    )
    await logIn(here)
    keeper.opened(tokenId)
    now = start + 30 * minute
    keeper.closed(tokenId)
    await keeper.stop()
    now += minute - 1
    expect(await logIn(here)).toBe('authorized')
    expect(await logIn(elsewhere)).toBe('other_address')
  })

  it('that was never used dies with its redemption time', async () => {
    const { logIn } = await issue('one-time')
    now = start + 10 * minute
    expect(await logIn(here)).toBe('not_redeemed_in_time')
  })
})

describe('a reusable token', () => {
  it('is good from anywhere until the grant ends', async () => {
    const { logIn } = await issue('reusable')
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, i) => logIn(`192.0.2.${i}`, i)),
    )
    expect(count(results, 'authorized')).toBe(20)
    now = start + 60 * minute - 1
    expect(await logIn(here)).toBe('authorized')
    now += 1
    expect(await logIn(here)).toBe('expired')
  })
})

describe('a revoke', () => {
  it.each(['one-time', 'reusable'] as const)('of the grant ends a %s token', async (kind) => {
    const { grant, logIn } = await issue(kind)
    expect(await logIn(here)).toBe('authorized')
    await direct.query('update pgwarden.grants set revoked_at = now() where id = $1', [grant.id])
    expect(await logIn(here)).toBe('revoked')
  })

  it('wins when it comes between the look-up and the redemption', async () => {
    const { grant, tokenId } = await issue('reusable')
    await direct.query('update pgwarden.grants set revoked_at = now() where id = $1', [grant.id])
    const redemption = { tokenId, address: here, now, sittingUntil: now, sittingLogins: 1 }
    expect(await store(0).redeem(redemption)).toBe(false)
  })
})

describe('keeping sittings', () => {
  it('never shortens one, and gives none to a token that has none', async () => {
    const oneTime = await issue('one-time')
    const reusable = await issue('reusable')
    await oneTime.logIn(here)
    await reusable.logIn(here)
    await store(0).keepSittings([oneTime.tokenId, reusable.tokenId], start + 1)
    const kept = await store(0).findToken(oneTime.tokenId)
    expect(kept?.sitting).toEqual({ address: here, until: start + minute, logins: 1 })
    expect((await store(0).findToken(reusable.tokenId))?.sitting).toBeUndefined()
  })
})

describe('the tokens that a proof can be about', () => {
  const search = {
    principal: 'carol',
    tokenId: undefined,
    target: 'shop',
    now: start + minute,
    endedAfter: start,
    limit: 4,
  }

  async function give(kind: TokenKind, issuedAt: number, target = 'shop', startsAt = start) {
    const terms = { principal: 'carol', role: 'read_only', reason: 'report' }
    const where = { target, startsAt, durationMs: 60 * minute }
    const names = { ...known, targets: new Set(['shop', 'hr']) }
    const grant = newGrant({ ...terms, ...where }, names)
    const { record } = await issueToken(grant, kind, issuedAt, rules)
    await store(0).insertGrant(grant)
    await store(0).insertToken(record)
    return record.id
  }

  it('are those of the principal, for the target first, then the live ones, then the newest', async () => {
    const ended = await give('reusable', start - 120 * minute, 'shop', start - 120 * minute)
    const elsewhere = await give('reusable', start + 5, 'hr')
    const spent = await give('single-use', start + 4)
    const old = await give('reusable', start + 1)
    const fresh = await give('one-time', start + 2)
    await store(0).redeem({
      tokenId: spent,
      address: here,
      now: start + minute,
      sittingUntil: start + minute,
      sittingLogins: 1,
    })
    const found = async (change: Partial<TokenSearch> = {}) =>
      (await store(1).findProvable({ ...search, ...change })).map(({ id }) => id)
    expect(await found()).toEqual([fresh, old, spent, elsewhere])
    expect(await found({ limit: 2 })).toEqual([fresh, old])
    expect(await found({ target: 'hr' })).toEqual([elsewhere, fresh, old, spent])
    expect(await found({ endedAfter: start - 61 * minute })).toEqual([fresh, old, spent, ended])
    expect(await found({ tokenId: old })).toEqual([old])
    expect(await found({ principal: 'dave' })).toEqual([])
    expect(await found({ principal: 'dave', tokenId: old })).toEqual([])

    const granted = (at: number) => store(0).grantedTargets('carol', at, 9)
    expect(await granted(start + minute)).toEqual(['hr', 'shop'])
    expect(await granted(start - 1)).toEqual([])
    expect(await store(0).grantedTargets('carol', start, 1)).toEqual(['hr'])
  })

  it('are not those that were issued before there were verifiers', async () => {
    const { tokenId } = await issue('reusable')
    const alice = { ...search, principal: 'alice', tokenId, limit: 9 }
    expect(await store(0).findProvable(alice)).toHaveLength(1)
    await direct.query(
      `update pgwarden.access_tokens set scram_salt = null, scram_iterations = null,
         scram_stored_key = null, scram_server_key = null where id = $1`,
      [tokenId],
    )
    expect(await store(0).findProvable(alice)).toEqual([])
    expect((await store(0).findToken(tokenId))?.verifier).toBeUndefined()
  })
})
