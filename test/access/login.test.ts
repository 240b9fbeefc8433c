import { beforeEach, describe, expect, it } from 'vitest'
import type { Grant, TokenKind } from '../../src/access/access.ts'
import { Authorization } from '../../src/access/authorization.ts'
import { claimOf } from '../../src/access/claim.ts'
import { newGrant } from '../../src/access/grant.ts'
import { GrantChanges } from '../../src/access/grant-changes.ts'
import { type Proof, TokenLogin } from '../../src/access/login.ts'
import { issueToken } from '../../src/access/token.ts'
import type {
  ProvableToken,
  Redemption,
  StoredToken,
  TokenSearch,
  TokenStore,
} from '../../src/access/token-store.ts'
import { saltOf } from '../../src/access/verifier.ts'
import { Secret } from '../../src/secret.ts'
import { ScramClient } from '../../src/wire/scram-client.ts'
import { challenge, readProof } from '../../src/wire/scram-server.ts'

const start = Date.UTC(2026, 0, 1)
const minute = 60_000
const known = { roles: new Set(['read_only']), targets: new Set(['shop', 'hr']) }
const terms = {
  principal: 'alice',
  target: 'shop',
  role: 'read_only',
  startsAt: start,
  durationMs: 60 * minute,
  reason: 'report',
}
const grant: Grant = newGrant(terms, known)

/** Answers what it is told to, and remembers what it was asked. */
class ScriptedStore implements TokenStore {
  readonly calls: string[] = []
  readonly redemptions: Redemption[] = []
  readonly searches: TokenSearch[] = []
  token: StoredToken | undefined
  others: ProvableToken[] = []
  counts = true

  findToken(id: string): Promise<StoredToken | undefined> {
    this.calls.push('find')
    return Promise.resolve(this.token?.id === id ? this.token : undefined)
  }

  findProvable(search: TokenSearch): Promise<readonly ProvableToken[]> {
    this.calls.push('find')
    this.searches.push(search)
    const { token } = this
    const verifier = token?.verifier
    const all = token && verifier ? [...this.others, { ...token, verifier }] : this.others
    return Promise.resolve(
      all.filter(
        ({ id, grant: of }) => of.principal === search.principal && (search.tokenId ?? id) === id,
      ),
    )
  }

