// The sessions that are open now: counted, and ended when their grant ends or the proxy stops. One
// coarse timer looks at all of them; none has a timer of its own.

import type { Authorization } from '../access/authorization.ts'
import { grantEnded } from '../access/grant.ts'
import type { Clock } from '../clock.ts'
import type { Failure } from '../errors.ts'

export interface LiveSession {
  readonly authorization: Authorization
  end(failure: Failure): void
}

/** How long after its end a grant's session may live at the most. */
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

  get size(): number {
    return this.#live.size
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
      if (!session.authorization.inForceAt(now)) session.end(grantEnded())
    }
  }
}
