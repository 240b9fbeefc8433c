// The tables, views and sequences that a statement names, and which of them it writes. A name that a
// WITH clause in scope defines is not a relation - but only there: `WITH pg_authid AS (...) UPDATE
// pg_authid ...` writes the real one, and the scope ends with its query.
// Visibility of WITH names: PostgreSQL documentation, SELECT, "WITH Clause".

import type { RelationUse } from './facts.ts'
import { byKind, list, type Node, string, unwrap } from './tree.ts'

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
export function accessTo(type: string | undefined, field: string, node: Node): Access {
  if (type === 'SelectStmt' && field === 'fromClause' && 'lockingClause' in node) return 'lock'
  if (type === 'VacuumRelation') return 'maintain'
  if (!isTarget(type, field, node)) return 'read'
  return shows(type, node) ? 'change' : 'write'
}

/** True where a field of this node holds what stands in a FROM clause, however it is joined. */
export function isJoined(type: string | undefined, field: string): boolean {
  return (
    (type === 'JoinExpr' && (field === 'larg' || field === 'rarg')) ||
    (type === 'RangeTableSample' && field === 'relation')
  )
}

function isTarget(type: string | undefined, field: string, node: Node): boolean {
  if (type === 'CopyStmt') return field === 'relation' && node['is_from'] === true
  // A foreign key puts triggers on what it references.
  if (type === 'Constraint' && field === 'pktable') return true
  // A child's rows are rows of its parent.
  if (type === 'CreateStmt' && field === 'inhRelations') return true
  if (type === 'AlterTableCmd' && field === 'def') return true
  // Any lock but ACCESS SHARE on a system catalog stops the whole database.
  if (type === 'LockStmt') return field === 'relations' && node['mode'] !== 1
  return type !== undefined && targets.get(type) === field
}

/**
 * Whether what is written is shown as well, or could be afterwards under another name: by WHERE and
 * RETURNING, as a part of another table, as what a foreign key finds, as OLD of a rule or a trigger; by
 * the errors of an index that is built ("Key (a)=(b) is duplicated", and whatever its expressions say).
 */
function shows(type: string | undefined, node: Node): boolean {
  switch (type) {
    case 'UpdateStmt':
    case 'DeleteStmt':
    case 'MergeStmt':
    case 'RenameStmt':
    case 'AlterObjectSchemaStmt':
    case 'PartitionCmd':
    case 'AlterTableStmt':
    case 'AlterTableCmd':
    case 'Constraint':
    case 'IndexStmt':
    case 'RuleStmt':
    case 'CreateTrigStmt':
      return true
    case 'InsertStmt':
      return 'returningClause' in node || 'onConflictClause' in node
    case 'CreateStmt':
      return 'inhRelations' in node
    default:
      return false
  }
}

/**
 * `lock` is a read that takes row locks, which are written into the rows: both a read and a write.
 * `change` is a write by which the content is read too.
 */
export type Access = RelationUse['access'] | 'lock' | 'change'

/** What is done to what a RangeVar names; nothing for a name that a WITH clause defines. */
export function relationsOf(
  rangeVar: Node,
  access: Access,
  scope: Scope | undefined,
): readonly RelationUse[] {
  const schema = string(rangeVar, 'schemaname')
  const name = string(rangeVar, 'relname') ?? ''
  // The target of a write is never a WITH query, whatever its name.
  const queried = access === 'read' || access === 'lock'
  if (queried && schema === undefined && isVisible(name, scope)) return []
  if (access !== 'lock' && access !== 'change') return [{ schema, name, access }]
  return [
    { schema, name, access: 'read' },
    { schema, name, access: 'write' },
  ]
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
