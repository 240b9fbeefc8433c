// Which settings the functions of a database may change, themselves or by what they call: what their texts
// name, followed from function to function by name. A name that stands in a text for something else counts
// as a call: wrong on the safe side. Ignorant of which settings matter.

import type { FunctionRow } from './queries.ts'

export interface Changes {
  /** In lower case and sorted; `*` stands for any. */
  readonly sets: readonly string[]
  /** Whether it runs what no text shows. */
  readonly unseen: boolean
}

/** Of each function. */
export function changesOf(functions: readonly FunctionRow[]): ReadonlyMap<FunctionRow, Changes> {
  const callers = new Map<string, FunctionRow[]>()
  for (const row of functions) {
    for (const name of row.calls) append(callers, name, row)
  }
  const found = new Map(
    functions.map((row) => [row, { sets: new Set(row.sets), unseen: !row.plain }]),
  )
  const queue = functions.filter((row) => row.sets.length > 0 || !row.plain)
  // An array's iterator also comes to what is added meanwhile.
  for (const row of queue) {
    const changes = found.get(row)
    if (changes === undefined) continue
    for (const caller of callers.get(row.name.toLowerCase()) ?? []) {
      const known = found.get(caller)
      if (known === undefined || known === changes) continue
      const before = known.sets.size + Number(known.unseen)
      for (const name of changes.sets) known.sets.add(name)
      known.unseen ||= changes.unseen
      if (known.sets.size + Number(known.unseen) > before) queue.push(caller)
    }
  }
  return new Map(
    [...found].map(([row, { sets, unseen }]) => [row, { sets: [...sets].sort(), unseen }]),
  )
}

function append(map: Map<string, FunctionRow[]>, key: string, row: FunctionRow): void {
  const known = map.get(key)
  if (known === undefined) map.set(key, [row])
  else known.push(row)
}
