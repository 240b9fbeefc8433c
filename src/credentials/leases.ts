// Keeps leases, whoever issues them: one for each grant or session, in the store before it is asked for,
// prolonged while sessions use it, replaced when it cannot be, and ended with its grant. A lease whose
// process is killed is ended by another one (sweep.ts). Ignorant of how a login is made.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Grant } from '../access/access.ts'
import { randomId } from '../access/id.ts'
import type { LeaseEndReason, LeaseEngine } from '../access/lease.ts'
import type { Clock } from '../clock.ts'
import { Failure } from '../errors.ts'
import { type Engine, LeaseGone, type TargetCredentials } from './engine.ts'
import { Holding, type Use } from './holding.ts'
import { grantOver, issue, stopwatch } from './issue.ts'
import type { LeaseObserver, LeaseState, LeaseStore } from './ports.ts'
import { Revocations, type Targets } from './revocation.ts'
import { Sweep } from './sweep.ts'

export interface LeasesOptions {
  readonly targets: Targets
  readonly store: LeaseStore
  readonly clock: Clock
  /** A name of this run of the process; another run must have another. */
  readonly instance: string
  readonly observer: LeaseObserver
}

/** One coarse timer looks at all leases; none has a timer of its own. */
const lookEveryMs = 250
/** For sessions whose login must go: to be told, and to end. */
const farewellMs = 10_000
const stopWithinMs = 10_000

export class Leases {
  readonly #options: LeasesOptions
  readonly #revocations: Revocations
  readonly #sweep: Sweep
  /** Everything that this process has been issued and does not revoke yet, by lease. */
  readonly #holdings = new Map<string, Holding>()
  /** By grant: the lease that its new sessions share. */
  readonly #shared = new Map<string, Holding>()
  /** By grant: the next one. */
  readonly #making = new Map<string, Promise<Holding>>()
  /** What is being asked for, by lease. */
  readonly #issuing = new Map<
    string,
    {
      readonly grantId: string
      readonly target: TargetCredentials
      readonly done: Promise<Holding>
    }
  >()
  #timer: NodeJS.Timeout | undefined
  #stopped: Promise<void> | undefined