  grantedTargets(): Promise<readonly string[]> {
    this.calls.push('granted')
    return Promise.resolve(['shop'])
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

const never = { redeemedAt: undefined, revokedAt: undefined }
let now = start
const clock = { now: () => now, elapsed: () => now }
let store = new ScriptedStore()
let changes = new GrantChanges()
let password = ''

async function issue(kind: TokenKind, change: Partial<StoredToken> = {}): Promise<void> {
  const { record, text } = await issueToken(grant, kind, start, { redeemWithinMs: 10 * minute })
  const unused = { ...{ grant, groups: undefined, sitting: undefined }, ...never }
  store.token = { ...record, ...unused, ...change }
  password = text.reveal()
}

interface Change {
  readonly user?: string
  readonly target?: string | undefined
  readonly password?: string
}

type Way = Proof['type']
const ways: readonly Way[] = ['token', 'scram']

/** What a client shows that was asked in this way. */
async function shown(way: Way, user: string, token: string): Promise<Proof> {
  const text = new Secret(token)
  if (way === 'token') return { type: 'token', text }
  const client = new ScramClient({ password: text, binding: { type: 'none' } })
  const { principal } = claimOf(user)
  const challenged = challenge(client.first(), 'SCRAM-SHA-256', undefined, saltOf(principal))
  const final = await client.final(challenged.serverFirst)
  return { type: 'scram', proof: readProof(final, challenged) }
}

async function logIn(way: Way, change: Change = {}) {
  const login = new TokenLogin(
    store,
    clock,
    () => ({ sittingGraceMs: minute, sittingLogins: 3 }),
    changes,
  )
  const user = change.user ?? 'alice'
  return login.verify({
    claim: claimOf(user),
    target: 'target' in change ? change.target : 'shop',
    proof: await shown(way, user, change.password ?? password),
    address: '192.0.2.1',
  })
}

const sitting = { address: '192.0.2.1', until: start + 5 * minute, logins: 1 }

beforeEach(async () => {
  now = start + minute
  changes = new GrantChanges()
  store = new ScriptedStore()
  await issue('one-time')
})

describe.each(ways)('a login with a valid token (%s)', (way) => {
  it('is authorized for the grant, from this address', async () => {
    const result = await logIn(way)
    if (result.type !== 'authorized') throw new Error(result.reason)
    expect(result.authorization).toBeInstanceOf(Authorization)
    expect(result.authorization.grant).toBe(grant)
    expect(result.authorization.tokenId).toBe(store.token?.id)
    expect(result.authorization.address).toBe('192.0.2.1')
    expect(result.authorization.inForceAt(now)).toBe(true)
    expect(result.authorization.inForceAt(grant.endsAt)).toBe(false)
  })

  it('is over when this process hears that the grant was revoked, and says so', async () => {
    const result = await logIn(way)
    if (result.type !== 'authorized') throw new Error(result.reason)
    const { authorization } = result
    changes.revoke('another grant')
    expect(authorization.endedAt(now)).toBeUndefined()
    changes.revoke(grant.id)
    expect(authorization.inForceAt(now)).toBe(false)
    expect(authorization.endedAt(now)?.message).toContain('the grant was revoked')
  })

  it('tells the store where, when and until when', async () => {
    await logIn(way)
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
    await issue('one-time', { redeemedAt: start, sitting })
    expect(await logIn(way)).toMatchObject({ type: 'authorized' })
  })

  it('succeeds at any time of the grant with a reusable token', async () => {
    await issue('reusable', { redeemedAt: start })
    now = grant.endsAt - 1
    expect(await logIn(way)).toMatchObject({ type: 'authorized' })
  })

  it('may name the token, and then it is that one or none', async () => {
    const id = store.token?.id ?? ''
    expect(await logIn(way, { user: `alice/${id}` })).toMatchObject({ type: 'authorized' })
    expect(await logIn(way, { user: `alice/${'a'.repeat(16)}` })).toMatchObject({
      type: 'refused',
      reason: 'unknown',
      tokenId: 'a'.repeat(16),
    })
  })
})

describe('a proof by SCRAM', () => {
  it('is answered by the proof that the token is known here', async () => {
    const client = new ScramClient({ password: new Secret(password), binding: { type: 'none' } })
    const challenged = challenge(client.first(), 'SCRAM-SHA-256', undefined, saltOf('alice'))
    const proof = readProof(await client.final(challenged.serverFirst), challenged)
    const login = new TokenLogin(
      store,
      clock,
      () => ({ sittingGraceMs: minute, sittingLogins: 3 }),
      changes,
    )
    const result = await login.verify({
      claim: claimOf('alice'),
      target: 'shop',
      proof: { type: 'scram', proof },
      address: '192.0.2.1',
    })
    if (result.type !== 'authorized' || result.serverFinal === undefined) throw new Error('refused')
    const { serverFinal } = result
    expect(() => client.verify(serverFinal)).not.toThrow()
  })

  it('finds its token among many, and uses up no other', async () => {
    for (let i = 0; i < 31; i++) {
      const { record } = await issueToken(grant, 'one-time', start, { redeemWithinMs: minute })
      const { verifier } = record
      if (verifier === undefined) throw new Error('no verifier')
      const unused = { ...{ grant, groups: undefined, sitting: undefined }, ...never }
      store.others.push({ ...record, ...unused, verifier })
    }
    expect(await logIn('scram')).toMatchObject({ type: 'authorized' })
    expect(store.redemptions.map(({ tokenId }) => tokenId)).toEqual([store.token?.id])
  })

  it('is looked for among few tokens, and those of grants that ended within a day', async () => {
    await logIn('scram')
    expect(store.searches).toEqual([
      {
        principal: 'alice',
        tokenId: undefined,
        target: 'shop',
        now,
        endedAfter: now - 24 * 60 * minute,
        limit: 32,
      },
    ])
  })

  it('cannot be given of a token that was issued without a verifier', async () => {
    await issue('reusable', { verifier: undefined })
    expect(await logIn('scram')).toMatchObject({ type: 'refused', reason: 'unknown' })
    expect(await logIn('token')).toMatchObject({ type: 'authorized' })
  })
})

interface Refusal {
  readonly reason: string
  readonly when: string
  readonly token?: readonly [TokenKind, Partial<StoredToken>?]
  readonly at?: number
}

const stranger = `pgw_${'a'.repeat(16)}_${'b'.repeat(43)}`
const revokedGrant = { ...grant, revokedAt: start }
const elsewhere = { ...sitting, address: '192.0.2.9' }
const full = { ...sitting, logins: 3 }

const refusals: readonly Refusal[] = [
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

async function attempt(way: Way, { token = ['one-time'], at = now }: Refusal, change?: Change) {
  await issue(...token)
  now = at
  return logIn(way, change)
}

const guess = (): string => password.slice(0, -43) + 'x'.repeat(43)

describe.each(ways)('a token is refused (%s)', (way) => {
  it.each(refusals)('as $reason when $when', async (refusal) => {
    expect(await attempt(way, refusal)).toMatchObject({
      type: 'refused',
      reason: refusal.reason,
      tokenId: store.token?.id,
      grant: store.token?.grant,
    })
  })

  it.each(refusals)('after the same work, and untouched, when $when', async (refusal) => {
    await attempt(way, refusal)
    expect(store.calls).toEqual(['find', 'redeem'])
    expect(store.redemptions[0]?.tokenId).toBe('')
  })

  it.each(refusals)('without a word about targets when $when', async (refusal) => {
    const result = await attempt(way, refusal, { target: undefined })
    expect(result).toMatchObject({ type: 'refused', reason: refusal.reason })
    expect(store.calls).toEqual(['find', 'redeem'])
  })

  it.each([
    ['somebody who is unknown', { user: 'bob' }],
    ['a secret that was never issued', { password: stranger }],
    ['something that is no token', { password: 'secret' }],
    ['nothing', { password: '' }],
  ])('after the same work, and untouched, from %s', async (_, change) => {
    expect(await logIn(way, change)).toMatchObject({ type: 'refused' })
    expect(store.calls).toEqual(['find', 'redeem'])
    expect(store.redemptions[0]?.tokenId).toBe('')
  })

  it('as wrong_secret, after the same work, when only its id is right', async () => {
    expect(await logIn(way, { password: guess() })).toMatchObject({ reason: 'wrong_secret' })
    expect(store.calls).toEqual(['find', 'redeem'])
    expect(store.redemptions[0]?.tokenId).toBe('')
  })

  it('as overtaken when somebody else redeems it at this moment', async () => {
    store.counts = false
    expect(await logIn(way)).toMatchObject({ type: 'refused', reason: 'overtaken' })
  })

  it('and its grant named only when the secret was right', async () => {
    expect(await logIn(way, { password: guess() })).toMatchObject({ grant: undefined })
    store.counts = false
    expect(await logIn(way)).toMatchObject({ tokenId: store.token?.id, grant })
  })
})

describe('the reason of a refusal', () => {
  it('is what can be known of a token that was sent', async () => {
    const reason = async (change: Change) => (await logIn('token', change)) as { reason: string }
    expect(await reason({ password: 'secret' })).toMatchObject({ reason: 'malformed' })
    expect(await reason({ password: stranger })).toMatchObject({ reason: 'unknown' })
    expect(await reason({ user: 'bob' })).toMatchObject({ reason: 'wrong_principal', grant })
    const guessed = await reason({ password: guess() })
    expect(guessed).toMatchObject({ reason: 'wrong_secret', tokenId: store.token?.id })
  })

  it('is what can be known of one that was not', async () => {
    expect(await logIn('scram', { user: 'bob' })).toMatchObject({ reason: 'unknown' })
    expect(await logIn('scram', { password: 'secret' })).toMatchObject({
      reason: 'wrong_secret',
      tokenId: undefined,
    })
  })
})

describe.each(ways)('a genuine token that is not for what was asked (%s)', (way) => {
  it.each([
    ['wrong_target', 'hr'],
    ['unknown_target', undefined],
  ])('is told where it leads, and not used up (%s)', async (reason, target) => {
    const result = await logIn(way, { target })
    expect(result).toMatchObject({
      type: 'misdirected',
      reason,
      grant,
      tokenId: store.token?.id,
      granted: ['shop'],
    })
    if (result.type === 'misdirected') {
      expect(result.serverFinal !== undefined).toBe(way === 'scram')
    }
    expect(store.redemptions.map(({ tokenId }) => tokenId)).toEqual([''])
  })
})
