// Ends logins, and makes sure: the backends first, then the lease, then somebody looks whether both are
// gone. What could not be confirmed is tried again until it can; it is never assumed. Ignorant of why.

import type { LeaseEndReason, LeaseEndResult, LeaseRecord } from '../access/lease.ts'
import type { Clock } from '../clock.ts'
import { Failure } from '../errors.ts'
import { type Backend, type TargetCredentials, takesOver } from './engine.ts'
import type { LeaseObserver, LeaseOf, LeaseStore } from './ports.ts'

export interface Ending {
  readonly lease: LeaseOf
  /** Who ends it; undefined where nobody here can. */
  readonly target: TargetCredentials | undefined
  readonly reason: LeaseEndReason
  /** Since when it was known that it had to be, by Clock.elapsed(). */
  readonly noticedAt: number
  /** What it was used from; undefined when only a process that is gone would know. */
  readonly backends: readonly Backend[] | undefined
}

export interface RevocationOptions {
  readonly store: Pick<LeaseStore, 'endLease'>
  readonly clock: Clock
  readonly observer: LeaseObserver
}

/** By name; others may be there after a reload. */
export type Targets = Pick<ReadonlyMap<string, TargetCredentials>, 'get'>

interface Job {
  ending: Ending
  attempts: number
  notBefore: number
  running: Promise<void> | undefined
}

const leastPauseMs = 1_000
const longestPauseMs = 60_000

/** What this process has to end, for as long as it takes. */
export class Revocations {
  readonly #options: RevocationOptions
  readonly #jobs = new Map<string, Job>()

  constructor(options: RevocationOptions) {
    this.#options = options
  }

  /** The leases that are being ended. */
  get leases(): readonly LeaseRecord[] {
    return [...this.#jobs.values()].map(({ ending }) => ending.lease.record)
  }

  /** From now on it is tried until it is done. Rejects when the first attempt fails. */
  begin(ending: Ending): Promise<void> {
    const { id } = ending.lease.record
    const job = this.#jobs.get(id) ?? { ending, attempts: 0, notBefore: 0, running: undefined }
    this.#jobs.set(id, job)
    return this.#run(job)
  }

  /** Targets are configured in another way: `targets` ends what it can, in the place of who issued it. */
  supersede(targets: Targets): void {
    for (const job of this.#jobs.values()) {
      const { target: issuer, lease } = job.ending
      const target = targets.get(lease.record.target)
      if (target === undefined || issuer === undefined) continue
      if (takesOver(target, issuer, lease.record.engine)) job.ending = { ...job.ending, target }
    }
  }

  /** Whether something is ended by it still. */
  needs(target: TargetCredentials): boolean {
    return [...this.#jobs.values()].some(({ ending }) => ending.target === target)
  }

  /** Attempts those that are on its grant at once. Rejects when one of them fails. */
  async hurry(grantId: string): Promise<void> {
    const jobs = [...this.#jobs.values()].filter(
      ({ ending }) => ending.lease.record.grantId === grantId,
    )
    const results = await Promise.allSettled(jobs.map((job) => this.#run(job)))
    for (const result of results) if (result.status === 'rejected') throw result.reason
  }

  /** Tries again what is due. */
  look(): void {
    const now = this.#options.clock.elapsed()
    for (const job of this.#jobs.values()) {
      if (job.running === undefined && now >= job.notBefore) this.#run(job).catch(() => undefined)
    }
  }

  /** Somebody else has ended these, as far as anybody else could: our backends of a shared role only we know. */
  forget(ids: Iterable<string>): void {
    for (const id of ids) {
      const ending = this.#jobs.get(id)?.ending
      if (ending !== undefined && !isShared(ending)) this.#jobs.delete(id)
    }
  }

  /** Resolves when no attempt is under way. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.#jobs.values()].flatMap(({ running }) => running ?? []))
  }

  #run(job: Job): Promise<void> {
    job.running ??= this.#attempt(job).finally(() => {
      job.running = undefined
    })
    return job.running
  }

  async #attempt(job: Job): Promise<void> {
    job.attempts++
    try {
      await revoke(job.ending, job.attempts, this.#options)
      this.#jobs.delete(job.ending.lease.record.id)
    } catch (error) {
      const pause = Math.min(leastPauseMs * 2 ** (job.attempts - 1), longestPauseMs)
      job.notBefore = this.#options.clock.elapsed() + pause * (0.5 + Math.random())
      throw error
    }
  }
}

/** One attempt, of which the observer hears whatever comes of it. @throws what went wrong */
export async function revoke(
  { lease, target, reason, noticedAt, backends }: Ending,
  attempts: number,
  { store, clock, observer }: RevocationOptions,
): Promise<void> {
  const { record } = lease
  const startedAt = clock.elapsed()
  const seconds = (since: number): number => (clock.elapsed() - since) / 1000
  try {
    if (target === undefined) throw unmanaged(record)
    const result = await endLogin(record, target, backends)
    const took = { seconds: seconds(startedAt), sinceNoticed: seconds(noticedAt) }
    // Recorded first: of what has ended in the store nobody would tell any more.
    await observer.revoked(lease, { reason, result, ...took })
    await store.endLease(record.id, result)
  } catch (error) {
    observer.revokeFailed(lease, { reason, seconds: seconds(startedAt), attempts, error })
    throw error
  }
}

function isShared({ lease, target }: Ending): boolean {
  return target?.engineOf(lease.record.engine)?.roles === 'shared'
}

async function endLogin(
  record: LeaseRecord,
  target: TargetCredentials,
  backends: readonly Backend[] | undefined,
): Promise<LeaseEndResult> {
  const engine = target.engineOf(record.engine)
  if (engine === undefined) throw unmanaged(record)
  const role = record.databaseRole
  // What was never told by which it could be ended has ended by itself before anybody comes here.
  if (role === undefined && record.vaultLease === undefined) return 'unconfirmed'
  const shared = engine.roles === 'shared'
  const only = shared ? backends : undefined
  // Of a role that others use as well only known backends may be ended, or looked for.
  const monitor = shared && backends === undefined ? undefined : target.monitor
  if (monitor === undefined || role === undefined) {
    await engine.revoke(record)
    return engine.confirms === true ? 'confirmed' : 'unconfirmed'
  }
  // A monitor that cannot work must not keep the login alive; but then nothing is confirmed.
  const [ended] = await Promise.allSettled([monitor.endBackends(role, only)])
  await engine.revoke(record)
  if (ended.status === 'rejected') throw ended.reason
  await monitor.confirmGone(role, engine.roles, only)
  return 'confirmed'
}

function unmanaged({ target, engine }: LeaseRecord): Failure {
  return new Failure('invalid_configuration', {
    message: `leases of "${engine}" on target "${target}" are not managed by this pgwarden`,
    hint: 'Configure the target as it was until they are revoked.',
  })
}
