// Proof that a token was verified. A session cannot be opened without one, and only the login check
// beside this file makes one.

import type { Failure } from '../errors.ts'
import type { Grant } from './access.ts'
import { grantEnded, grantRevoked, standing } from './grant.ts'
import type { Revoked } from './revoked.ts'

export class Authorization {
  // A private field makes the class nominal: an object of the same shape is not an Authorization.
  readonly #grant: Grant
  readonly #revoked: Revoked
  readonly tokenId: string
  /** The client's address, without port. */
  readonly address: string

  private constructor(grant: Grant, tokenId: string, address: string, revoked: Revoked) {
    this.#grant = grant
    this.#revoked = revoked
    this.tokenId = tokenId
    this.address = address
  }

  /** For the login check only. `revoked` is what becomes known later: the grant is as it was then. */
  static mint(grant: Grant, tokenId: string, address: string, revoked: Revoked): Authorization {
    return new Authorization(grant, tokenId, address, revoked)
  }

  get grant(): Grant {
    return this.#grant
  }

  /** Whether the grant is in force at `now` (milliseconds since the epoch), as far as this process knows. */
  inForceAt(now: number): boolean {
    return !this.#revoked.has(this.#grant.id) && standing(this.#grant, now) === 'in_force'
  }

  /** What ends the session at `now`, where the grant is not in force any more. */
  endedAt(now: number): Failure | undefined {
    if (this.inForceAt(now)) return undefined
    return this.#revoked.has(this.#grant.id) ? grantRevoked() : grantEnded()
  }
}
