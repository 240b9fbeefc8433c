// Which commands a statement node is. A node type or variant that is not known is nobody's command, and
// the statement that holds it is opaque. Ignorant of what is nested in the node, and of who may run it.

import { lockMode } from './commands.ts'
import type { CopyUse } from './facts.ts'
import {
  commentedInSchema,
  discardCommands,
  lockingCommands,
  objectNames,
  partNodes,
  singleCommands,
  transactionCommands,
} from './nodes.ts'
import { child, list, type Node, string, unwrap } from './tree.ts'

/**
 * The commands of a statement node, its own first; empty when the node type or a variant of it is
 * not known. SelectStmt is not asked here: see `selectCommands`.
 */
export function commandsOf(type: string, node: Node): readonly string[] {
  const only = singleCommands.get(type)
  switch (type) {
    case 'InsertStmt':
      return string(child(node, 'onConflictClause') ?? {}, 'action') === 'ONCONFLICT_UPDATE'
        ? ['INSERT', 'UPDATE']
        : ['INSERT']
    case 'MergeStmt':
      return ['MERGE', ...mergeCommands(node)]
    case 'CopyStmt':
      return [copyCommand(node)]
    case 'TransactionStmt':
      return transactionCommand(node)
    case 'VariableSetStmt':
      return [settingCommand(node)]
    case 'FetchStmt':
      return [node['ismove'] === true ? 'MOVE' : 'FETCH']
    case 'ClosePortalStmt':
      return [string(node, 'portalname') === undefined ? 'CLOSE CURSOR ALL' : 'CLOSE CURSOR']
    case 'DeallocateStmt':
      return [string(node, 'name') === undefined ? 'DEALLOCATE ALL' : 'DEALLOCATE']
    case 'DiscardStmt':
      return known(discardCommands.get(string(node, 'target') ?? ''))
    case 'VacuumStmt':
      return [node['is_vacuumcmd'] === true ? 'VACUUM' : 'ANALYZE']
    case 'LockStmt':
      return known(lockCommand(node))
    case 'ReindexStmt':
      return reindexCommand(node)
    case 'CreateTableAsStmt':
      return [
        `CREATE ${objectName(node, 'objtype') === 'TABLE' ? 'TABLE AS' : 'MATERIALIZED VIEW'}`,
      ]
    case 'CreateSchemaStmt':
      return createSchema(node)
    case 'CreateFunctionStmt':
      return [node['is_procedure'] === true ? 'CREATE PROCEDURE' : 'CREATE FUNCTION']
    case 'DefineStmt':
      return onObject(
        'CREATE',
        string(node, 'kind') === 'OBJECT_TYPE' ? 'BASE TYPE' : objectName(node, 'kind'),
      )
    case 'AlterTableStmt':
      return alterTable(node)
    case 'AlterFunctionStmt':
      return onObject('ALTER', objectName(node, 'objtype'))
    case 'AlterObjectSchemaStmt':
      return onObject('ALTER', objectName(node, 'objectType'))
    case 'AlterOwnerStmt':
      return onObject('ALTER', objectName(node, 'objectType')).map((command) => `${command} OWNER`)
    case 'RenameStmt':
      return onObject('ALTER', renamedObject(node))
    case 'DropStmt':
      return onObject('DROP', objectName(node, 'removeType'))
    case 'CommentStmt':
      return commentedInSchema.test(string(node, 'objtype') ?? '')
        ? ['COMMENT']
        : onObject('COMMENT ON', objectName(node, 'objtype'))
    case 'AlterTableMoveAllStmt':
      return [...onObject('ALTER', objectName(node, 'objtype')), 'ALTER TABLE ALL IN TABLESPACE']
    case 'AlterObjectDependsStmt':
      return [...onObject('ALTER', objectName(node, 'objectType')), 'ALTER DEPENDS ON EXTENSION']
    case 'GrantStmt':
      return [node['is_grant'] === true ? 'GRANT' : 'REVOKE']
    case 'GrantRoleStmt':
      return [node['is_grant'] === true ? 'GRANT ROLE' : 'REVOKE ROLE']
    default:
      return known(only)
  }
}

/**
 * The commands of a SELECT: what its INTO and its locking clauses make of it. Empty for one that only
 * reads, so that a sub-query adds nothing.
 */
export function selectCommands(node: Node): readonly string[] {
  const into = child(leftmost(node), 'intoClause') === undefined ? [] : ['SELECT INTO']
  const locking = list(node, 'lockingClause').map((clause) => {
    const strength = string(unwrap(clause, 'LockingClause') ?? {}, 'strength')
    // A strength that is not known locks at least as hard as the hardest that is.
    return lockingCommands.get(strength ?? '') ?? 'SELECT FOR UPDATE'
  })
  return [...into, ...locking]
}

// In `SELECT ... INTO x ... UNION ...` the clause belongs to the first arm.
function leftmost(node: Node): Node {
  let arm = node
  for (let next = child(arm, 'larg'); next !== undefined; next = child(arm, 'larg')) arm = next
  return arm
}

