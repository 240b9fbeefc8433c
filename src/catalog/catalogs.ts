// What is known of each target's catalog, kept up to date.

import type { Catalog } from '../policy/catalog.ts'

export class Catalogs {
  readonly #current = new Map<string, Catalog>()

  /** The latest snapshot of a target; undefined where there is none. */
  of(target: string): Catalog | undefined {
    return this.#current.get(target)
  }

  /** Resolves when the first snapshot of the target is there or has failed. Never rejects. */
  async ready(_target: string): Promise<void> {}

  /** Something may have changed the target's catalog: it is read again. */
  changed(_target: string): void {}
}
