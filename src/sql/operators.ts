// The operators and types that a node names or implies. Either can be a user's own and run a user's
// function; the text does not tell, so they are facts like any other. Ignorant of which are whose.

import type { NameUse } from './facts.ts'
import { byKind, list, type Node, names, string } from './tree.ts'

/** What the grammar writes as a word and the server looks up as operators (parse_expr.c). */
const implied: ReadonlyMap<string, readonly string[]> = byKind({
  BETWEEN: ['>=', '<='],
  'NOT BETWEEN': ['<', '>'],
  'BETWEEN SYMMETRIC': ['>=', '<='],
  'NOT BETWEEN SYMMETRIC': ['<', '>'],
})

const equality: readonly NameUse[] = [{ schema: undefined, name: '=' }]

export function operatorsOf(type: string | undefined, node: Node): readonly NameUse[] {
  switch (type) {
    case 'A_Expr':
      return named(list(node, 'name'))
    case 'SubLink':
      // `x IN (SELECT ...)` has no operator in the tree and is `x = ANY (SELECT ...)`.
      return string(node, 'subLinkType') === 'ANY_SUBLINK' && list(node, 'operName').length === 0
        ? equality
        : named(list(node, 'operName'))
    case 'SortBy':
      return named(list(node, 'useOp'))
    case 'CaseExpr':
      return 'arg' in node ? equality : []
    case 'JoinExpr':
      return 'usingClause' in node || node['isNatural'] === true ? equality : []
    default:
      return []
  }
}

/** The type that a TypeName names; undefined for the grammar's own words, which are the server's types. */
export function typeOf(node: Node): NameUse | undefined {
  const path = names(list(node, 'names'))
  const name = path.at(-1)
  const schema = path.at(-2)
  return name === undefined || schema === 'pg_catalog' ? undefined : { schema, name }
}

function named(path: readonly unknown[]): readonly NameUse[] {
  const parts = names(path)
  const name = parts.at(-1)
  if (name === undefined) return []
  const schema = parts.at(-2)
  return implied.get(name)?.map((operator) => ({ schema, name: operator })) ?? [{ schema, name }]
}
