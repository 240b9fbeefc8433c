// The four predefined roles, ready to judge; and the least of them that may run a text.

import { Policy } from '../../src/policy/policy.ts'
import { predefinedRoles } from '../../src/policy/roles.ts'
import { loadParser } from '../../src/sql/analyse.ts'

export const roleNames = ['read_only', 'read_limited_write', 'read_full_write', 'admin'] as const
export type Least = (typeof roleNames)[number] | 'nobody'

await loadParser()

export const policy = new Policy(predefinedRoles, { maxBytes: 1024 * 1024 })

/** Which roles may run the text, as a test compares it: the least one, or the odd set itself. */
export function leastRole(sql: string): string {
  const allowed = roleNames.map((role) => policy.judgeText(role, sql).decision.outcome === 'allow')
  const first = allowed.indexOf(true)
  if (first === -1) return 'nobody'
  // A role must never lose what a lesser one has.
  return allowed.slice(first).every(Boolean) ? (roleNames[first] ?? '') : allowed.join()
}