function mergeCommands(node: Node): readonly string[] {
  const actions = { CMD_INSERT: 'INSERT', CMD_UPDATE: 'UPDATE', CMD_DELETE: 'DELETE' }
  const types = list(node, 'mergeWhenClauses').map((clause) =>
    string(unwrap(clause, 'MergeWhenClause') ?? {}, 'commandType'),
  )
  return Object.entries(actions).flatMap(([type, command]) =>
    types.includes(type) ? [command] : [],
  )
}

/** The two ends of a CopyStmt. */
export function copyOf(node: Node): CopyUse {
  const direction = node['is_from'] === true ? 'from' : 'to'
  if (node['is_program'] === true) return { direction, endpoint: 'program' }
  // STDIN and STDOUT are the absence of a name. (An empty one is absent here too: no server opens it.)
  return { direction, endpoint: string(node, 'filename') === undefined ? 'client' : 'file' }
}

function copyCommand(node: Node): string {
  const { direction, endpoint } = copyOf(node)
  const command = direction === 'from' ? 'COPY FROM' : 'COPY TO'
  return endpoint === 'client' ? command : `${command} ${endpoint.toUpperCase()}`
}

function transactionCommand(node: Node): readonly string[] {
  const command = transactionCommands.get(string(node, 'kind') ?? '')
  if (command === undefined) return []
  return [asksReadWrite(list(node, 'options')) ? `${command} READ WRITE` : command]
}

function settingCommand(node: Node): string {
  const kind = string(node, 'kind')
  if (kind === 'VAR_RESET' || kind === 'VAR_RESET_ALL') return 'RESET'
  const name = string(node, 'name')
  if (kind === 'VAR_SET_MULTI' && asksReadWrite(list(node, 'args'))) {
    if (name === 'TRANSACTION') return 'SET TRANSACTION READ WRITE'
    if (name === 'SESSION CHARACTERISTICS') return 'SET SESSION CHARACTERISTICS READ WRITE'
  }
  return 'SET'
}

// The mode may be given more than once, and the last one holds; every READ WRITE counts.
function asksReadWrite(options: readonly unknown[]): boolean {
  return options.some((option) => {
    const element = unwrap(option, 'DefElem')
    if (element === undefined || string(element, 'defname') !== 'transaction_read_only')
      return false
    const value = child(unwrap(element['arg'], 'A_Const') ?? {}, 'ival')
    return value === undefined || value['ival'] !== 1
  })
}

function lockCommand(node: Node): string | undefined {
  const mode = typeof node['mode'] === 'number' ? lockMode(node['mode']) : undefined
  return mode === undefined ? undefined : `LOCK TABLE ${mode}`
}

function reindexCommand(node: Node): readonly string[] {
  switch (string(node, 'kind')) {
    case 'REINDEX_OBJECT_INDEX':
    case 'REINDEX_OBJECT_TABLE':
    case 'REINDEX_OBJECT_SCHEMA':
      return ['REINDEX']
    case 'REINDEX_OBJECT_SYSTEM':
      return ['REINDEX SYSTEM']
    case 'REINDEX_OBJECT_DATABASE':
      return ['REINDEX DATABASE']
    default:
      return []
  }
}

function createSchema(node: Node): readonly string[] {
  const owner = child(node, 'authrole')
  const own = ['ROLESPEC_CURRENT_USER', 'ROLESPEC_CURRENT_ROLE']
  if (owner === undefined || own.includes(string(owner, 'roletype') ?? '')) return ['CREATE SCHEMA']
  return ['CREATE SCHEMA AUTHORIZATION']
}

function alterTable(node: Node): readonly string[] {
  const object = objectName(node, 'objtype')
  if (object === undefined) return []
  const subtypes = list(node, 'cmds').map(
    (command) => string(unwrap(command, 'AlterTableCmd') ?? {}, 'subtype') ?? '',
  )
  const commands = [`ALTER ${object}`]
  if (subtypes.includes('AT_ChangeOwner')) commands.push(`ALTER ${object} OWNER`)
  if (subtypes.some((subtype) => subtype.endsWith('RowSecurity'))) {
    commands.push('ALTER TABLE ROW SECURITY')
  }
  // ALTER TABLE reaches the options of a foreign table too: with file_fdw, a program to run.
  if (subtypes.some((subtype) => subtype.endsWith('GenericOptions'))) {
    commands.push('ALTER FOREIGN TABLE')
  }
  return commands
}

function renamedObject(node: Node): string | undefined {
  const type = string(node, 'renameType')
  const ofRelation = type === 'OBJECT_COLUMN' || type === 'OBJECT_ATTRIBUTE'
  return objectName(node, ofRelation ? 'relationType' : 'renameType')
}

function objectName(node: Node, field: string): string | undefined {
  const type = string(node, field)
  if (type === undefined || !type.startsWith('OBJECT_')) return undefined
  const name = type.slice('OBJECT_'.length)
  return objectNames.get(name) ?? name
}

function onObject(verb: string, object: string | undefined): readonly string[] {
  return object === undefined ? [] : [`${verb} ${object}`]
}

function known(command: string | undefined): readonly string[] {
  return command === undefined ? [] : [command]
}

/** True for the node type of a statement, known or not. */
export function isStatement(type: string): boolean {
  return /^[A-Z].*Stmt$/.test(type) && !partNodes.has(type)
}
