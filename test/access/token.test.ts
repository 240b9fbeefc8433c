import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import type { TokenKind } from '../../src/access/access.ts'
import { bearerId, hashBearer, sameHash } from '../../src/access/bearer.ts'
import { newGrant } from '../../src/access/grant.ts'
import { issueToken } from '../../src/access/token.ts'
import { saltOf } from '../../src/access/verifier.ts'
import { deriveVerifier } from '../../src/wire/scram.ts'

const now = Date.UTC(2026, 0, 1)
const minute = 60_000
const rules = { redeemWithinMs: 10 * minute }
const known = { roles: new Set(['read_only']), targets: new Set(['shop']) }
const grant = newGrant(
  {
    principal: 'alice',
    target: 'shop',
    role: 'read_only',
    startsAt: now,
    durationMs: 60 * minute,
    reason: 'report',
  },
  known,
)

describe('an access token', () => {
  it('fits wherever a password fits: short, ASCII, nothing to quote', async () => {
    const text = (await issueToken(grant, 'one-time', now, rules)).text.reveal()
    expect(text).toMatch(/^pgw_[a-z2-7]{16}_[A-Za-z0-9_-]{43}$/)
    expect(text.length).toBeLessThanOrEqual(80)
  })

  it('is known by its hash and its verifier only, and never printed', async () => {
    const { record, text } = await issueToken(grant, 'one-time', now, rules)
    expect(sameHash(record.hash, hashBearer(text.reveal()))).toBe(true)
    expect(bearerId('pgw', text.reveal())).toBe(record.id)
    const printed = inspect({ record, text }, { depth: 9 }) + JSON.stringify({ record, text })
    expect(printed).not.toContain(text.reveal().slice(-43))
    const { salt, iterations } = saltOf('alice')
    expect(record.verifier).toEqual(await deriveVerifier(text.reveal(), salt, iterations))
  })

  it('is another one each time', async () => {
    const ids = await Promise.all(
      Array.from({ length: 100 }, () => issueToken(grant, 'one-time', now, rules)),
    )
    expect(new Set(ids.map(({ text }) => text.reveal())).size).toBe(100)
    expect(new Set(ids.map(({ record }) => record.id)).size).toBe(100)
  })

  it('waits for its first login as long as the rules say, or as the grant lasts', async () => {
    const redeemBy = async (kind: TokenKind, at: number): Promise<number> =>
      (await issueToken(grant, kind, at, rules)).record.redeemBy
    expect(await redeemBy('one-time', now)).toBe(now + 10 * minute)
    expect(await redeemBy('single-use', now + 55 * minute)).toBe(now + 60 * minute)
    expect(await redeemBy('reusable', now)).toBe(now + 60 * minute)
  })

  it('of a grant that starts later counts its time from that start', async () => {
    const { record } = await issueToken(grant, 'one-time', now - 30 * minute, rules)
    expect(record.redeemBy).toBe(now + 10 * minute)
  })

  it.each([
    '',
    'hunter2',
    'pgw__',
    `pgw_${'a'.repeat(16)}_${'b'.repeat(42)}`,
    `pgw_${'a'.repeat(16)}_${'b'.repeat(44)}`,
    `pgw_${'A'.repeat(16)}_${'b'.repeat(43)}`,
    ` pgw_${'a'.repeat(16)}_${'b'.repeat(43)}`,
    `pgw_${'a'.repeat(16)}_${'b'.repeat(43)}\n`,
    `pgw_${'a'.repeat(16)}_${'b'.repeat(42)}'`,
    'x'.repeat(65_536),
  ])('is not found in %j', (text) => {
    expect(bearerId('pgw', text)).toBeUndefined()
  })
})

describe('comparing hashes', () => {
  it('tells one changed bit, and another length', () => {
    const hash = hashBearer('a')
    const other = Buffer.from(hash)
    other.writeUInt8(other.readUInt8(31) ^ 1, 31)
    expect(sameHash(hash, Buffer.from(hash))).toBe(true)
    expect(sameHash(hash, other)).toBe(false)
    expect(sameHash(hash, hash.subarray(1))).toBe(false)
  })
})

describe('the salt of a principal', () => {
  it('is the same for all tokens, and another for every other principal, whether it exists or not', () => {
    expect(saltOf('alice')).toEqual(saltOf('alice'))
    expect(saltOf('alice').salt).toHaveLength(16)
    expect(saltOf('alice').salt).not.toEqual(saltOf('nobody').salt)
  })

  it('is never changed, since the verifiers in the store were made with it', () => {
    expect(saltOf('alice').salt.toString('hex')).toBe('6ad34e4d09eb135300d109b3069e3c56')
    expect(saltOf('alice').iterations).toBe(4096)
  })
})
