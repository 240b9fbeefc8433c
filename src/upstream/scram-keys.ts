// The keys that SCRAM derives from a password, kept: thousands of hashes for the first login of a
// credential, none for the next. Ignorant of whose password it is. RFC 5802 section 3; section 9 says
// that a client may keep them.

import { createHmac, randomBytes } from 'node:crypto'
import type { Secret } from '../secret.ts'
import { type ClientKeys, deriveKeys, type KeySource } from '../wire/scram-client.ts'

/** Far more than credentials in use; a server that asks with a new salt each time fills no memory. */
const defaultCapacity = 1_000

export class ScramKeys {
  readonly #derive: KeySource
  readonly #capacity: number
  /** In the order of their last use. */
  readonly #kept = new Map<string, Promise<ClientKeys>>()
  /** What is kept is found by a hash that is good for this process only, never by the password. */
  readonly #hashKey = randomBytes(32)

  constructor(options: { readonly derive?: KeySource; readonly capacity?: number } = {}) {
    this.#derive = options.derive ?? deriveKeys
    this.#capacity = options.capacity ?? defaultCapacity
  }

  /** Another password, salt or number of iterations is another entry: nothing has to be invalidated. */
  async keys(password: Secret, salt: Buffer, iterations: number): Promise<ClientKeys> {
    const id = createHmac('sha256', this.#hashKey)
      .update(`${salt.toString('base64')} ${iterations} ${password.reveal()}`)
      .digest('base64')
    const keys = this.#kept.get(id) ?? this.#derive(password, salt, iterations)
    this.#kept.delete(id)
    this.#kept.set(id, keys)
    keys.catch(() => this.#kept.delete(id))
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= this.#capacity) break
      this.#kept.delete(oldest)
    }
    return keys
  }
}
