// Who has filled which approver function of a request, and who could fill what is left. One person fills one
// function, whichever of theirs leaves most to others: persons and functions are matched (augmenting paths,
// Kuhn 1955). Ignorant of how a decision is written down.

import { type Need, sharesOne } from './rules.ts'

/** Somebody with the groups that they have, or had when they decided. */
export interface Approver {
  readonly principal: string
  readonly groups: readonly string[]
}

/** The needs that are left, in their order, when each of these persons has filled one. */
export function unfilled(needs: readonly Need[], approvers: readonly Approver[]): readonly Need[] {
  const filledBy = new Map<Need, Approver>()
  const place = (approver: Approver, tried: Set<Need>): boolean => {
    for (const need of needs) {
      if (tried.has(need) || !sharesOne(approver.groups, need.groups)) continue
      tried.add(need)
      const holder = filledBy.get(need)
      // Whoever is in the way moves to another function of theirs, if there is one.
      if (holder === undefined || place(holder, tried)) {
        filledBy.set(need, approver)
        return true
      }
    }
    return false
  }
  for (const approver of approvers) place(approver, new Set())
  return needs.filter((need) => !filledBy.has(need))
}

/** Whether the candidate could fill any function at all. */
export function couldFill(needs: readonly Need[], candidate: Approver): boolean {
  return needs.some(({ groups }) => sharesOne(candidate.groups, groups))
}

/**
 * Whether the word of the candidate is still needed. Where the rules have come to need less than was given
 * already, anybody who could fill a function may say the last word.
 */
export function isNeeded(
  needs: readonly Need[],
  approvers: readonly Approver[],
  candidate: Approver,
): boolean {
  if (!couldFill(needs, candidate)) return false
  const left = unfilled(needs, approvers).length
  return left === 0 || unfilled(needs, [...approvers, candidate]).length < left
}

/**
 * Identity providers and API keys may write the same name in different ways. Whoever could pass for two
 * would approve their own request, so that names which differ in case, width or what is not seen are one
 * person's.
 */
export function isSamePerson(one: string, other: string): boolean {
  return folded(one) === folded(other)
}

function folded(name: string): string {
  const seen = name.normalize('NFKC').replace(/[\p{Cf}\p{Default_Ignorable_Code_Point}]/gu, '')
  // By way of capitals: ß and SS, and the two small sigmas, are lower case of one.
  return seen.toUpperCase().toLowerCase()
}
