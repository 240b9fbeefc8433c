// Sequences that a function is given by a text: `nextval('shop.orders_id_seq')`. Which one the text means
// is decided when it runs; a constant is read here as the server reads it, and what is computed could be
// any. Ignorant of who may use them.
// PostgreSQL documentation, "Object Identifier Types": names in quotes, else folded to lower case.

import type { RelationUse } from './facts.ts'
import { functionName } from './functions.ts'
import { byKind, child, constant, list, type Node, names, unwrap } from './tree.ts'

const sequenceFunctions = byKind<RelationUse['access']>({
  nextval: 'write',
  setval: 'write',
  currval: 'read',
  pg_sequence_last_value: 'read',
  pg_get_sequence_data: 'read',
})

/** Of a FuncCall. */
export function sequencesNamed(call: Node): readonly RelationUse[] {
  const { schema, name } = functionName(call)
  const access = sequenceFunctions.get(name)
  if (access === undefined || (schema !== undefined && schema !== 'pg_catalog')) return []
  const written = constant(withoutCast(list(call, 'args')[0]))
  const path = written === undefined ? undefined : pathOf(written)
  const [last = '*', ...qualifiers] = path?.toReversed() ?? []
  return [{ schema: qualifiers[0], name: last, access }]
}

/** `'s'::regclass` is what defaults are written out as. */
function withoutCast(value: unknown): unknown {
  const cast = unwrap(value, 'TypeCast') ?? {}
  const type = names(list(child(cast, 'typeName') ?? {}, 'names'))
  return type.at(-1) === 'regclass' ? cast['arg'] : value
}

/** The parts of a qualified name; undefined for what is no name, as the number of one. */
function pathOf(text: string): readonly string[] | undefined {
  const parts: string[] = []
  let rest = text.trim()
  for (;;) {
    const found =
      /^(?:"((?:[^"]|"")+)"|([A-Za-z_\u0080-\uFFFF][\w$\u0080-\uFFFF]*))\s*(\.\s*|$)/.exec(rest)
    if (found === null) return undefined
    const [all, quoted, plain = '', end] = found
    // Folded as an identifier is: ASCII only.
    parts.push(
      quoted?.replaceAll('""', '"') ?? plain.replace(/[A-Z]/g, (letter) => letter.toLowerCase()),
    )
    rest = rest.slice(all.length)
    if (end === '') return parts
  }
}
