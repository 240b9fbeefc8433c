// Which running session a CancelRequest means: the process id is the upstream's own, the secret is
// ours. Keys are kept and compared as digests only: how long a look-up takes tells nothing about a
// secret, and a digest may be shown to another process.
// PostgreSQL documentation, "Canceling Requests in Progress".

import { createHash, randomBytes } from 'node:crypto'
import { version32 } from '../wire/startup.ts'
import type { CancelEffect } from './relay.ts'

/** A session as seen by who wants to cancel what it runs. */
export interface Cancellable {
  readonly sessionId: string
  /** Resolves when the upstream has dealt with the request, or will not. */
  cancel(): Promise<CancelEffect>
}

export interface CancelKey {
  readonly processId: number
  readonly secret: Buffer
}

export class Cancels {
  /** By digest of the key. */
  readonly #sessions = new Map<string, Cancellable>()

  /**
   * A key of our own for a session; `forget` it when the session ends. From protocol 3.2 on it has 32
   * bytes, as PostgreSQL's; before it can only have 4.
   */
  register(processId: number, version: number, session: Cancellable): CancelKey {
    const key = { processId, secret: randomBytes(version >= version32 ? 32 : 4) }
    this.#sessions.set(digestOf(key), session)
    return key
  }

  forget(key: CancelKey): void {
    this.#sessions.delete(digestOf(key))
  }

  find(digest: string): Cancellable | undefined {
    return this.#sessions.get(digest)
  }
}

/** Two targets can have the same process id, so it takes both to name a session. */
export function digestOf({ processId, secret }: CancelKey): string {
  const id = Buffer.alloc(4)
  id.writeInt32BE(processId)
  return createHash('sha256').update(id).update(secret).digest('base64url')
}
