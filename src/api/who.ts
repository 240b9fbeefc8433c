// Refuses what is for administrators or auditors alone, and says whom to ask. The desk decides on requests and
// grants; here is decided on what has no desk.

import type { Identity, Scope } from '../access/identity.ts'
import type { AccessRules } from '../access/rules.ts'
import { isAdministrator, isAuditor } from '../access/sight.ts'
import { Failure } from '../errors.ts'

type Groups = Pick<AccessRules, 'administrators' | 'auditors'>

/** @throws Failure forbidden */
export function requireAdministrator(identity: Identity, rules: Groups): void {
  if (isAdministrator(rules, identity)) return
  throw notTheirs('administrators', rules.administrators, 'administer', identity)
}

/** @throws Failure forbidden */
export function requireAuditor(identity: Identity, rules: Groups): void {
  if (isAuditor(rules, identity)) return
  throw notTheirs('auditors', rules.auditors, 'audit', identity)
}

function notTheirs(
  who: string,
  groups: readonly string[],
  scope: Scope,
  { scopes }: Identity,
): Failure {
  const hint = !scopes.has(scope)
    ? `Use a credential with the scope ${scope}.`
    : groups.length === 0
      ? `The configuration names no groups as access.${who}.`
      : `Ask somebody in ${groups.join(' or ')}.`
  return new Failure('forbidden', { message: `this is for ${who} only`, hint })
}
