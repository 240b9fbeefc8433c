// Which running session a CancelRequest means: the process id is the upstream's own, the secret is
// ours. A wrong key, a right one and a late one look the same from outside.
// PostgreSQL documentation, "Canceling Requests in Progress".

import { randomBytes, timingSafeEqual } from 'node:crypto'
import { version32 } from '../wire/startup.ts'

/** A session as seen by who wants to cancel what it runs. */
export interface Cancellable {
  readonly sessionId: string
  /** Nothing is running: a cancel that comes now would hit the next statement. */
  isIdle(): boolean
  /** Resolves when the upstream has taken the request; false when it could not be reached. */
  cancel(): Promise<boolean>
}

export interface CancelKey {
  readonly processId: number
  readonly secret: Buffer
}

export interface CancelAnswer {
  readonly result: 'sent' | 'idle' | 'unknown' | 'failed'
  /** The session that was meant, where the key was right. */
  readonly sessionId: string | undefined
}

export class Cancels {
  /** By process id: two targets can have the same one. */
  readonly #sessions = new Map<number, Map<CancelKey, Cancellable>>()

  /**
   * A key of our own for a session; `forget` it when the session ends. From protocol 3.2 on it has 32
   * bytes, as PostgreSQL's; before it can only have 4.
   */
  register(processId: number, version: number, session: Cancellable): CancelKey {
    const key = { processId, secret: randomBytes(version >= version32 ? 32 : 4) }
    const sessions = this.#sessions.get(processId) ?? new Map<CancelKey, Cancellable>()
    sessions.set(key, session)
    this.#sessions.set(processId, sessions)
    return key
  }

  forget(key: CancelKey): void {
    const sessions = this.#sessions.get(key.processId)
    sessions?.delete(key)
    if (sessions?.size === 0) this.#sessions.delete(key.processId)
  }

  async request(processId: number, secret: Buffer): Promise<CancelAnswer> {
    const session = this.#find(processId, secret)
    if (session === undefined) return { result: 'unknown', sessionId: undefined }
    const { sessionId } = session
    if (session.isIdle()) return { result: 'idle', sessionId }
    return { result: (await session.cancel()) ? 'sent' : 'failed', sessionId }
  }

  #find(processId: number, secret: Buffer): Cancellable | undefined {
    let found: Cancellable | undefined
    for (const [key, session] of this.#sessions.get(processId) ?? []) {
      const same = key.secret.length === secret.length && timingSafeEqual(key.secret, secret)
      if (same) found = session
    }
    return found
  }
}
