// Reading a raw parse tree (the JSON of libpg_query) without trusting its shape: every access is
// checked, and what is not there reads as absent. Zero, false and empty text are left out of the JSON.
// Ignorant of SQL.

export interface Node {
  readonly [key: string]: unknown
}

export function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function child(node: Node, key: string): Node | undefined {
  const value = node[key]
  return isNode(value) ? value : undefined
}

export function list(node: Node, key: string): readonly unknown[] {
  const value = node[key]
  return Array.isArray(value) ? value : []
}

export function string(node: Node, key: string): string | undefined {
  const value = node[key]
  return typeof value === 'string' ? value : undefined
}

/** What is inside a wrapper, `{"ColumnRef": {...}}` for `ColumnRef`; undefined for any other node. */
export function unwrap(value: unknown, type: string): Node | undefined {
  return isNode(value) ? child(value, type) : undefined
}

/** The names in a list of String nodes, `[{"String": {"sval": "public"}}, ...]`. */
export function names(values: readonly unknown[]): readonly string[] {
  return values.flatMap((value) => {
    const name = unwrap(value, 'String')
    return name === undefined ? [] : [string(name, 'sval') ?? '']
  })
}

/** The value of a constant, or of a constant cast to a plain text type; undefined for all else. */
export function constant(value: unknown): string | undefined {
  let inner = value
  for (let cast = unwrap(inner, 'TypeCast'); cast !== undefined; cast = unwrap(inner, 'TypeCast')) {
    if (!castsToText(cast)) return undefined
    inner = cast['arg']
  }
  const literal = unwrap(inner, 'A_Const')
  return literal === undefined ? undefined : literalText(literal)
}

function literalText(literal: Node): string | undefined {
  if (literal['isnull'] === true) return undefined
  const text = child(literal, 'sval') ?? child(literal, 'bsval')
  if (text !== undefined) return string(text, 'sval') ?? string(text, 'bsval') ?? ''
  const float = child(literal, 'fval')
  if (float !== undefined) return string(float, 'fval')
  const integer = child(literal, 'ival')
  if (integer !== undefined) {
    return String(typeof integer['ival'] === 'number' ? integer['ival'] : 0)
  }
  const boolean = child(literal, 'boolval')
  return boolean === undefined ? undefined : String(boolean['boolval'] === true)
}

// A length would cut the value (`'rolexyz'::varchar(4)` is `role`), and a type of another schema may
// do anything.
function castsToText(cast: Node): boolean {
  const type = child(cast, 'typeName')
  if (type === undefined || list(type, 'typmods').length > 0) return false
  if (list(type, 'arrayBounds').length > 0) return false
  const path = names(list(type, 'names'))
  if (path.length === 2 && path[0] !== 'pg_catalog') return false
  return path.length <= 2 && ['text', 'varchar', 'name'].includes(path.at(-1) ?? '')
}

/**
 * A table by node type or field name. Never an object: `constructor` is a field of the parse tree, and
 * every object has one.
 */
export function byKind<T>(table: Readonly<Record<string, T>>): ReadonlyMap<string, T> {
  return new Map(Object.entries(table))
}
