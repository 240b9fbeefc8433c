// Which relations a role may touch, by rules of its definition: `hr.*`, `*.salaries`, `shop.orders`.
// Rules only take away, and those of included roles hold as well. An unqualified name is judged as
// every relation that it can mean, so that no search path has to be followed; where that is not known,
// it must be qualified. Ignorant of the server's own relations, which have rules of their own.

import type { RelationRules } from '../access/access.ts'
import { isSystemRelation } from '../sql/catalogs.ts'
import type { FunctionUse, NameUse, RelationUse } from '../sql/facts.ts'
import type { Catalog } from './catalog.ts'

/** NAMEDATALEN - 1: no relation has a longer name, and the server cuts those of statements. */
const longestName = 63

/** The pattern and why it can never mean what somebody wants; undefined when it can. */
export function relationPatternProblem(pattern: string): string | undefined {
  if (!/^(\*|[^.*]+)\.(\*|[^.*]+)$/.test(pattern)) {
    return `${pattern}; write schema.name, schema.* or *.name`
  }
  const long = pattern.split('.').some((name) => Buffer.byteLength(name) > longestName)
  return long ? `${pattern}; PostgreSQL has no name of more than ${longestName} bytes` : undefined
}

/** Why the rules do not allow the use; undefined when they do. */
export function relationObjection(
  use: RelationUse,
  rules: readonly RelationRules[],
  catalog: Catalog,
): string | undefined {
  if (rules.length === 0) return undefined
  const system = isSystemRelation(use.schema, use.name)
  if (system && use.schema !== undefined) return undefined
  // A user's table may begin with pg_ too, and the search path decides whether it is meant.
  const meanings = use.schema === undefined ? catalog.relations(use) : [use]
  if (meanings.length === 0) return system ? undefined : unplaced(use, rules)
  for (const meaning of meanings) {
    for (const rule of rules) {
      const denied = deniedOf(meaning, rule, catalog)
      if (denied !== undefined) return denied
      const list = listOf(use)
      const allowed = rule[list]
      if (allowed !== undefined && !matchesAny(allowed, meaning)) {
        return `${written(meaning)} is not on its ${list} list`
      }
    }
  }
  return undefined
}

/**
 * A parent shows the rows of its children, and a child holds rows of its parent: where one is denied, so
 * are the others. Whether ONLY is written is not asked.
 */
function deniedOf(meaning: NameUse, rule: RelationRules, catalog: Catalog): string | undefined {
  if (rule.deny === undefined) return undefined
  const denied = catalog
    .family(meaning)
    .find((relative) => matchesAny(rule.deny, relative) || holdsDenied(relative, rule))
  if (denied === undefined) return undefined
  return denied === meaning
    ? `${written(meaning)} is on its deny list`
    : `${written(meaning)} has rows in common with ${written(denied)}, which is on its deny list`
}

function written({ schema, name }: NameUse): string {
  return `${schema ?? ''}.${name}`
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
      return name === '*' || name === use.name || use.name === '*'
    })
    if (restricted || deniedSomewhere === true) {
      return use.name === '*'
        ? 'what else it takes along is not known'
        : `${use.name} has no schema, and it is not known which relation it means; qualify it`
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

/** What shows the content of relations without naming them: collected statistics, large objects, sequences. */
const roundAbout: ReadonlySet<string> = new Set([
  ...statistics,
  ...['pg_statistic', 'pg_statistic_ext_data', 'pg_largeobject', 'pg_sequences'],
  ...['lo_get', 'lo_open', 'loread'],
])

/** For a role with relation rules: whether a name reads what no rule could see. */
export function readsRoundRules(
  use: RelationUse | FunctionUse,
  rules: readonly RelationRules[],
): boolean {
  // Long values are kept in tables of their own, whose names say nothing to people.
  const aside = use.name.startsWith('pg_toast_') || use.schema?.startsWith('pg_toast') === true
  return rules.length > 0 && (aside || roundAbout.has(use.name))
}
