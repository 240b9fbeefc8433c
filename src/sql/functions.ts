// The functions that a node calls, however the call is written. PostgreSQL runs `f(x)` also for `x.f`
// and `(x).f` when x has no column f, so every such name is a possible call; whether it is one that
// matters is for policy/ to say. Ignorant of what any function does.

import { isBuiltInObject } from './catalogs.ts'
import type { FunctionUse } from './facts.ts'
import { byKind, child, constant, list, type Node, names, string, unwrap } from './tree.ts'

/** Functions whose constant arguments decide what they do. */
const tellingArguments: ReadonlySet<string> = new Set([
  'lo_open',
  'pg_input_is_valid',
  'pg_input_error_info',
])

export function functionsOf(type: string | undefined, node: Node): readonly FunctionUse[] {
  switch (type) {
    case 'FuncCall':
      return [called(list(node, 'funcname'), 'call', list(node, 'args'))]
    case 'CreateTrigStmt':
      return [called(list(node, 'funcname'), 'trigger', undefined)]
    case 'RangeTableSample':
      return [called(list(node, 'method'), 'tablesample', list(node, 'args'))]
    case 'ColumnRef':
      return attributes(list(node, 'fields').slice(1))
    case 'A_Indirection':
      return isScalar(node['arg'])
        ? names(list(node, 'indirection')).map(scalarCall)
        : attributes(list(node, 'indirection'))
    default:
      return constructed(type, node)
  }
}

const postgres16 = 160000
const postgres17 = 170000

/**
 * Constructs that older grammars do not have: there the same text calls a function of that name, which
 * is a user's own. The server's version is not known here, so the name and its age are facts.
 * PostgreSQL release notes, 16 and 17: SQL/JSON constructors and query functions.
 */
const constructs: ReadonlyMap<string, readonly [name: string, since: number]> = byKind({
  JsonObjectConstructor: ['json_object', postgres16],
  JsonArrayConstructor: ['json_array', postgres16],
  JsonArrayQueryConstructor: ['json_array', postgres16],
  JsonObjectAgg: ['json_objectagg', postgres16],
  JsonArrayAgg: ['json_arrayagg', postgres16],
  JsonParseExpr: ['json', postgres17],
  JsonScalarExpr: ['json_scalar', postgres17],
  JsonSerializeExpr: ['json_serialize', postgres17],
  JsonTable: ['json_table', postgres17],
  MergeSupportFunc: ['merge_action', postgres17],
})

const queryFunctions: ReadonlyMap<string, string> = byKind({
  JSON_EXISTS_OP: 'json_exists',
  JSON_QUERY_OP: 'json_query',
  JSON_VALUE_OP: 'json_value',
})

function constructed(type: string | undefined, node: Node): readonly FunctionUse[] {
  const [name, since] =
    type === 'JsonFuncExpr'
      ? [queryFunctions.get(string(node, 'op') ?? '') ?? 'json_value', postgres17]
      : (constructs.get(type ?? '') ?? [])
  if (name === undefined) return []
  return [
    { schema: undefined, name, notation: 'syntax', arguments: undefined, constants: [], since },
  ]
}

/** The last name of a FuncCall and its schema, as `set_config` must be recognised elsewhere too. */
export function functionName(call: Node): {
  readonly schema: string | undefined
  readonly name: string
} {
  const path = names(list(call, 'funcname'))
  return { schema: path.at(-2), name: path.at(-1) ?? '' }
}

function called(
  path: readonly unknown[],
  notation: FunctionUse['notation'],
  args: readonly unknown[] | undefined,
): FunctionUse {
  const parts = names(path)
  const name = parts.at(-1) ?? ''
  return {
    schema: parts.at(-2),
    name,
    notation,
    arguments: args?.length,
    constants: tellingArguments.has(name) && args !== undefined ? args.map(constant) : [],
    since: undefined,
  }
}

/** Whether a value has no columns for certain: then `(value).f` can only be a call of f. */
function isScalar(value: unknown): boolean {
  const type = child(unwrap(value, 'TypeCast') ?? {}, 'typeName')
  if (type === undefined) return unwrap(value, 'A_Const') !== undefined
  const path = names(list(type, 'names'))
  return path.at(-2) === 'pg_catalog' || (path.length === 1 && isBuiltInObject(path[0] ?? ''))
}

function scalarCall(name: string): FunctionUse {
  return { ...callOf(name), notation: 'call' }
}

function attributes(fields: readonly unknown[]): readonly FunctionUse[] {
  return names(fields).map(callOf)
}

function callOf(name: string): FunctionUse {
  return {
    schema: undefined,
    name,
    notation: 'attribute',
    arguments: 1,
    constants: [],
    since: undefined,
  }
}

/** Two uses with the same key are the same fact. */
export function keyOf(use: FunctionUse): string {
  return JSON.stringify([use.notation, use.schema, use.name, use.arguments, use.constants])
}
