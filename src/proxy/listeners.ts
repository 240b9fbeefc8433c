// All the listeners of the data plane and what they share: sessions and cancel keys, since a cancel
// request may come in by another door than its session did. They start and stop together.

import { unlessAborted } from '../waiting.ts'
import { CancelRequests } from './cancel-requests.ts'
import { Crowd } from './crowd.ts'
import { GrantWatch } from './grant-watch.ts'
import { Listener, type ListenerOptions } from './listener.ts'
import type { Activity, Attendance } from './ports.ts'
import { Refusals } from './refusals.ts'
import type { ServeDependencies } from './serve.ts'
import { Sessions } from './sessions.ts'
import { cutOff, drained, failed } from './shutdown.ts'

export class Listeners {
  readonly #sessions: Sessions
  readonly #grants: GrantWatch
  readonly #cancelRequests: CancelRequests
  readonly #refusals: Refusals
  readonly #listeners: readonly Listener[]
  readonly #closing = new AbortController()

  /** Throws when a certificate or a range of addresses cannot be used. */
  constructor(options: readonly ListenerOptions[], deps: ServeDependencies) {
    this.#sessions = new Sessions(deps.clock, (grantId, noticedAt) => {
      // Whoever keeps the logins says what went wrong with which, and tries again.
      deps.credentials.endGrant(grantId, noticedAt).catch(() => undefined)
    })
    this.#grants = new GrantWatch({
      ...deps,
      sessions: this.#sessions,
      source: deps.grants,
    })
    this.#cancelRequests = new CancelRequests(deps)
    this.#refusals = new Refusals(deps)
    const hall = {
      cancelRequests: this.#cancelRequests,
      refusals: this.#refusals,
      crowd: new Crowd({ ...deps, limits: () => deps.rulebook.current.limits }),
      sessions: this.#sessions,
      closing: this.#closing.signal,
    }
    this.#listeners = options.map((each) => new Listener(each, hall, deps))
  }

  /** Resolves with the ports that are listened on. When one cannot be had, all are given back. */
  async start(): Promise<readonly number[]> {
    this.#sessions.start()
    this.#grants.start()
    try {
      const ports: number[] = []
      for (const listener of this.#listeners) ports.push(await listener.start())
      return ports
    } catch (error) {
      await this.stop()
      throw error
    }
  }

  /** What the sessions do now, one for each. */
  get activities(): readonly Activity[] {
    return this.#sessions.activities
  }

  /** Of each listener, in the order of the configuration. */
  get attendances(): readonly Attendance[] {
    return this.#listeners.map(({ attendance }) => attendance)
  }

  /** This process has revoked the grant: the others are told by whoever did. */
  grantRevoked(grantId: string): void {
    this.#grants.revoked(grantId)
  }

  /** This process has prolonged it. */
  grantExtended(grantId: string): void {
    this.#grants.moved(grantId)
  }

  /**
   * Accepts nothing more, turns away who has no session yet, and ends each session as soon as nothing is
   * lost by it; cancel requests that other processes pass on are still heard. Resolves when all is over, or
   * at `signal`, with the number of sessions that are left for `stop`.
   */
  async drain(signal: AbortSignal): Promise<number> {
    this.#closing.abort()
    const arrivals = this.#listeners.map((listener) => listener.close())
    const over = Promise.all([this.#sessions.drain(drained()), ...arrivals])
    await unlessAborted(signal, over).catch((error: unknown) => {
      if (!signal.aborted) throw error
    })
    return this.#sessions.count
  }

  /** The rulebook was replaced: what cannot go on by the new one ends now, not at its next statement. */
  reloaded(): void {
    this.#sessions.endThoseOver()
  }

  /** Tells every session that this process has met a defect; `stop` is to follow. */
  fail(): void {
    this.#sessions.endAll(failed())
  }

  /** Accepts nothing more, tells every session why, and returns when the sockets are closed. */
  async stop(): Promise<void> {
    this.#closing.abort()
    this.#sessions.stop()
    this.#cancelRequests.stop()
    const looked = this.#grants.stop()
    const stopped = this.#listeners.map((listener) => listener.stop())
    this.#sessions.endAll(cutOff())
    await Promise.all([...stopped, looked])
    this.#refusals.stop()
  }
}
