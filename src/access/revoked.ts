// The grants of which this process knows that they were revoked while it has or may get sessions of them: the
// store knows for good, and refuses every login from then on. Ignorant of who told.

/** Whether a grant is known to be revoked. */
export interface Revoked {
  has(grantId: string): boolean
}

/** A session lives for a moment after it was told to end, and a login is no more than seconds long. */
const mostKept = 10_000

export class RevokedGrants implements Revoked {
  readonly #ids = new Set<string>()

  /** Whether this is news. The oldest are forgotten when there are too many. */
  add(grantId: string): boolean {
    if (this.#ids.has(grantId)) return false
    const [oldest] = this.#ids.size >= mostKept ? this.#ids : []
    if (oldest !== undefined) this.#ids.delete(oldest)
    this.#ids.add(grantId)
    return true
  }

  has(grantId: string): boolean {
    return this.#ids.has(grantId)
  }
}
