// What a session is judged by where nothing is kept from its role.

import { Policy } from '../../src/policy/policy.ts'
import { predefinedRoles } from '../../src/policy/roles.ts'
import type { Rules } from '../../src/session/state.ts'

export function rulesFor(
  role: string,
  policy = new Policy(predefinedRoles, { maxBytes: 1024 * 1024 }),
): Rules {
  const everything = { sensitive: [], context: [], relations: undefined }
  return { policy, remit: policy.restricted(role, everything) }
}
