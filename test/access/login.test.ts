import { beforeEach, describe, expect, it } from 'vitest'
import type { Grant, TokenKind } from '../../src/access/access.ts'
import { Authorization } from '../../src/access/authorization.ts'
import { newGrant } from '../../src/access/grant.ts'
import {
  type Redemption,
  type StoredToken,
  TokenLogin,
  type TokenStore,
} from '../../src/access/login.ts'
import { issueToken } from '../../src/access/token.ts'
import { Secret } from '../../src/secret.ts'

const start = Date.UTC(2026, 0, 1)
const minute = 60_000
const grant: Grant = newGrant(
  {
    principal: 'alice',
    target: 'shop',
    role: 'read_only',
    startsAt: start,
    durationMs: 60 * minute,
    reason: 'report',
  },
  { roles: new Set(['read_only']), targets: new Set(['shop']) },
)

/** Answers what it is told to, and remembers what it was asked. */
class ScriptedStore implements TokenStore {
  readonly calls: string[] = []
  readonly redemptions: Redemption[] = []
  token: StoredToken | undefined
  counts = true

  findToken(id: string): Promise<StoredToken | undefined> {
    this.calls.push('find')
    return Promise.resolve(this.token?.id === id ? this.token : undefined)
  }

  redeem(redemption: Redemption): Promise<boolean> {
    this.calls.push('redeem')
    this.redemptions.push(redemption)
    return Promise.resolve(this.counts && redemption.tokenId === this.token?.id)
  }

  keepSittings(): Promise<void> {
    return Promise.resolve()
  }
}

let now = start
const clock = { now: () => now, elapsed: () => now }
let store = new ScriptedStore()
let password = ''

function issue(kind: TokenKind, change: Partial<StoredToken> = {}): void {
  const { record, text } = issueToken(grant, kind, start, { redeemWithinMs: 10 * minute })
  const unused = { grant, redeemedAt: undefined, revokedAt: undefined, sitting: undefined }
  store.token = { ...record, ...unused, ...change }
  password = text.reveal()
}

function logIn(change: { user?: string; database?: string; password?: string } = {}) {
  const login = new TokenLogin(store, clock, { sittingGraceMs: minute, sittingLogins: 3 })
  return login.verify({
    user: change.user ?? 'alice',
    database: change.database ?? 'shop',
    password: new Secret(change.password ?? password),
    address: '192.0.2.1',
  })
}

const sitting = { address: '192.0.2.1', until: start + 5 * minute, logins: 1 }

beforeEach(() => {
  now = start + minute
  store = new ScriptedStore()
  issue('one-time')
})

describe('a login with a valid token', () => {
  it('is authorized for the grant, from this address', async () => {
    const result = await logIn()
    if (result.type !== 'authorized') throw new Error(result.reason)
    expect(result.authorization).toBeInstanceOf(Authorization)
    expect(result.authorization.grant).toBe(grant)
    expect(result.authorization.tokenId).toBe(store.token?.id)
    expect(result.authorization.address).toBe('192.0.2.1')
    expect(result.authorization.inForceAt(now)).toBe(true)
    expect(result.authorization.inForceAt(grant.endsAt)).toBe(false)
  })

  it('tells the store where, when and until when', async () => {
    await logIn()
    expect(store.redemptions).toEqual([
      {
        tokenId: store.token?.id,
        address: '192.0.2.1',
        now,
        sittingUntil: now + minute,
        sittingLogins: 3,
      },
    ])
  })

  it('succeeds again in the same sitting', async () => {
    issue('one-time', { redeemedAt: start, sitting })
    expect(await logIn()).toMatchObject({ type: 'authorized' })
  })

  it('succeeds at any time of the grant with a reusable token', async () => {
    issue('reusable', { redeemedAt: start })
    now = grant.endsAt - 1
    expect(await logIn()).toMatchObject({ type: 'authorized' })
  })
})

interface Refusal {
  readonly reason: string
  readonly when: string
  readonly token?: readonly [TokenKind, Partial<StoredToken>?]
  readonly at?: number
  readonly attempt?: Parameters<typeof logIn>[0]
}

const stranger = `pgw_${'a'.repeat(16)}_${'b'.repeat(43)}`
const revokedGrant = { ...grant, revokedAt: start }
const elsewhere = { ...sitting, address: '192.0.2.9' }
const full = { ...sitting, logins: 3 }

const refusals: readonly Refusal[] = [
  { reason: 'malformed', when: 'it is no token', attempt: { password: 'secret' } },
  { reason: 'unknown', when: 'it was never issued', attempt: { password: stranger } },
  { reason: 'wrong_principal', when: "it is somebody else's", attempt: { user: 'bob' } },
  { reason: 'wrong_target', when: 'it is for another database', attempt: { database: 'hr' } },
  { reason: 'revoked', when: 'it was revoked', token: ['one-time', { revokedAt: start }] },
  { reason: 'revoked', when: 'its grant was', token: ['reusable', { grant: revokedGrant }] },
  { reason: 'not_yet', when: 'its grant has not begun', at: start - 1 },
  { reason: 'expired', when: 'its grant is over', token: ['reusable'], at: grant.endsAt },
  { reason: 'not_redeemed_in_time', when: 'the first login is late', at: start + 10 * minute },
  {
    reason: 'other_address',
    when: 'its sitting is at another address',
    token: ['one-time', { redeemedAt: start, sitting: elsewhere }],
  },
  {
    reason: 'too_many_logins',
    when: 'its sitting had its logins',
    token: ['one-time', { redeemedAt: start, sitting: full }],
  },
  {
    reason: 'spent',
    when: 'its sitting is over',
    token: ['one-time', { redeemedAt: start, sitting }],
    at: sitting.until,
  },
  {
    reason: 'spent',
    when: 'it is single-use and was used',
    token: ['single-use', { redeemedAt: start }],
  },
]

function attempt({ token = ['one-time'], at = now, ...refusal }: Refusal) {
  issue(...token)
  now = at
  return logIn(refusal.attempt)
}

const guess = (): string => password.slice(0, -43) + 'x'.repeat(43)

describe('a token is refused', () => {
  it.each(refusals)('as $reason when $when', async (refusal) => {
    expect(await attempt(refusal)).toMatchObject({ type: 'refused', reason: refusal.reason })
  })

  it.each(refusals)('after the same work, and untouched, when $when', async (refusal) => {
    await attempt(refusal)
    expect(store.calls).toEqual(['find', 'redeem'])
    expect(store.redemptions[0]?.tokenId).toBe('')
  })

  it('as wrong_secret, after the same work, when only its id is right', async () => {
    expect(await logIn({ password: guess() })).toMatchObject({ reason: 'wrong_secret' })
    expect(store.calls).toEqual(['find', 'redeem'])
    expect(store.redemptions[0]?.tokenId).toBe('')
  })

  it('as overtaken when somebody else redeems it at this moment', async () => {
    store.counts = false
    expect(await logIn()).toMatchObject({ type: 'refused', reason: 'overtaken' })
  })

  it('and its grant named only when the secret was right', async () => {
    const guessed = await logIn({ password: guess() })
    expect(guessed).toMatchObject({ tokenId: store.token?.id, grant: undefined })
    expect(await logIn({ user: 'bob' })).toMatchObject({ tokenId: store.token?.id, grant })
  })
})
