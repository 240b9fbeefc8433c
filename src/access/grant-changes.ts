// What has become of grants since they were read at a login, as far as this process knows: revoked, or
// prolonged. The store knows for good, and refuses every login on a grant that is over. Ignorant of who told.

/** A session lives for a moment after it was told to end, and a login is no more than seconds long. */
const mostKept = 10_000

export class GrantChanges {
  readonly #revoked = new Set<string>()
  readonly #ends = new Map<string, number>()

  /** Whether this is news. The oldest are forgotten when there are too many. */
  revoke(grantId: string): boolean {
    if (this.#revoked.has(grantId)) return false
    forgetOldest(this.#revoked)
    this.#revoked.add(grantId)
    return true
  }

  /**
   * Whether this is news. Grants only ever grow longer: what says otherwise is an answer that was
   * overtaken by another, and would cut off whoever was just given more time.
   */
  prolong(grantId: string, endsAt: number): boolean {
    if (endsAt <= (this.#ends.get(grantId) ?? 0)) return false
    if (!this.#ends.has(grantId)) forgetOldest(this.#ends)
    this.#ends.set(grantId, endsAt)
    return true
  }

  isRevoked(grantId: string): boolean {
    return this.#revoked.has(grantId)
  }

  /** The latest end that was heard of, in milliseconds since the epoch. */
  endOf(grantId: string): number | undefined {
    return this.#ends.get(grantId)
  }
}

function forgetOldest(kept: Set<string> | Map<string, number>): void {
  const [oldest] = kept.size >= mostKept ? kept.keys() : []
  if (oldest !== undefined) kept.delete(oldest)
}
