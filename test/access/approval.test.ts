import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isNeeded, isSamePerson, unfilled } from '../../src/access/approval.ts'
import type { Need } from '../../src/access/rules.ts'

const need = (name: string, ...groups: readonly string[]): Need => ({ function: name, groups })
const both = [need('manager', 'managers'), need('ciso', 'security')]
const bob = { principal: 'bob', groups: ['managers'] }
const carol = { principal: 'carol', groups: ['security'] }
const erin = { principal: 'erin', groups: ['managers', 'security'] }
const names = (needs: readonly Need[]) => needs.map((each) => each.function)

describe('approvals', () => {
  it('fill one function each, however many groups the person is in', () => {
    expect(names(unfilled(both, [erin]))).toEqual(['ciso'])
    expect(names(unfilled(both, [erin, carol]))).toEqual([])
  })

  it('move to another function of the person where that lets somebody else fill this one', () => {
    expect(isNeeded(both, [erin], bob)).toBe(true)
    expect(names(unfilled(both, [erin, bob]))).toEqual([])
  })

  it('are not needed from a second person for the same function', () => {
    expect(isNeeded(both, [bob], { principal: 'bert', groups: ['managers'] })).toBe(false)
    expect(isNeeded(both, [bob], { principal: 'eve', groups: ['developers'] })).toBe(false)
  })

  it('that suffice since the rules ask for less are completed by whoever could give one', () => {
    const [manager = need('manager')] = both
    expect(isNeeded([manager], [bob], erin)).toBe(true)
    expect(isNeeded([manager], [bob], carol)).toBe(false)
  })

  it('fill as many functions as any assignment of persons could', () => {
    const groups = fc.subarray(['a', 'b', 'c', 'd'])
    const needs = fc.array(groups, { maxLength: 4 })
    fc.assert(
      fc.property(needs, fc.array(groups, { maxLength: 4 }), (wanted, people) => {
        const left = unfilled(
          wanted.map((each, at) => need(String(at), ...each)),
          people.map((each, at) => ({ principal: String(at), groups: each })),
        )
        expect(wanted.length - left.length).toBe(mostFilled(wanted, people))
      }),
    )
  })
})

/** Tries every assignment. */
function mostFilled(
  [first, ...rest]: readonly (readonly string[])[],
  people: readonly (readonly string[])[],
): number {
  if (first === undefined) return 0
  const without = mostFilled(rest, people)
  const withOne = people.flatMap((groups, at) =>
    groups.some((group) => first.includes(group))
      ? [1 + mostFilled(rest, people.toSpliced(at, 1))]
      : [],
  )
  return Math.max(without, ...withOne)
}

describe('a name', () => {
  it.each([
    ['alice', 'Alice', true],
    ['alice', 'ａｌｉｃｅ', true],
    ['alice', 'al\u200bi\u00adce', true],
    ['strasse', 'Straße', true],
    ['νίκος', 'ΝΊΚΟΣ', true],
    ['νίκοσ', 'ΝΊΚΟΣ', true],
    ['alice', 'alicia', false],
  ])('%s and %s are the same person: %s', (one, other, same) => {
    expect(isSamePerson(one, other)).toBe(same)
  })
})
