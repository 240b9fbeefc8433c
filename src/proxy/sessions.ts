// The sessions that are open now: counted, and ended when their grant or their time is over or the proxy
// stops. One coarse timer looks at all of them; none has a timer of its own.

import type { Authorization } from '../access/authorization.ts'
import { grantEnded } from '../access/grant.ts'
import type { Clock } from '../clock.ts'
import type { Failure } from '../errors.ts'

export interface LiveSession {
  readonly authorization: Authorization
  /** Why it must end, if a limit of its time is reached. */
  overdue(): Failure | undefined
  end(failure: Failure): void
}

/** How long a session may live at the most after the end of its grant, or of its time. */
const lookEveryMs = 1_000

export class Sessions {
  readonly #clock: Clock
  readonly #live = new Set<LiveSession>()
  /** Called when a grant that is over has no session left. */
  readonly #onGrantOver: (grantId: string) => void
  #timer: NodeJS.Timeout | undefined

  constructor(clock: Clock, onGrantOver: (grantId: string) => void) {
    this.#clock = clock
    this.#onGrantOver = onGrantOver
  }

  start(): void {
    this.#timer = setInterval(() => this.#endThoseOver(), lookEveryMs)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  opened(session: LiveSession): void {
    this.#live.add(session)
  }

  closed(session: LiveSession): void {
    this.#live.delete(session)
    const { authorization } = session
    if (authorization.inForceAt(this.#clock.now())) return
    const { id } = authorization.grant
    for (const other of this.#live) if (other.authorization.grant.id === id) return
    this.#onGrantOver(id)
  }

  endAll(failure: Failure): void {
    for (const session of [...this.#live]) session.end(failure)
  }

  #endThoseOver(): void {
    const now = this.#clock.now()
    for (const session of [...this.#live]) {
      const failure = session.authorization.inForceAt(now) ? session.overdue() : grantEnded()
      if (failure !== undefined) session.end(failure)
    }
  }
}
