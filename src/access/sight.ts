// Who may see requests and grants, and decide on them: whose they are, who could approve them, and those whose
// groups are administrators' or auditors'. Ignorant of what becomes of them.

import { Failure } from '../errors.ts'
import type { Grant } from './access.ts'
import { couldFill, isNeeded, isSamePerson } from './approval.ts'
import type { Sight, StoredGrant, StoredRequest } from './desk-store.ts'
import type { Identity, Scope } from './identity.ts'
import type { AccessRequest } from './request.ts'
import { type AccessRules, type Need, needsOf, sharesOne } from './rules.ts'

/** @throws Failure forbidden when the credential is not for that. */
export function checkScope(by: Identity, scope: Scope): void {
  if (by.scopes.has(scope)) return
  throw new Failure('forbidden', {
    message: `this credential is not for ${scope}`,
    hint: `Use one with the scope "${scope}".`,
  })
}

/** May revoke, end sessions and lift lock-outs, whosever they are. */
export function isAdministrator(rules: Pick<AccessRules, 'administrators'>, by: Identity): boolean {
  return by.scopes.has('administer') && sharesOne(by.groups, rules.administrators)
}

/** May read the audit. */
export function isAuditor(rules: Pick<AccessRules, 'auditors'>, by: Identity): boolean {
  return by.scopes.has('audit') && sharesOne(by.groups, rules.auditors)
}

/** Whether they could approve the role there for a holder of these groups: programs approve nothing. */
export function couldApprove(
  rules: AccessRules,
  by: Identity,
  { target, role }: Pick<Grant, 'target' | 'role'>,
  groups: readonly string[],
): boolean {
  return (
    by.kind === 'person' &&
    by.scopes.has('approve') &&
    couldFill(needsOf(rules, target, role, groups), by)
  )
}

/** Whether the request may be approved or denied by them now. */
export function mayDecide(
  rules: AccessRules,
  by: Identity,
  { request, approvals }: Pick<StoredRequest, 'request' | 'approvals'>,
): boolean {
  return (
    request.state === 'pending' &&
    couldApprove(rules, by, request, request.groups) &&
    !isSamePerson(by.principal, request.principal) &&
    !approvals.some(({ approver }) => isSamePerson(by.principal, approver)) &&
    isNeeded(needsOfRequest(rules, request), approvers({ approvals }), by)
  )
}

export function maySeeRequest(rules: AccessRules, by: Identity, request: AccessRequest): boolean {
  return (
    by.principal === request.principal ||
    seesAll(rules, by) ||
    couldApprove(rules, by, request, request.groups)
  )
}

export function maySeeGrant(
  rules: AccessRules,
  by: Identity,
  { grant, groups }: StoredGrant,
): boolean {
  return (
    by.principal === grant.principal || seesAll(rules, by) || couldApprove(rules, by, grant, groups)
  )
}

/**
 * What a list has to look through: undefined for everything. Without regard to teams, so that of what is
 * found each has to be asked about again.
 */
export function sightOf(rules: AccessRules, by: Identity): Sight | undefined {
  if (seesAll(rules, by)) return undefined
  const teams = [...rules.teams.keys()]
  const approves = [...rules.targets].flatMap(([target, { roles }]) =>
    roles
      .map((role) => ({ target, role }))
      .filter((there) =>
        [[], ...teams.map((team) => [team])].some((groups) =>
          couldApprove(rules, by, there, groups),
        ),
      ),
  )
  return { principal: by.principal, approves }
}

export function needsOfRequest(rules: AccessRules, request: AccessRequest): readonly Need[] {
  return needsOf(rules, request.target, request.role, request.groups)
}

/** Those who approved, with the groups that they had. */
export function approvers({ approvals }: Pick<StoredRequest, 'approvals'>) {
  return approvals
    .filter(({ decision }) => decision === 'approve')
    .map(({ approver, groups }) => ({ principal: approver, groups }))
}

function seesAll(rules: AccessRules, by: Identity): boolean {
  return isAdministrator(rules, by) || isAuditor(rules, by)
}
