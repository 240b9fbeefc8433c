// Reads snapshots: rows through a port that leads to the target, definitions through the parser.
// Ignorant of when (catalogs.ts), and of the connection.

import type { CatalogSnapshot } from '../policy/catalog.ts'
import type { Query } from './definition-texts.ts'
import { checking, Definitions } from './definitions.ts'
import { readCode, readRelations, readTypes } from './queries.ts'
import { snapshotOf, someTypeRuns } from './snapshot.ts'

/** Implemented by credentials/. */
export interface Inspector {
  /**
   * Lets `work` ask a target, in one read-only transaction with one view of the database. Rejects when
   * `signal` is aborted.
   */
  inspect<T>(target: string, work: (query: Query) => Promise<T>, signal: AbortSignal): Promise<T>
}

export class SnapshotReader {
  readonly #inspector: Inspector
  readonly #onRefused: (target: string) => void
  readonly #checks = new Map<string, Definitions>()
  readonly #views = new Map<string, Definitions>()

  /** `onRefused` hears of reads without some definitions, which another read may find. */
  constructor(inspector: Inspector, onRefused: (target: string) => void = () => {}) {
    this.#inspector = inspector
    this.#onRefused = onRefused
  }

  /** Not twice at a time for a target. @throws Failure */
  async read(target: string, signal: AbortSignal): Promise<CatalogSnapshot> {
    const checks = of(this.#checks, target)
    const views = of(this.#views, target)
    const { rows, definitions } = await this.#inspector.inspect(
      target,
      async (query) => {
        const code = await readCode(query)
        const definitions = await checks.read(code.checks.map((row) => checking(row.condition)))
        const runs = someTypeRuns(code, (text) => definitions.get(text))
        const types = runs ? await readTypes(query) : []
        const relations = await readRelations(query)
        if (code.refused || relations.refused) this.#onRefused(target)
        return { rows: { ...code, types, ...relations }, definitions }
      },
      signal,
    )
    const viewDefinitions = await views.read(rows.views.map(({ definition }) => definition))
    return snapshotOf(rows, (text) => definitions.get(text) ?? viewDefinitions.get(text))
  }
}

function of(all: Map<string, Definitions>, target: string): Definitions {
  const known = all.get(target) ?? new Definitions()
  all.set(target, known)
  return known
}
