// What the definitions of views and checks use, read with the same parser as statements are. Remembered
// by their text from one read of a catalog to the next, because few change. Ignorant of what is
// dangerous among it (snapshot.ts).

import { setImmediate as othersTurn } from 'node:timers/promises'
import { analyse } from '../sql/analyse.ts'
import type { Statement } from '../sql/facts.ts'
import { longestDefinition } from './definition-texts.ts'

/** A query; undefined where the parser cannot read the definition. */
export type Definition = Statement | undefined

/** Longer ones count as unreadable: parsing is not interrupted, and the sessions wait for it. */
const limits = { maxBytes: longestDefinition }
/** In characters: some milliseconds of parsing, after which the sessions have their turn. */
const mostAtOnce = 8 * 1024

export class Definitions {
  #known: ReadonlyMap<string, Definition> = new Map()

  /** The query that each text is. Forgets the texts of the time before. */
  async read(texts: Iterable<string>): Promise<ReadonlyMap<string, Definition>> {
    const read = new Map<string, Definition>()
    let work = 0
    for (const text of texts) {
      const known = this.#known.get(text)
      if (known === undefined) work += text.length
      read.set(text, known ?? definitionOf(text))
      if (work < mostAtOnce) continue
      work = 0
      await othersTurn()
    }
    this.#known = read
    return read
  }
}

/** The condition of a CHECK as a query. */
export function checking(condition: string): string {
  return `SELECT WHERE ${condition}`
}

function definitionOf(text: string): Definition {
  const analysis = analyse(text, limits)
  if (analysis.type === 'unparsable') return undefined
  const [statement, ...more] = analysis.statements
  return more.length > 0 || statement?.opaque !== undefined ? undefined : statement
}
