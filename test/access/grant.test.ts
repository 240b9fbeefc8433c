import { describe, expect, it } from 'vitest'
import { type GrantTerms, newGrant, standing } from '../../src/access/grant.ts'
import { Failure } from '../../src/errors.ts'

const day = 24 * 60 * 60 * 1000
const startsAt = Date.UTC(2026, 0, 1)
const known = { roles: new Set(['read_only']), targets: new Map([['shop', {}]]) }
const terms: GrantTerms = {
  principal: 'alice@example.com',
  target: 'shop',
  role: 'read_only',
  startsAt,
  durationMs: day,
  reason: ' monthly report ',
}

describe('a new grant', () => {
  it('has its terms, an id and an end', () => {
    const grant = newGrant(terms, known)
    expect(grant).toMatchObject({
      principal: 'alice@example.com',
      target: 'shop',
      role: 'read_only',
      startsAt,
      endsAt: startsAt + day,
      revokedAt: undefined,
      reason: 'monthly report',
    })
    expect(grant.id).toMatch(/^[a-z2-7]{16}$/)
  })

  it('may last 30 days', () => {
    expect(newGrant({ ...terms, durationMs: 30 * day }, known).endsAt).toBe(startsAt + 30 * day)
  })

  it.each<[string, Partial<GrantTerms>, RegExp]>([
    ['for a role that does not exist', { role: 'root' }, /no role "root"/],
    ['for a target that does not exist', { target: 'toString' }, /no target "toString"/],
    ['without a reason', { reason: ' \n' }, /needs a reason/],
    ['for no time', { durationMs: 0 }, /at most 30 days/],
    ['for a negative time', { durationMs: -1 }, /at most 30 days/],
    ['for ever', { durationMs: Number.POSITIVE_INFINITY }, /at most 30 days/],
    ['for no number', { durationMs: Number.NaN }, /at most 30 days/],
    ['for a moment more than 30 days', { durationMs: 30 * day + 1 }, /at most 30 days/],
    ['from no time', { startsAt: Number.NaN }, /start/],
    ['to nobody', { principal: '' }, /principal/],
    ['to a name with a line break', { principal: 'alice\nadmin' }, /principal/],
    ['to a name that means a token', { principal: 'alice/abcdefghijklmn27' }, /principal/],
    ['to a name with a NUL', { principal: 'alice\0' }, /principal/],
    ['to a name with what nobody sees', { principal: 'al\u200bice' }, /principal/],
    ['to a name that seems to end', { principal: 'alice\u3164' }, /principal/],
    ['to a name that is read backwards', { principal: '\u202eecila' }, /principal/],
    ['to a name with half a character', { principal: 'alice\ud800' }, /principal/],
  ])('is refused %s', (_, change, sentence) => {
    const make = () => newGrant({ ...terms, ...change }, known)
    expect(make).toThrow(sentence)
    expect(make).toThrow(Failure)
  })

  it('is refused with the names that there are', () => {
    expect(() => newGrant({ ...terms, target: 'shopp' }, known)).toThrow(
      expect.objectContaining({ hint: 'Choose one of shop.' }),
    )
  })
})

describe('the standing of a grant', () => {
  const grant = newGrant(terms, known)

  it.each([
    ['not_yet', startsAt - 1],
    ['in_force', startsAt],
    ['in_force', startsAt + day - 1],
    ['expired', startsAt + day],
  ])('is %s at %d', (expected, now) => {
    expect(standing(grant, now)).toBe(expected)
  })

  it('is revoked from the revoke on, whatever the time', () => {
    expect(standing({ ...grant, revokedAt: startsAt }, startsAt + 1)).toBe('revoked')
  })
})
