// The desk, put together, and what it says of the rules: what somebody may ask for.

import type { Desk, RequestableRole } from './desk.ts'
import { type GrantDeskPorts, grantDesk } from './grant-desk.ts'
import { requestDesk } from './request-desk.ts'
import {
  type AccessRules,
  automaticMs,
  needsOf,
  type Requester,
  rolesFor,
  rulingOn,
} from './rules.ts'

export function openDesk(ports: GrantDeskPorts): Desk {
  const { rules } = ports
  return {
    ...requestDesk(ports),
    ...grantDesk(ports),

    requestable: (by) =>
      [...rules.targets].flatMap(([name, { production }]) => {
        const roles = rolesOn(rules, by, name)
        return roles.length === 0 ? [] : [{ name, production, roles }]
      }),

    roles: (by) => {
      const found = new Map<string, RequestableRole>()
      for (const target of rules.targets.keys()) {
        for (const role of rolesOn(rules, by, target)) {
          found.set(role.name, merged(found.get(role.name), role))
        }
      }
      return [...found.values()]
    },
  }
}

function rolesOn(rules: AccessRules, by: Requester, target: string): readonly RequestableRole[] {
  return rolesFor(rules, by, target).flatMap((name) => {
    const ruling = rulingOn(rules, by, target, name)
    if (ruling.type !== 'rule') return []
    return [
      {
        name,
        needs: needsOf(rules, target, name, by.groups),
        automaticMs: automaticMs(rules, ruling.rule, ruling.target),
        longestMs: ruling.rule.longestMs,
      },
    ]
  })
}

/** Groups of all targets; automatic only as far as on every one of them. */
function merged(one: RequestableRole | undefined, other: RequestableRole): RequestableRole {
  if (one === undefined) return other
  const needs = one.needs.map((need) => {
    const there = other.needs.find((more) => more.function === need.function)
    return { ...need, groups: [...new Set([...need.groups, ...(there?.groups ?? [])])] }
  })
  const [a, b] = [one.automaticMs, other.automaticMs]
  return {
    ...one,
    needs,
    automaticMs: a === undefined || b === undefined ? undefined : Math.min(a, b),
  }
}
