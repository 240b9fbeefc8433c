// What DDL makes, changes and drops by lists of names instead of RangeVars, and where that reaches the
// server's own objects. A type, a collation, a dictionary in pg_catalog is not a relation; here it
// counts as one, because whoever writes the server's own objects can do anything.

import { isBuiltInObject, isSystemRelation, isUpdatableCatalog } from './catalogs.ts'
import type { RelationUse } from './facts.ts'
import { relationsOf } from './relations.ts'
import { child, isNode, list, type Node, names, string, unwrap } from './tree.ts'

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
  return objectPaths(node).flatMap((path) => written(ofPart ? path.slice(0, -1) : path))
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
    return rangeVar === undefined ? [] : relationsOf(rangeVar, 'write', undefined)
  })
}

/**
 * What a statement makes, changes, moves or drops of the server's own, where it would stand in for it;
 * and schemas with all that is in them, whoever's they are.
 */
export function intrusions(type: string, node: Node): readonly RelationUse[] {
  const existing = namesExisting(type, node)
  const objects = objectPaths(node)
    .flatMap(written)
    .map((use) =>
      existing && use.schema === undefined && isBuiltInObject(use.name)
        ? { ...use, schema: 'pg_catalog' }
        : use,
    )
    .filter(({ schema, name }) => schema !== undefined && isSystemRelation(schema, name))
  // Under another name, or with other rights, it could be read.
  const schemas = schemasOf(type, node).flatMap((schema): readonly RelationUse[] => [
    { schema, name: '*', access: 'read' },
    { schema, name: '*', access: 'write' },
  ])
  return [...objects, ...schemas, ...takenAlong(node)]
}

/** Whether it names types and the like that are there already, which are looked for in pg_catalog first. */
function namesExisting(type: string, node: Node): boolean {
  const kinds = ['renameType', 'removeType', 'objtype', 'objectType'].map((field) => node[field])
  return (
    /^Alter(Enum|Domain|Type|Collation|TSConfiguration|TSDictionary)Stmt$/.test(type) ||
    kinds.some((kind) => typeof kind === 'string' && typeLikeKinds.test(kind))
  )
}

const typeLikeKinds =
  /^OBJECT_(TYPE|DOMAIN|DOMCONSTRAINT|ATTRIBUTE|COLLATION|TSCONFIGURATION|TSDICTIONARY|TSPARSER|TSTEMPLATE)$/

/** Fields in which the nodes of DDL name objects that are no relations. */
const nameFields = [
  'object',
  'objects',
  'domainname',
  'typeName',
  'defnames',
  'collname',
  'cfgname',
  'dictname',
]

function objectPaths(node: Node): readonly (readonly string[])[] {
  return nameFields.flatMap((field) => {
    const value = node[field]
    if (!Array.isArray(value)) return isNode(value) ? [pathOf(value)] : []
    // Either the parts of one name, or a list of objects.
    const parts = names(value)
    return parts.length > 0 && field !== 'objects' ? [parts] : value.map(pathOf)
  })
}

function pathOf(value: unknown): readonly string[] {
  const inList = unwrap(value, 'List')
  const ofType = unwrap(value, 'TypeName')
  const withArguments = unwrap(value, 'ObjectWithArgs')
  return names([
    ...list(inList ?? {}, 'items'),
    ...list(ofType ?? {}, 'names'),
    ...list(withArguments ?? {}, 'objname'),
  ])
}

/** What CASCADE takes along is not in the text. */
function takenAlong(node: Node): readonly RelationUse[] {
  if (string(node, 'behavior') !== 'DROP_CASCADE') return []
  return [{ schema: undefined, name: '*', access: 'write' }]
}

function schemasOf(type: string, node: Node): readonly string[] {
  const isSchema = [node['renameType'], node['removeType'], node['objtype']].includes(
    'OBJECT_SCHEMA',
  )
  const moved = type === 'AlterObjectSchemaStmt' ? string(node, 'newschema') : undefined
  const reindexed = type === 'ReindexStmt' ? string(node, 'name') : undefined
  const named = isSchema ? names([node['object'], ...list(node, 'objects')]) : []
  const renamed = isSchema ? string(node, 'subname') : undefined
  const granted = /_IN_SCHEMA$/.test(string(node, 'targtype') ?? '')
    ? names(list(node, 'objects'))
    : []
  return [moved, reindexed, renamed, ...named, ...granted].filter((schema) => schema !== undefined)
}

function written(path: readonly string[]): readonly RelationUse[] {
  const name = path.at(-1)
  return name === undefined ? [] : [{ schema: path.at(-2), name, access: 'write' }]
}

/**
 * A view of exactly one relation can be updated, and whoever updates it writes that relation: making it
 * counts as a write. (Most of the server's own views cannot be written.) A rule ON SELECT is how a view
 * says what it shows.
 */
export function writableThroughView(type: string, node: Node): RelationUse | undefined {
  if (type !== 'ViewStmt' && type !== 'RuleStmt') return undefined
  const queries = type === 'ViewStmt' ? [node['query']] : list(node, 'actions')
  for (const query of queries) {
    const sources = list(unwrap(query, 'SelectStmt') ?? {}, 'fromClause')
    const only = sources.length === 1 ? unwrap(sources[0], 'RangeVar') : undefined
    const [relation] = only === undefined ? [] : relationsOf(only, 'write', undefined)
    if (relation === undefined) continue
    const { schema, name } = relation
    if (!isSystemRelation(schema, name) || isUpdatableCatalog(schema, name)) return relation
  }
  return undefined
}
