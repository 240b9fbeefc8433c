// The tables, views and sequences that a statement names, and which of them it writes. A name that a
// WITH clause in scope defines is not a relation - but only there: `WITH pg_authid AS (...) UPDATE
// pg_authid ...` writes the real one, and the scope ends with its query.
// Visibility of WITH names: PostgreSQL documentation, SELECT, "WITH Clause".

import { isSystemRelation, isUpdatableCatalog } from './catalogs.ts'
import type { RelationUse } from './facts.ts'
import { byKind, child, list, type Node, names, string, unwrap } from './tree.ts'

/**
 * The WITH names that are visible at a place, innermost first: of one clause's names, those below a
 * position. All places share the clause's one map: a copy for each would be quadratic in the text.
 */
export interface Scope {
  readonly positions: ReadonlyMap<string, number>
  readonly below: number
  readonly outer: Scope | undefined
}

/** The field of each node type in which it names the relation that it changes. */
const targets = byKind({
  InsertStmt: 'relation',
  UpdateStmt: 'relation',
  DeleteStmt: 'relation',
  MergeStmt: 'relation',
  TruncateStmt: 'relations',
  CreateStmt: 'relation',
  AlterTableStmt: 'relation',
  IndexStmt: 'relation',
  ViewStmt: 'view',
  RuleStmt: 'relation',
  CreateTrigStmt: 'relation',
  CreateSeqStmt: 'sequence',
  AlterSeqStmt: 'sequence',
  CompositeTypeStmt: 'typevar',
  RenameStmt: 'relation',
  AlterObjectSchemaStmt: 'relation',
  AlterObjectDependsStmt: 'relation',
  RefreshMatViewStmt: 'relation',
  ClusterStmt: 'relation',
  ReindexStmt: 'relation',
  CreatePolicyStmt: 'table',
  AlterPolicyStmt: 'table',
  PartitionCmd: 'name',
  GrantStmt: 'objects',
  // Fields that hold an unwrapped IntoClause or CreateStmt.
  into: 'rel',
  intoClause: 'rel',
  base: 'relation',
})

/** What is done to a relation that stands directly in `field` of a node of this type. */
export function accessTo(
  type: string | undefined,
  field: string,
  node: Node,
): RelationUse['access'] {
  if (type === 'VacuumRelation') return 'maintain'
  return isTarget(type, field, node) ? 'write' : 'read'
}

function isTarget(type: string | undefined, field: string, node: Node): boolean {
  if (type === 'CopyStmt') return field === 'relation' && node['is_from'] === true
  // A child's rows are rows of its parent.
  if (type === 'CreateStmt' && field === 'inhRelations') return true
  if (type === 'AlterTableCmd' && field === 'def') return true
  // Any lock but ACCESS SHARE on a system catalog stops the whole database.
  if (type === 'LockStmt') return field === 'relations' && node['mode'] !== 1
  return type !== undefined && targets.get(type) === field
}

/** What a RangeVar names; undefined for a name that a WITH clause defines. */
export function relationOf(
  rangeVar: Node,
  access: RelationUse['access'],
  scope: Scope | undefined,
): RelationUse | undefined {
  const schema = string(rangeVar, 'schemaname')
  const name = string(rangeVar, 'relname') ?? ''
  // The target of a write is never a WITH query, whatever its name.
  if (access === 'read' && schema === undefined && isVisible(name, scope)) return undefined
  return { schema, name, access }
}

/** Objects that are relations, and objects whose name is that of their relation and one more. */
const relationKinds = /^OBJECT_(TABLE|VIEW|MATVIEW|INDEX|SEQUENCE|FOREIGN_TABLE)$/
const partKinds = /^OBJECT_(COLUMN|TABCONSTRAINT|TRIGGER|RULE|POLICY)$/

