// Proof that a token was verified. A session cannot be opened without one, and only the login check
// beside this file makes one.

import type { Grant } from './access.ts'
import { standing } from './grant.ts'

export class Authorization {
  // A private field makes the class nominal: an object of the same shape is not an Authorization.
  readonly #grant: Grant
  readonly tokenId: string
  /** The client's address, without port. */
  readonly address: string

  private constructor(grant: Grant, tokenId: string, address: string) {
    this.#grant = grant
    this.tokenId = tokenId
    this.address = address
  }

  /** For the login check only. */
  static mint(grant: Grant, tokenId: string, address: string): Authorization {
    return new Authorization(grant, tokenId, address)
  }

  get grant(): Grant {
    return this.#grant
  }

  /** Whether the grant is in force at `now` (milliseconds since the epoch). */
  inForceAt(now: number): boolean {
    return standing(this.#grant, now) === 'in_force'
  }
}
