// What a session may do: its role, less what its target keeps from it (sensitive relations, settings that
// say who the session is) and less what its grant leaves out. Made once for each combination and shared,
// because judgements are remembered under it. Ignorant of statements, targets and grants.

import type { RelationRules } from '../access/access.ts'
import type { Permissions, PermissionsByRole } from './permissions.ts'

/** What is taken away from a role. */
export interface Restriction {
  /** Patterns of relations that only roles with `sensitive: true` may touch. */
  readonly sensitive: readonly string[]
  /** Settings, in lower case, that no statement of any role may change. */
  readonly context: readonly string[]
  /** What the grant is for; undefined: all that is left. */
  readonly relations: RelationRules | undefined
}

export interface Remit {
  /** The role by its own name: what people read. */
  readonly role: string
  /** Undefined for a role that does not exist, which may do nothing. */
  readonly may: Permissions | undefined
  /** What each role could do in the same place, in ascending order of power; by a grant for all relations. */
  readonly others: PermissionsByRole
}

/** A role by its name, as it is configured; or what a session of it may do. */
export type Subject = string | Remit

/** Every grant may name relations of its own. What is dropped is made again when a session asks for it. */
const mostKept = 1_000

export class Remits {
  readonly #roles: PermissionsByRole
  readonly #places = new Map<string, PermissionsByRole>()
  readonly #remits = new Map<string, Remit>()

  constructor(roles: PermissionsByRole) {
    this.#roles = roles
  }

  of(subject: Subject): Remit {
    if (typeof subject !== 'string') return subject
    return kept(this.#remits, subject, () => ({
      role: subject,
      may: this.#roles.get(subject),
      others: this.#roles,
    }))
  }

  /** The same object for the same words. */
  restricted(role: string, { sensitive, context, relations }: Restriction): Remit {
    const place = JSON.stringify([sensitive, context])
    const others = kept(this.#places, place, () => inPlace(this.#roles, sensitive, context))
    const { deny, read, write } = relations ?? {}
    return kept(this.#remits, JSON.stringify([place, role, deny, read, write]), () => {
      const all = others.get(role)
      const may = all && relations ? { ...all, relations: [...all.relations, relations] } : all
      return { role, may, others }
    })
  }
}

function inPlace(
  roles: PermissionsByRole,
  sensitive: readonly string[],
  context: readonly string[],
): PermissionsByRole {
  const deny = sensitive.length === 0 ? [] : [{ deny: sensitive }]
  return new Map(
    [...roles].map(([name, may]) => {
      const relations = may.sensitive ? may.relations : [...may.relations, ...deny]
      return [name, { ...may, relations, context: new Set(context) }]
    }),
  )
}

function kept<T>(map: Map<string, T>, key: string, make: () => T): T {
  const known = map.get(key)
  if (known !== undefined) return known
  const made = make()
  const [oldest] = map.keys()
  if (map.size >= mostKept && oldest !== undefined) map.delete(oldest)
  map.set(key, made)
  return made
}
