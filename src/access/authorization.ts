// Proof that a token was verified. A session cannot be opened without one, and only the login check
// beside this file makes one.

import type { Failure } from '../errors.ts'
import type { Grant } from './access.ts'
import { grantEnded, grantRevoked, standing } from './grant.ts'
import type { GrantChanges } from './grant-changes.ts'

export class Authorization {
  // A private field makes the class nominal: an object of the same shape is not an Authorization.
  #grant: Grant
  readonly #changes: GrantChanges
  readonly tokenId: string
  /** The client's address, without port. */
  readonly address: string
  /** The principal's when it asked for the access; undefined where nobody has said. */
  readonly groups: readonly string[] | undefined

  private constructor(
    grant: Grant,
    tokenId: string,
    address: string,
    changes: GrantChanges,
    groups: readonly string[] | undefined,
  ) {
    this.#grant = grant
    this.#changes = changes
    this.tokenId = tokenId
    this.address = address
    this.groups = groups
  }

  /** For the login check only. `changes` is what becomes known later: the grant is as it was then. */
  static mint(
    grant: Grant,
    tokenId: string,
    address: string,
    changes: GrantChanges,
    groups?: readonly string[],
  ): Authorization {
    return new Authorization(grant, tokenId, address, changes, groups)
  }

  /** With the end that it has by now, as far as this process knows. */
  get grant(): Grant {
    const endsAt = this.#changes.endOf(this.#grant.id)
    if (endsAt !== undefined && endsAt > this.#grant.endsAt)
      this.#grant = { ...this.#grant, endsAt }
    return this.#grant
  }

  /** Whether the grant is in force at `now` (milliseconds since the epoch), as far as this process knows. */
  inForceAt(now: number): boolean {
    return !this.#changes.isRevoked(this.#grant.id) && standing(this.grant, now) === 'in_force'
  }

  /** What ends the session at `now`, where the grant is not in force any more. */
  endedAt(now: number): Failure | undefined {
    if (this.inForceAt(now)) return undefined
    return this.#changes.isRevoked(this.#grant.id) ? grantRevoked() : grantEnded()
  }
}