  constructor(options: LeasesOptions) {
    this.#options = options
    this.#revocations = new Revocations(options)
    this.#sweep = new Sweep({
      ...options,
      held: () => this.#heldIds(),
      onLost: (ids) => this.#lost(ids),
      onGrantsOver: (ids) => this.#grantsOver(ids),
    })
  }

  start(): void {
    this.#timer ??= setInterval(() => this.look(), lookEveryMs)
    this.#timer.unref()
    this.#sweep.start()
  }

  /** Revokes what this process holds, as far as it can in ten seconds: another one does the rest. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  /**
   * A part in the grant's login, or in one of its own where the target is configured so.
   * @throws Failure when the grant is over, or the store, the engine or the target cannot serve.
   */
  async acquire(grant: Grant): Promise<Use> {
    const target = this.#options.targets.get(grant.target)
    if (target === undefined) throw unmanaged(grant)
    const engine = target.engineFor(grant.role)
    const startedAt = this.#options.clock.elapsed()
    const holding =
      target.share === 'session'
        ? await this.#issue(grant, target, engine)
        : await this.#theShared(grant, target, engine)
    if (this.#stopped !== undefined) throw stopping()
    // Ended, in the moment since it was made.
    if (!this.#holdings.has(holding.record.id)) throw grantOver()
    if (holding.target !== this.#options.targets.get(grant.target)) throw moved(grant)
    // The login check asks the store, which may know of another end before anybody has told.
    holding.extend(grant.endsAt)
    return holding.use(holding.madeAt >= startedAt)
  }

  /**
   * Ends every login on the grant that this process holds; its sessions are over. `noticedAt`: since
   * when that is known. @throws what went wrong; it is tried again until it succeeds.
   */
  async endGrant(grantId: string, noticedAt = this.#options.clock.elapsed()): Promise<void> {
    // What is being made must be made to its end, or it would appear behind our back.
    await Promise.allSettled(this.#beingMade(grantId))
    for (const holding of [...this.#holdings.values()]) {
      if (holding.grant.id === grantId) void this.#end(holding, 'grant_over', noticedAt)
    }
    await this.#revocations.hurry(grantId)
  }

  /** The grant goes on until then (milliseconds since the epoch), and its logins with it. Never rejects. */
  async extendGrant(grantId: string, endsAt: number): Promise<void> {
    // What is being made was asked for with the end that the grant had then.
    await Promise.allSettled(this.#beingMade(grantId))
    for (const holding of this.#holdings.values()) {
      if (holding.grant.id === grantId) holding.extend(endsAt)
    }
  }

  /**
   * `targets` may give others than before. What was issued by those goes on for the sessions that have it,
   * and no other gets it. At once, and never throws.
   */
  supersede(): void {
    const { targets } = this.#options
    for (const holding of this.#holdings.values()) {
      const target = targets.get(holding.record.target)
      if (target === holding.target) continue
      holding.supersede(target)
      if (this.#shared.get(holding.grant.id) === holding) this.#shared.delete(holding.grant.id)
    }
    // Who comes now waits for a login of the new kind, not for one that is being made of the old.
    this.#making.clear()
    this.#revocations.supersede(targets)
  }

  /** Whether a login is renewed or ended by it, or being made: until then it must not be closed. */
  needs(target: TargetCredentials): boolean {
    return (
      [...this.#holdings.values()].some((holding) => holding.target === target) ||
      [...this.#issuing.values()].some((issuing) => issuing.target === target) ||
      this.#revocations.needs(target)
    )
  }

  /** Does what is due. */
  look(): void {
    for (const holding of [...this.#holdings.values()]) this.#lookAt(holding)
    this.#revocations.look()
    this.#options.observer.held(this.#counts())
  }

  /** Says what is held, and ends what others have left behind. Never rejects. */
  async sweep(): Promise<void> {
    await this.#sweep.beat()
    await this.#sweep.settled()
  }

  /** Single flight: whoever comes while it is being made waits for the same. */
  async #theShared(grant: Grant, target: TargetCredentials, engine: Engine): Promise<Holding> {
    const { id } = grant
    const held = this.#shared.get(id)
    if (held?.open === true) return held
    let making = this.#making.get(id)
    if (making === undefined) {
      // A failure is for those who wait now; the next one tries afresh.
      const made = this.#issue(grant, target, engine)
      making = made.finally(() => {
        if (this.#making.get(id) === making) this.#making.delete(id)
      })
      this.#making.set(id, making)
    }
    try {
      return await making
    } catch (error) {
      const warm = this.#warm(grant, error)
      if (warm === undefined) throw error
      return warm
    }
  }

  /** A login that was about to be replaced, while there is no other to be had: it works for a while yet. */
  #warm({ id }: Grant, error: unknown): Holding | undefined {
    if (error instanceof Failure && error.code === 'invalid_authorization') return undefined
    return [...this.#holdings.values()].find(
      ({ grant, lasts, superseded }) => grant.id === id && lasts && !superseded,
    )
  }

  #beingMade(grantId: string): Promise<Holding>[] {
    const made = [...this.#issuing.values()].filter((each) => each.grantId === grantId)
    return made.map(({ done }) => done)
  }

  #issue(grant: Grant, target: TargetCredentials, engine: Engine): Promise<Holding> {
    if (this.#stopped !== undefined) return Promise.reject(stopping())
    const id = randomId()
    const done = this.#make(id, grant, target, engine).finally(() => this.#issuing.delete(id))
    this.#issuing.set(id, { grantId: grant.id, target, done })
    return done
  }

  async #make(
    id: string,
    grant: Grant,
    target: TargetCredentials,
    engine: Engine,
  ): Promise<Holding> {
    const made = await issue(id, grant, engine, {
      ...this.#options,
      target,
      revocations: this.#revocations,
    })
    const holding = new Holding(made, this.#options.clock, (unused) => this.#unused(unused))
    this.#holdings.set(id, holding)
    const now = this.#options.targets.get(grant.target)
    if (now !== target) holding.supersede(now)
    else if (this.#shares(holding)) this.#shared.set(grant.id, holding)
    return holding
  }

  #lookAt(holding: Holding): void {
    const { clock } = this.#options
    const { grant, lifetime, inUse } = holding
    const now = clock.elapsed()
    if (clock.now() >= grant.endsAt) holding.mustGoSince ??= { reason: 'grant_over', at: now }
    const { mustGoSince: must } = holding
    if (must !== undefined) {
      if (!inUse || now - must.at >= farewellMs) void this.#end(holding, must.reason, must.at)
      return
    }
    const unusedTimeout = holding.target.unusedTimeoutMs ?? Number.POSITIVE_INFINITY
    if (holding.unusedMs >= unusedTimeout) {
      void this.#end(holding, 'unused')
      return
    }
    switch ((holding.closing || holding.superseded) && !inUse ? 'end' : lifetime.due(inUse)) {
      case 'nothing':
        return
      case 'renew':
        if (!holding.closing && !holding.renewing) void this.#renew(holding)
        return
      case 'replace':
        holding.close()
        return
      case 'end':
        holding.close()
        // A session does not need the password of a shared role any more.
        if (inUse && holding.engine.roles === 'shared') return
        void this.#end(holding, holding.closedInUse ? 'closing' : 'unused')
    }
  }

  /** Never rejects. */
  async #renew(holding: Holding): Promise<void> {
    const { clock, store, observer } = this.#options
    const seconds = stopwatch(clock)
    holding.renewing = true
    try {
      const { engine, lifetime } = holding
      const { until } = lifetime
      const lasting = lifetime.renewed(await engine.renew(holding.record, until), until)
      observer.renewed(holding, seconds())
      if (!lasting) holding.close()
      const { expiresAt } = lifetime
      holding.record = { ...holding.record, expiresAt }
      if (expiresAt !== undefined) {
        await store.moveLease(holding.record.id, expiresAt).catch(observer.problem)
      }
    } catch (error) {
      observer.renewFailed(holding, seconds(), error)
      if (error instanceof LeaseGone) {
        holding.lose()
        holding.mustGoSince ??= { reason: 'gone', at: clock.elapsed() }
      } else {
        holding.lifetime.renewFailed()
      }
    } finally {
      holding.renewing = false
    }
  }

  /** The last session has left it. */
  #unused(holding: Holding): void {
    if (!this.#holdings.has(holding.record.id)) return
    const { reason } = holding.mustGoSince ?? {}
    if (reason !== undefined) void this.#end(holding, reason, holding.mustGoSince?.at)
    else if (holding.closing || holding.superseded) void this.#end(holding, 'closing')
    else if (!this.#shares(holding)) void this.#end(holding, 'unused')
  }

  #shares({ target }: Holding): boolean {
    return target.share === 'grant'
  }

  /** From here on it is the revocations' to bring to an end. Never rejects. */
  async #end(
    holding: Holding,
    reason: LeaseEndReason,
    noticedAt = this.#options.clock.elapsed(),
  ): Promise<void> {
    this.#drop(holding)
    const { target, backends } = holding
    const ending = { lease: holding, target, reason, noticedAt, backends }
    await this.#revocations.begin(ending).catch(() => undefined)
  }

  #drop(holding: Holding): void {
    holding.close()
    this.#holdings.delete(holding.record.id)
    if (this.#shared.get(holding.grant.id) === holding) this.#shared.delete(holding.grant.id)
  }

  /** What is being asked for has a moment's time yet. */
  #heldIds(): string[] {
    const ending = this.#revocations.leases.map(({ id }) => id)
    return [...this.#holdings.keys(), ...ending]
  }

  /** Another process took us for dead, and was right as far as anybody could see. */
  #lost(ids: readonly string[]): void {
    this.#revocations.forget(ids)
    for (const id of ids) {
      const holding = this.#holdings.get(id)
      if (holding === undefined) continue
      holding.lose()
      // Of a role that others use as well only we know our backends: nobody else has ended those.
      const at = this.#options.clock.elapsed()
      if (holding.engine.roles === 'shared') holding.mustGoSince ??= { reason: 'gone', at }
      else this.#drop(holding)
    }
  }

  #grantsOver(ids: readonly string[]): void {
    for (const id of ids) {
      const holding = this.#holdings.get(id)
      if (holding === undefined) continue
      holding.mustGoSince ??= { reason: 'grant_over', at: this.#options.clock.elapsed() }
      this.#lookAt(holding)
    }
  }

  #counts(): Map<LeaseEngine, Record<LeaseState, number>> {
    const counts = new Map<LeaseEngine, Record<LeaseState, number>>()
    const count = (engine: LeaseEngine, state: LeaseState): void => {
      const states = counts.get(engine) ?? { open: 0, closing: 0, ending: 0 }
      states[state]++
      counts.set(engine, states)
    }
    for (const { record, closing, superseded } of this.#holdings.values()) {
      count(record.engine, closing || superseded ? 'closing' : 'open')
    }
    for (const { engine } of this.#revocations.leases) count(engine, 'ending')
    return counts
  }

  async #stop(): Promise<void> {
    clearInterval(this.#timer)
    const { observer } = this.#options
    const enough = new AbortController()
    const late = sleep(stopWithinMs, 'late' as const, { signal: enough.signal }).catch(() => 'done')
    const letGo = this.#letGo().then(() => 'done' as const)
    if ((await Promise.race([letGo, late])) === 'late') {
      observer.problem(new Error('not all leases could be revoked in time: another process has to'))
      // Not waited for: nothing is begun any more, and what is under way has its own limits.
      void this.#sweep.stop()
    }
    enough.abort()
  }

  async #letGo(): Promise<void> {
    await Promise.allSettled([...this.#issuing.values()].map(({ done }) => done))
    const ended = [...this.#holdings.values()].map((holding) => this.#end(holding, 'shutdown'))
    await Promise.all(ended)
    await this.#revocations.settled()
    await this.#sweep.stop()
  }
}

function stopping(): Failure {
  return new Failure('cannot_connect_now', {
    message: 'pgwarden is shutting down',
    hint: 'Connect again in a moment.',
  })
}

function moved({ target }: Grant): Failure {
  return new Failure('cannot_connect_now', {
    message: `the configuration of target "${target}" has changed this moment`,
    hint: 'Connect again.',
  })
}

function unmanaged({ target }: Grant): Failure {
  return new Failure('invalid_configuration', {
    message: `target "${target}" is not managed by this pgwarden`,
  })
}
