// What becomes of grants while they have sessions here: heard of at once, and asked for every few seconds,
// since a notice can be lost. A revoked grant's sessions are ended, a prolonged one's go on, and its logins
// with them. Ignorant of who decides, and of how processes hear of each other.

import type { GrantChanges } from '../access/grant-changes.ts'
import type { CredentialSource, GrantSource, GrantState, Log, Notices } from './ports.ts'
import type { Sessions } from './sessions.ts'

export interface GrantWatchOptions {
  /** What the sessions' authorizations ask. */
  readonly changes: GrantChanges
  readonly sessions: Pick<Sessions, 'grants' | 'endGrant'>
  readonly credentials: Pick<CredentialSource, 'extendGrant'>
  readonly source: GrantSource
  readonly notices: Notices
  readonly log: Log
}

const lookEveryMs = 5_000

export class GrantWatch {
  readonly #options: GrantWatchOptions
  readonly #looks = new Set<Promise<void>>()
  #timer: NodeJS.Timeout | undefined
  #looking = false

  constructor(options: GrantWatchOptions) {
    this.#options = options
    const { notices } = options
    notices.hear('grant.revoked', ({ grant }) => {
      if (grant !== undefined) this.revoked(grant)
    })
    notices.hear('grant.extended', ({ grant }) => {
      if (grant !== undefined) this.moved(grant)
    })
  }

  start(): void {
    this.#timer = setInterval(() => this.#lookAtAll(), lookEveryMs)
    this.#timer.unref()
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await Promise.all(this.#looks)
  }

  /** From here on no statement is forwarded and no login succeeds, whatever is still on its way. */
  revoked(grantId: string): void {
    const { changes, sessions, log } = this.#options
    if (!changes.revoke(grantId)) return
    log.info({ grant: grantId }, 'a grant was revoked: its sessions are ended')
    sessions.endGrant(grantId)
  }

  /**
   * The grant is said to have another end. Which one is for the store alone to say: a notice may be late,
   * and nothing but the store makes access last longer.
   */
  moved(grantId: string): void {
    void this.#look([grantId])
  }

  /** One question to the store for all sessions, and one at a time. */
  #lookAtAll(): void {
    const ids = [...new Set(this.#options.sessions.grants)]
    if (ids.length === 0 || this.#looking) return
    this.#looking = true
    void this.#look(ids).finally(() => {
      this.#looking = false
    })
  }

  /** Never rejects. */
  #look(ids: readonly string[]): Promise<void> {
    const { source, log } = this.#options
    const look = source
      .grantStates(ids)
      .then((states) => {
        for (const state of states) this.#take(state)
      })
      .catch((error: unknown) => {
        log.warn({ err: error }, 'the store did not say what became of grants: asked again soon')
      })
      .finally(() => this.#looks.delete(look))
    this.#looks.add(look)
    return look
  }

  #take({ id, revoked, endsAt }: GrantState): void {
    if (revoked) {
      this.revoked(id)
      return
    }
    const { changes, credentials } = this.#options
    // Of each grant the first time as well: what a lease was made for may have been read before.
    if (changes.prolong(id, endsAt)) void credentials.extendGrant(id, endsAt)
  }
}
