// Which relations a role may touch, by rules of its definition: `hr.*`, `*.salaries`, `shop.orders`.
// Rules only take away, and those of included roles hold as well. An unqualified name is judged as
// every relation that it can mean, so that no search path has to be followed; where that is not known,
// it must be qualified. Ignorant of the server's own relations, which have rules of their own.

import type { RelationRules } from '../access/access.ts'
import { isSystemRelation } from '../sql/catalogs.ts'
import type { FunctionUse, NameUse, RelationUse } from '../sql/facts.ts'
import type { Catalog } from './catalog.ts'

/** Whether a rule can be read: two names or stars with one dot between them. */
export function isRelationPattern(pattern: string): boolean {
  return /^(\*|[^.*]+)\.(\*|[^.*]+)$/.test(pattern)
}

/** Why the rules do not allow the use; undefined when they do. */
export function relationObjection(
  use: RelationUse,
  rules: readonly RelationRules[],
  catalog: Catalog,
): string | undefined {
  if (rules.length === 0 || isSystemRelation(use.schema, use.name)) return undefined
  const meanings = use.schema === undefined ? catalog.relations(use) : [use]
  if (meanings.length === 0) return unplaced(use, rules)
  for (const meaning of meanings) {
    const name = `${meaning.schema ?? ''}.${meaning.name}`
    for (const rule of rules) {
      if (matchesAny(rule.deny, meaning) || holdsDenied(meaning, rule))
        return `${name} is on its deny list`
      const list = listOf(use)
      const allowed = rule[list]
      if (allowed !== undefined && !matchesAny(allowed, meaning)) {
        return `${name} is not on its ${list} list`
      }
    }
  }
  return undefined
}

/** Who may maintain a relation is who may write it. */
function listOf({ access }: RelationUse): 'read' | 'write' {
  return access === 'read' ? 'read' : 'write'
}

/** A name without a schema, where nobody knows which relations have it. */
function unplaced(use: RelationUse, rules: readonly RelationRules[]): string | undefined {
  for (const rule of rules) {
    const restricted = rule[listOf(use)] !== undefined
    const deniedSomewhere = rule.deny?.some((pattern) => {
      const [, name] = pattern.split('.')
      return name === '*' || name === use.name
    })
    if (restricted || deniedSomewhere === true) {
      return `${use.name} has no schema, and it is not known which relation it means; qualify it`
    }
  }
  return undefined
}

/** Whether a whole schema is meant, and something in it is denied. */
function holdsDenied({ schema, name }: NameUse, { deny = [] }: RelationRules): boolean {
  return name === '*' && deny.some((pattern) => ['*', schema].includes(pattern.split('.')[0]))
}

function matchesAny(patterns: readonly string[] | undefined, { schema, name }: NameUse): boolean {
  return (
    patterns?.some((pattern) => {
      const [schemas, names] = pattern.split('.')
      return (schemas === '*' || schemas === schema) && (names === '*' || names === name)
    }) ?? false
  )
}

/** Most common values and bounds of any table's columns, passwords in pg_authid included. */
export const statistics: ReadonlySet<string> = new Set([
  'pg_stats',
  'pg_stats_ext',
  'pg_stats_ext_exprs',
])

/** What shows the content of relations without naming them: large objects, collected statistics. */
const roundAbout: ReadonlySet<string> = new Set(['lo_get', 'lo_open', 'loread', ...statistics])

/** For a role with relation rules: whether a name reads what no rule could see. */
export function readsRoundRules(
  use: RelationUse | FunctionUse,
  rules: readonly RelationRules[],
): boolean {
  return rules.length > 0 && roundAbout.has(use.name)
}