/** DROP and COMMENT name what they change by lists of names, and VACUUM FULL rewrites what it names. */
export function relationsByName(type: string, node: Node): readonly RelationUse[] {
  if (type === 'VacuumStmt') return isFull(node) ? vacuumed(node) : []
  if (type !== 'DropStmt' && type !== 'CommentStmt') return []
  const kind = string(node, 'removeType') ?? string(node, 'objtype') ?? ''
  const ofPart = partKinds.test(kind)
  if (!ofPart && !relationKinds.test(kind)) return []
  const objects = type === 'DropStmt' ? list(node, 'objects') : [node['object']]
  return objects.flatMap((object) => {
    const path = list(unwrap(object, 'List') ?? {}, 'items')
    return written(ofPart ? path.slice(0, -1) : path)
  })
}

// The option can have any value that means true, and be given twice; whichever way it counts.
function isFull(vacuum: Node): boolean {
  return list(vacuum, 'options').some(
    (option) => string(unwrap(option, 'DefElem') ?? {}, 'defname') === 'full',
  )
}

function vacuumed(vacuum: Node): readonly RelationUse[] {
  return list(vacuum, 'rels').flatMap((item) => {
    const rangeVar = child(unwrap(item, 'VacuumRelation') ?? {}, 'relation')
    const relation = rangeVar === undefined ? undefined : relationOf(rangeVar, 'write', undefined)
    return relation === undefined ? [] : [relation]
  })
}

/**
 * What a statement makes, moves or drops in the server's own schemas, where it would stand in for what
 * is looked up there first. Types, domains and whole schemas count as relations here.
 */
export function intrusions(type: string, node: Node): readonly RelationUse[] {
  const named = ['domainname', 'typeName', 'defnames'].flatMap((field) =>
    written(list(node, field)),
  )
  const moved = type === 'AlterObjectSchemaStmt' ? string(node, 'newschema') : undefined
  const renamed =
    string(node, 'renameType') === 'OBJECT_SCHEMA' ? string(node, 'subname') : undefined
  const dropped = string(node, 'removeType') === 'OBJECT_SCHEMA' ? names(list(node, 'objects')) : []
  const reindexed = type === 'ReindexStmt' ? string(node, 'name') : undefined
  const schemas = [moved, renamed, reindexed, ...dropped].filter((schema) => schema !== undefined)
  const whole = schemas.map((schema): RelationUse => ({ schema, name: '*', access: 'write' }))
  return [...named.filter((use) => use.schema !== undefined), ...whole].filter((use) =>
    isSystemRelation(use.schema, use.name),
  )
}

function written(path: readonly unknown[]): readonly RelationUse[] {
  const parts = names(path)
  const name = parts.at(-1)
  return name === undefined ? [] : [{ schema: parts.at(-2), name, access: 'write' }]
}

/**
 * A view of exactly one relation can be updated, and whoever updates it writes that relation. For the
 * server's own tables, which nobody writes by accident, making such a view counts as a write.
 */
export function writableThroughView(type: string, node: Node): RelationUse | undefined {
  if (type !== 'ViewStmt') return undefined
  const sources = list(unwrap(node['query'], 'SelectStmt') ?? {}, 'fromClause')
  const only = sources.length === 1 ? unwrap(sources[0], 'RangeVar') : undefined
  const relation = only === undefined ? undefined : relationOf(only, 'write', undefined)
  if (relation === undefined) return undefined
  return isUpdatableCatalog(relation.schema, relation.name) ? relation : undefined
}

/** The scope inside a node with a WITH clause, and inside each of the clause's queries. */
export function openScope(
  withClause: Node,
  outer: Scope | undefined,
): { readonly body: Scope; readonly queries: readonly Scope[] } {
  const ctes = list(withClause, 'ctes')
  const positions = new Map<string, number>()
  for (const [index, cte] of ctes.entries()) {
    const name = string(unwrap(cte, 'CommonTableExpr') ?? {}, 'ctename') ?? ''
    if (!positions.has(name)) positions.set(name, index)
  }
  const body = { positions, below: ctes.length, outer }
  const queries = ctes.map((_, index) => {
    // Without RECURSIVE a query sees only those before it, so its own name means the real table.
    return withClause['recursive'] === true ? body : { positions, below: index, outer }
  })
  return { body, queries }
}

function isVisible(name: string, scope: Scope | undefined): boolean {
  for (let at = scope; at !== undefined; at = at.outer) {
    const position = at.positions.get(name)
    if (position !== undefined && position < at.below) return true
  }
  return false
}
