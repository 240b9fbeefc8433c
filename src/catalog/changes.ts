// Which settings the functions of a database may change, themselves or by what they call: what their texts
// name, followed by name from function to function, and through the relations and domains on the way. A
// name that stands in a text for something else counts as meant: wrong on the safe side. Ignorant of which
// settings matter.

import type { PathRows } from './paths.ts'
import type { FunctionRow } from './queries.ts'

export interface Changes {
  /** In lower case and sorted; `*` stands for any. */
  readonly sets: readonly string[]
  /** Whether it runs what no text shows. */
  readonly unseen: boolean
}

/** A function, or a relation or domain with what is run for whoever touches it. */
interface Node {
  readonly name: string
  readonly calls: readonly string[]
  readonly sets: Set<string>
  unseen: boolean
}

/** Of each function. */
export function changesOf(
  functions: readonly FunctionRow[],
  { behind, leads }: PathRows,
): ReadonlyMap<FunctionRow, Changes> {
  const found = new Map(functions.map((row) => [row, nodeOf(row)]))
  const nodes: readonly Node[] = [
    ...found.values(),
    ...behind.map(({ name, write, functionSchema, functionName }) => ({
      name: touched(name, write),
      calls: [functionName.toLowerCase()],
      sets: new Set(functionSchema === 'pg_catalog' ? ['*'] : []),
      unseen: false,
    })),
    ...leads.map(({ name, write, toName }) => ({
      name: touched(name, write),
      calls: [touched(toName, write)],
      sets: new Set<string>(),
      unseen: false,
    })),
  ]
  spread(nodes)
  return new Map(
    [...found].map(([row, { sets, unseen }]) => [row, { sets: [...sets].sort(), unseen }]),
  )
}

function nodeOf({ name, calls, writes, sets, plain }: FunctionRow): Node {
  const written = writes ? calls.map((call) => touched(call, true)) : []
  return {
    name: name.toLowerCase(),
    calls: [...calls, ...written],
    sets: new Set(sets),
    unseen: !plain,
  }
}

/** What it means to write a relation has another name than to read it. */
function touched(name: string, write: boolean): string {
  return write ? `write ${name.toLowerCase()}` : name.toLowerCase()
}

/** From whatever changes something to all that come there. */
function spread(nodes: readonly Node[]): void {
  const callers = new Map<string, Node[]>()
  for (const node of nodes) for (const name of node.calls) append(callers, name, node)
  const queue = nodes.filter(({ sets, unseen }) => sets.size > 0 || unseen)
  // An array's iterator also comes to what is added meanwhile.
  for (const changes of queue) {
    for (const caller of callers.get(changes.name) ?? []) {
      if (caller === changes) continue
      const before = caller.sets.size + Number(caller.unseen)
      for (const name of changes.sets) caller.sets.add(name)
      caller.unseen ||= changes.unseen
      if (caller.sets.size + Number(caller.unseen) > before) queue.push(caller)
    }
  }
}

function append(map: Map<string, Node[]>, key: string, node: Node): void {
  const known = map.get(key)
  if (known === undefined) map.set(key, [node])
  else known.push(node)
}
