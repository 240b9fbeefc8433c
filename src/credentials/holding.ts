// A lease that this process holds: who uses it, from which backends, and whether it is still given out.
// Ignorant of engines and of the store; when to end it is decided in leases.ts.

import type { Grant, Lease } from '../access/access.ts'
import type { LeaseRecord } from '../access/lease.ts'
import type { Clock } from '../clock.ts'
import { type Backend, type Engine, type TargetCredentials, takesOver } from './engine.ts'
import type { Lifetime } from './lifetime.ts'
import type { LeaseOf } from './ports.ts'

/** One session's part in a lease. */
export interface Use {
  readonly lease: Lease
  opened(backend: Pick<Backend, 'server' | 'processId'>): void
  released(): void
  refused(): boolean
  readonly remainingMs: number | undefined
}

/** A backend that was left may still be rolling back. */
const lingersMs = 30_000
/** A login with less left to live is not begun with. */
const leastMs = 3_000

interface Seen {
  readonly server: string
  readonly processId: number
  readonly openedAt: number
  leftAt: number | undefined
}

export class Holding implements LeaseOf {
  readonly lease: Lease
  readonly lifetime: Lifetime
  /** By Clock.elapsed(). */
  readonly madeAt: number
  record: LeaseRecord
  /** A renewal is on its way. */
  renewing = false
  /** Since when it is known that its grant is over, or that its engine does not know it any more. */
  mustGoSince: { readonly reason: 'grant_over' | 'gone'; readonly at: number } | undefined
  readonly #clock: Clock
  readonly #onUnused: (holding: Holding) => void
  #grant: Grant
  #target: TargetCredentials
  #engine: Engine
  #superseded = false
  #closing = false
  #closedInUse = false
  #lost = false
  #uses = 0
  #unusedSince: number
  #backends: Seen[] = []

  /** `onUnused` is called when the last session has left it. */
  constructor(
    made: {
      readonly record: LeaseRecord
      readonly lease: Lease
      readonly grant: Grant
      readonly target: TargetCredentials
      readonly engine: Engine
      readonly lifetime: Lifetime
    },
    clock: Clock,
    onUnused: (holding: Holding) => void,
  ) {
    this.record = made.record
    this.lease = made.lease
    this.#grant = made.grant
    this.#target = made.target
    this.#engine = made.engine
    this.lifetime = made.lifetime
    this.#clock = clock
    this.#onUnused = onUnused
    this.madeAt = clock.elapsed()
    this.#unusedSince = this.madeAt
  }

  get grant(): Grant {
    return this.#grant
  }

  /** By which configuration of its target it is renewed and ended. */
  get target(): TargetCredentials {
    return this.#target
  }

  get engine(): Engine {
    return this.#engine
  }

  /**
   * Its target is configured in another way now: it is not given to new sessions, those that have it go on,
   * and it is renewed for them. `target`, where it can do that by now, does it in the place of who issued it.
   */
  supersede(target: TargetCredentials | undefined): void {
    this.#superseded = true
    const { engine: kind } = this.record
    if (target === undefined || !takesOver(target, this.#target, kind)) return
    this.#target = target
    this.#engine = target.engineOf(kind) ?? this.#engine
  }

  /** The grant goes on until then. */
  extend(endsAt: number): void {
    if (endsAt <= this.#grant.endsAt) return
    this.#grant = { ...this.#grant, endsAt }
    this.lifetime.extend(endsAt)
  }

  get principal(): string {
    return this.grant.principal
  }

  get role(): string {
    return this.grant.role
  }

  get inUse(): boolean {
    return this.#uses > 0
  }

  /** How long nobody has used it; 0 while somebody does. */
  get unusedMs(): number {
    return this.inUse ? 0 : this.#clock.elapsed() - this.#unusedSince
  }

  /** It may be given to a new session. */
  get open(): boolean {
    return !this.#closing && !this.#superseded && this.lasts
  }

  /** It works, and will for long enough to begin with. */
  get lasts(): boolean {
    return !this.#lost && this.mustGoSince === undefined && this.lifetime.remainingMs > leastMs
  }

  get closing(): boolean {
    return this.#closing
  }

  get superseded(): boolean {
    return this.#superseded
  }

  /** Somebody used it when it was closed: it was not for want of sessions. */
  get closedInUse(): boolean {
    return this.#closedInUse
  }

  /** Not given out any more; those who have it may go on. */
  close(): void {
    if (this.#closing) return
    this.#closing = true
    this.#closedInUse = this.inUse
  }

  /** The login is gone. */
  lose(): void {
    this.close()
    this.#lost = true
  }

  /** `fresh`: made for this use, or while it was waited for. */
  use(fresh: boolean): Use {
    let released = false
    let seen: Seen | undefined
    const holding = this
    this.#uses++
    return {
      lease: this.lease,
      opened: ({ server, processId }) => {
        this.#prune()
        seen = { server, processId, openedAt: this.#clock.elapsed(), leftAt: undefined }
        this.#backends.push(seen)
      },
      released: () => {
        if (released) return
        released = true
        if (seen !== undefined) seen.leftAt = this.#clock.elapsed()
        this.#left()
      },
      refused: () => {
        this.close()
        return !fresh
      },
      get remainingMs() {
        return holding.#remainingMs
      },
    }
  }

  /** What may still be there of its sessions. */
  get backends(): readonly Backend[] {
    this.#prune()
    const now = this.#clock.elapsed()
    return this.#backends.map(({ server, processId, openedAt }) => ({
      server,
      processId,
      openedMsAgo: now - openedAt,
    }))
  }

  /** Known only when it is certain that it will not be prolonged. */
  get #remainingMs(): number | undefined {
    if (this.#lost) return 0
    // With a shared role it is the password that ends, and a session does not need it any more.
    if (!this.#closing || this.engine.roles === 'shared') return undefined
    const { remainingMs } = this.lifetime
    return remainingMs === Number.POSITIVE_INFINITY ? undefined : remainingMs
  }

  #left(): void {
    this.#uses--
    if (this.inUse) return
    this.#unusedSince = this.#clock.elapsed()
    this.#onUnused(this)
  }

  #prune(): void {
    const since = this.#clock.elapsed() - lingersMs
    this.#backends = this.#backends.filter(({ leftAt = since }) => leftAt >= since)
  }
}
