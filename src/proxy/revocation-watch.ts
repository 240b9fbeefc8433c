// Revoked grants, heard of at once and asked for every few seconds, since a notice can be lost: their sessions
// are ended in this process. What comes after that, their logins, is the business of whoever is told that a
// grant has no session left. Ignorant of who revokes, and of how processes hear of each other.

import type { RevokedGrants } from '../access/revoked.ts'
import type { Log, Notices, RevocationSource } from './ports.ts'
import type { Sessions } from './sessions.ts'

export interface RevocationWatchOptions {
  /** What the sessions' authorizations ask. */
  readonly revoked: RevokedGrants
  readonly sessions: Pick<Sessions, 'grants' | 'endGrant'>
  readonly source: RevocationSource
  readonly notices: Notices
  readonly log: Log
}

const lookEveryMs = 5_000

export class RevocationWatch {
  readonly #options: RevocationWatchOptions
  #timer: NodeJS.Timeout | undefined
  #looking: Promise<void> | undefined

  constructor(options: RevocationWatchOptions) {
    this.#options = options
    options.notices.hear('grant.revoked', ({ grant }) => {
      if (grant !== undefined) this.#take(grant)
    })
  }

  start(): void {
    this.#timer = setInterval(() => this.#look(), lookEveryMs)
    this.#timer.unref()
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#looking
  }

  /** One question to the store for all sessions, and one at a time. */
  #look(): void {
    const { sessions, source, log } = this.#options
    const ids = [...new Set(sessions.grants)]
    if (ids.length === 0) return
    this.#looking ??= source
      .revokedAmong(ids)
      .then((revoked) => {
        for (const id of revoked) this.#take(id)
      })
      .catch((error: unknown) => {
        log.warn({ err: error }, 'the store did not say which grants are revoked: asked again soon')
      })
      .finally(() => {
        this.#looking = undefined
      })
  }

  /** From here on no statement is forwarded and no login succeeds, whatever is still on its way. */
  #take(grantId: string): void {
    const { revoked, sessions, log } = this.#options
    if (!revoked.add(grantId)) return
    log.info({ grant: grantId }, 'a grant was revoked: its sessions are ended')
    sessions.endGrant(grantId)
  }
}
