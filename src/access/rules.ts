// Who may ask for which role on which target, who must approve it, and what needs no approval: the rules of
// the configuration, and what follows from them for a request. Ignorant of what was decided so far
// (approval.ts) and of how the rules are written.

import type { PrincipalKind } from './identity.ts'

/** What a role needs. Times in milliseconds. */
export interface ApprovalRule {
  /** Names of approver functions, each of which must be filled by another person; at least one. */
  readonly approvals: readonly string[]
  /** What is granted with nobody's approval; undefined: nothing. */
  readonly automatic: { readonly upToMs: number; readonly production: boolean } | undefined
  /** Whether programs may have it. */
  readonly services: boolean
  readonly longestMs: number
  /** Groups that may ask for it; undefined: everybody. */
  readonly requesters: readonly string[] | undefined
}

export interface TargetRules {
  readonly production: boolean
  /** Groups by approver function, in the place of the team's and the general ones. */
  readonly approvers: ReadonlyMap<string, readonly string[]>
  /** Groups that may ask for it; undefined: everybody. */
  readonly requesters: readonly string[] | undefined
  /** The roles that one can log in with there. */
  readonly roles: readonly string[]
}

export interface AccessRules {
  readonly roles: ReadonlyMap<string, ApprovalRule>
  readonly targets: ReadonlyMap<string, TargetRules>
  /** By group of the requester: groups by approver function. */
  readonly teams: ReadonlyMap<string, ReadonlyMap<string, readonly string[]>>
  /** Groups by approver function. */
  readonly approvers: ReadonlyMap<string, readonly string[]>
  readonly defaultMs: number
  /** No automatic grant lasts longer, whatever its role's rule says. */
  readonly longestUnapprovedMs: number
  readonly longestMs: number
  readonly pendingMs: number
  /** Groups. */
  readonly administrators: readonly string[]
  readonly auditors: readonly string[]
  /** Names of the claims that sessions need. */
  readonly claims: readonly string[]
}

/** An approver function that somebody must fill, and the groups whose members can. */
export interface Need {
  readonly function: string
  readonly groups: readonly string[]
}

/** Whose request it is, as far as the rules ask. */
export interface Requester {
  readonly kind: PrincipalKind
  readonly groups: readonly string[]
}

/**
 * What the rules say of a requester and a role on a target. `no_target` also where it is there, and not
 * theirs to ask for: names of targets are not told to everybody.
 */
export type Ruling =
  | { readonly type: 'rule'; readonly rule: ApprovalRule; readonly target: TargetRules }
  | { readonly type: 'no_target' }
  | { readonly type: 'no_role' }
  | { readonly type: 'not_for_services' }
  | { readonly type: 'not_for_these_groups'; readonly groups: readonly string[] }

export function rulingOn(
  rules: AccessRules,
  by: Requester,
  targetName: string,
  role: string,
): Ruling {
  const target = rules.targets.get(targetName)
  if (target === undefined || !isAmong(by.groups, target.requesters)) return { type: 'no_target' }
  const rule = rules.roles.get(role)
  if (rule === undefined || !target.roles.includes(role)) return { type: 'no_role' }
  if (by.kind === 'service' && !rule.services) return { type: 'not_for_services' }
  if (!isAmong(by.groups, rule.requesters)) {
    return { type: 'not_for_these_groups', groups: rule.requesters ?? [] }
  }
  return { type: 'rule', rule, target }
}

/** Who must approve the role there for a requester of these groups; nobody can where there is no rule. */
export function needsOf(
  rules: AccessRules,
  target: string,
  role: string,
  requesterGroups: readonly string[],
): readonly Need[] {
  const there = rules.targets.get(target)
  if (there === undefined || !there.roles.includes(role)) return []
  return (rules.roles.get(role)?.approvals ?? []).map((name) => {
    const team = requesterGroups.flatMap((group) => rules.teams.get(group)?.get(name) ?? [])
    const groups = there.approvers.get(name) ?? (team.length > 0 ? team : rules.approvers.get(name))
    return { function: name, groups: [...new Set(groups)] }
  })
}

/** How long a grant may be that nobody has approved; undefined where somebody always must. */
export function automaticMs(
  rules: AccessRules,
  rule: ApprovalRule,
  { production }: TargetRules,
): number | undefined {
  const { automatic } = rule
  if (automatic === undefined || (production && !automatic.production)) return undefined
  return Math.min(automatic.upToMs, rules.longestUnapprovedMs, rule.longestMs)
}

/** The roles that may be asked for on the target, in the order of the rules. */
export function rolesFor(rules: AccessRules, by: Requester, target: string): readonly string[] {
  return [...rules.roles.keys()].filter((role) => rulingOn(rules, by, target, role).type === 'rule')
}

function isAmong(groups: readonly string[], wanted: readonly string[] | undefined): boolean {
  return wanted === undefined || sharesOne(groups, wanted)
}

export function sharesOne(groups: readonly string[], others: readonly string[]): boolean {
  return groups.some((group) => others.includes(group))
}
