// Reads snapshots: rows through a port that leads to the target, definitions through the parser.
// Ignorant of when (catalogs.ts), and of the connection.

import type { CatalogSnapshot } from '../policy/catalog.ts'
import { checking, Definitions } from './definitions.ts'
import { type Query, readRows } from './queries.ts'
import { snapshotOf } from './snapshot.ts'

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
  readonly #definitions = new Map<string, Definitions>()

  constructor(inspector: Inspector) {
    this.#inspector = inspector
  }

  /** Not twice at a time for a target. @throws Failure */
  async read(target: string, signal: AbortSignal): Promise<CatalogSnapshot> {
    const rows = await this.#inspector.inspect(target, readRows, signal)
    const definitions = this.#definitions.get(target) ?? new Definitions()
    this.#definitions.set(target, definitions)
    const read = await definitions.read([
      ...rows.views.map(({ definition }) => definition),
      ...rows.checks.map(({ condition }) => checking(condition)),
    ])
    return snapshotOf(rows, (text) => read.get(text))
  }
}
