// The sessions that are open now: counted, and ended when their grant or their time is over or the proxy
// stops. One coarse timer looks at all of them; none has a timer of its own. Tells when the last client of
// a grant that is over has gone.

import type { Authorization } from '../access/authorization.ts'
import type { Clock } from '../clock.ts'
import type { Failure } from '../errors.ts'
import type { Activity } from './ports.ts'

export interface ServedSession {
  readonly authorization: Authorization
  /** Resolves when the client's socket is closed. */
  readonly clientClosed: Promise<unknown>
  /** Tells the client what it should know now. Why it must end, if a limit of its time is reached. */
  look(): Failure | undefined
  end(failure: Failure): void
  /** Ends it as soon as nothing is lost by that: outside a transaction, with all answers taken in. */
  leave(failure: Failure): void
  /** What it does now. */
  activity(): Activity
}

/** How long a session may live at the most after the end of its grant, or of its time. */
const lookEveryMs = 250
/** How long a client may take to read its last message before its login is taken back all the same. */
const leavingMs = 2_000

export class Sessions {
  readonly #clock: Clock
  readonly #live = new Set<ServedSession>()
  /** Over, but their clients may not have gone yet: only those of grants that are over. */
  readonly #leaving = new Set<ServedSession>()
  readonly #onGrantOver: (grantId: string, noticedAt: number) => void
  #timer: NodeJS.Timeout | undefined
  /** Why all of them are to leave. */
  #leavingFor: Failure | undefined
  /** Called when the last one is over. */
  #emptied: (() => void) | undefined

  /** `onGrantOver` is called when a grant that is over has no client left. `noticedAt`: by Clock.elapsed(). */
  constructor(clock: Clock, onGrantOver: (grantId: string, noticedAt: number) => void) {
    this.#clock = clock
    this.#onGrantOver = onGrantOver
  }

  start(): void {
    this.#timer = setInterval(() => {
      this.endThoseOver()
      this.#leave()
    }, lookEveryMs)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** The grants of the live sessions; of several sessions several times. */
  get grants(): readonly string[] {
    return [...this.#live].map(({ authorization }) => authorization.grant.id)
  }

  /** Of all live sessions, one for each. */
  get activities(): readonly Activity[] {
    return [...this.#live].map((session) => session.activity())
  }

  opened(session: ServedSession): void {
    this.#live.add(session)
  }

  closed(session: ServedSession): void {
    this.#live.delete(session)
    if (this.#live.size === 0) this.#emptied?.()
    if (session.authorization.inForceAt(this.#clock.now())) return
    this.#leaving.add(session)
    const noticedAt = this.#clock.elapsed()
    const gone = (): void => {
      clearTimeout(timer)
      if (!this.#leaving.delete(session)) return
      const { id } = session.authorization.grant
      if (!this.#has(id)) this.#onGrantOver(id, noticedAt)
    }
    const timer = setTimeout(gone, leavingMs).unref()
    void session.clientClosed.then(gone)
  }

  /** Ends the sessions of a grant that was revoked; where there is none its end is told at once. */
  endGrant(grantId: string): void {
    if (this.#has(grantId)) this.endThoseOver()
    else this.#onGrantOver(grantId, this.#clock.elapsed())
  }

  /** Looks at each now, without waiting for the next of the looks that are due. */
  endThoseOver(): void {
    const now = this.#clock.now()
    for (const session of [...this.#live]) {
      const failure = session.authorization.endedAt(now) ?? session.look()
      if (failure !== undefined) session.end(failure)
    }
  }

  /** How many are open. */
  get count(): number {
    return this.#live.size
  }

  /** Has each end as soon as nothing is lost by it. Resolves when none is left. */
  async drain(failure: Failure): Promise<void> {
    this.#leavingFor = failure
    this.#leave()
    if (this.#live.size === 0) return
    await new Promise<void>((resolve) => {
      this.#emptied = resolve
    })
  }

  endAll(failure: Failure): void {
    for (const session of [...this.#live]) session.end(failure)
  }

  #has(grantId: string): boolean {
    for (const sessions of [this.#live, this.#leaving]) {
      for (const { authorization } of sessions) if (authorization.grant.id === grantId) return true
    }
    return false
  }

  #leave(): void {
    if (this.#leavingFor === undefined) return
    for (const session of [...this.#live]) session.leave(this.#leavingFor)
  }
}
