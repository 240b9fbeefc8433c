// The built-in credential broker: for each grant a database role of its own, shared by the grant's
// sessions and gone with it. Every role is in the store before it exists, so that whatever happens to
// this process, somebody finds it and removes it. Ignorant of sessions and of the SQL behind a role.

import { randomBytes } from 'node:crypto'
import type { Grant, Lease } from '../access/access.ts'
import { randomId } from '../access/id.ts'
import type { LeaseEngine, LeaseRecord } from '../access/lease.ts'
import type { Clock } from '../clock.ts'
import { Failure } from '../errors.ts'
import { Secret } from '../secret.ts'
import { defaultIterations, scramVerifier } from '../wire/scram.ts'
import { Administration, type BrokerTarget } from './administration.ts'
import type { Connect } from './administrative-connection.ts'
import { retried } from './retry.ts'

/** Implemented by store/. */
export interface LeaseStore {
  /** Whether the lease may be used: not when its grant is not in force any more. */
  insertLease(lease: LeaseRecord): Promise<boolean>
  /** Says that these are still held; answers those that nobody else has ended. */
  renewLeases(ids: readonly string[], now: number): Promise<readonly string[]>
  endLease(id: string, now: number): Promise<void>
  openLeases(engine: LeaseEngine, grantId: string): Promise<readonly LeaseRecord[]>
  staleLeases(
    engine: LeaseEngine,
    now: number,
    renewedSince: number,
  ): Promise<readonly LeaseRecord[]>
}

export interface BrokerOptions {
  readonly targets: ReadonlyMap<string, BrokerTarget>
  readonly connect: Connect
  readonly leases: LeaseStore
  readonly clock: Clock
  /** A name of this run of the process; another run must have another. */
  readonly instance: string
  /** For the log: what failed and will be tried again. */
  readonly onProblem: (error: unknown) => void
}

interface Held {
  readonly leaseId: string
  readonly lease: Promise<Lease>
}

const engine: LeaseEngine = 'broker'
const sweepEvery = 60_000
/** Three renewals may fail before another process takes a lease for abandoned. */
const abandonedAfter = 3 * sweepEvery

export class Broker {
  readonly #leases: LeaseStore
  readonly #clock: Clock
  readonly #instance: string
  readonly #onProblem: (error: unknown) => void
  readonly #targets: ReadonlyMap<string, Administration>
  /** By grant: what was issued or is being issued by this process. */
  readonly #held = new Map<string, Held>()
  /** Removals after a failed issue, for which no client is kept waiting. */
  readonly #cleanups = new Set<Promise<void>>()
  #timer: NodeJS.Timeout | undefined
  #sweeping: Promise<void> | undefined
  #stopped: Promise<void> | undefined

  constructor(options: BrokerOptions) {
    this.#leases = options.leases
    this.#clock = options.clock
    this.#instance = options.instance
    this.#onProblem = options.onProblem
    this.#targets = new Map(
      [...options.targets].map(([name, target]) => [
        name,
        new Administration(name, target, options.connect, options.onProblem),
      ]),
    )
  }

  /** Sweeps now, for what a killed process left, and every minute from here on. */
  start(): void {
    this.#timer ??= setInterval(() => void this.sweep(), sweepEvery)
    this.#timer.unref()
    void this.sweep()
  }

  /** Removes what this process holds, as far as it can: a sweep of another one does the rest. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  /**
   * The login of this grant: made at the first call, the same at every other until the grant ends.
   * @throws Failure when the grant is over, or the store or the target cannot serve.
   */
  acquire(grant: Grant): Promise<Lease> {
    const held = this.#held.get(grant.id)
    if (held !== undefined) return held.lease
    const leaseId = randomId()
    const lease = this.#issue(leaseId, grant).catch((error: unknown) => {
      // A failure is for those who wait now; the next one tries afresh.
      this.#forget(grant.id, leaseId)
      throw error
    })
    this.#held.set(grant.id, { leaseId, lease })
    return lease
  }

  /**
   * Ends every login that was issued on the grant, by whatever process, with its sessions. May be
   * repeated. @throws Failure when something could not be removed; the sweep will go on trying.
   */
  async endGrant(grantId: string): Promise<void> {
    // What is being made must be made to its end, or it would appear behind our back.
    await this.#held.get(grantId)?.lease.catch(() => {})
    this.#held.delete(grantId)
    const open = await this.#leases.openLeases(engine, grantId)
    const results = await Promise.allSettled(open.map((lease) => this.#revoke(lease)))
    for (const result of results) if (result.status === 'rejected') throw result.reason
  }

  /** The grants of which this process holds a login. */
  get grants(): Iterable<string> {
    return this.#held.keys()
  }

  /** Renews what is held here; revokes what is over or abandoned. Never rejects. */
  sweep(): Promise<void> {
    this.#sweeping ??= this.#renew()
      .then(() => this.#revokeStale())
      .catch(this.#onProblem)
      .finally(() => {
        this.#sweeping = undefined
      })
    return this.#sweeping
  }

  async #issue(leaseId: string, grant: Grant): Promise<Lease> {
    const target = this.#target(grant.target)
    const record: LeaseRecord = {
      id: leaseId,
      grantId: grant.id,
      target: grant.target,
      engine,
      databaseRole: databaseRole(grant.id),
      instance: this.#instance,
      issuedAt: this.#clock.now(),
    }
    if (!(await this.#leases.insertLease(record))) throw grantOver()
    const password = new Secret(randomBytes(32).toString('base64url'))
    try {
      await target.createRole({
        name: record.databaseRole,
        verifier: await scramVerifier(password.reveal(), randomBytes(16), defaultIterations),
        expiration: grant.endsAt,
        role: grant.role,
      })
      // A revoke in another process may have come between and found no role to remove.
      const open = await this.#leases.renewLeases([record.id], this.#clock.now())
      if (open.length === 0) throw grantOver()
    } catch (error) {
      // Not renewed any more, so the sweep gets it if this does not; an answer to COMMIT that was
      // lost on the way leaves a role behind that only its name in the store tells of.
      const cleanup = this.#revoke(record)
        .catch(this.#onProblem)
        .finally(() => this.#cleanups.delete(cleanup))
      this.#cleanups.add(cleanup)
      throw error
    }
    return { id: record.id, grantId: grant.id, user: record.databaseRole, password }
  }

  async #revoke(lease: LeaseRecord): Promise<void> {
    const target = this.#target(lease.target)
    await retried(() => target.removeRole(lease.databaseRole))
    await this.#leases.endLease(lease.id, this.#clock.now())
  }

  async #renew(): Promise<void> {
    const held = new Map<string, string>()
    for (const [grantId, { lease }] of this.#held) {
      const issued = await lease.catch(() => undefined)
      if (issued !== undefined) held.set(issued.id, grantId)
    }
    if (held.size === 0) return
    const open = new Set(await this.#leases.renewLeases([...held.keys()], this.#clock.now()))
    // Ended by another process (we were away for too long, or the grant is over): its role is gone.
    for (const [leaseId, grantId] of held) if (!open.has(leaseId)) this.#forget(grantId, leaseId)
  }

  /** Targets side by side, one role after the other in each: a dead target does not hold up the rest. */
  async #revokeStale(): Promise<void> {
    const now = this.#clock.now()
    const stale = await this.#leases.staleLeases(engine, now, now - abandonedAfter)
    const byTarget = new Map<string, LeaseRecord[]>()
    for (const lease of stale) {
      this.#forget(lease.grantId, lease.id)
      byTarget.set(lease.target, [...(byTarget.get(lease.target) ?? []), lease])
    }
    await Promise.all([...byTarget.values()].map((leases) => this.#revokeAll(leases)))
  }

  async #revokeAll(leases: readonly LeaseRecord[]): Promise<void> {
    for (const lease of leases) {
      try {
        await this.#revoke(lease)
      } catch (error) {
        this.#onProblem(error)
        // The others would only wait for the same connection.
        if (error instanceof Failure && error.code === 'upstream_unreachable') return
      }
    }
  }

  async #stop(): Promise<void> {
    clearInterval(this.#timer)
    this.#timer = undefined
    await this.#sweeping
    await Promise.all([...this.#held].map(([grantId, held]) => this.#letGo(grantId, held)))
    await Promise.all(this.#cleanups)
    await Promise.all([...this.#targets.values()].map((target) => target.close()))
  }

  async #letGo(grantId: string, { leaseId, lease }: Held): Promise<void> {
    const issued = await lease.catch(() => undefined)
    this.#forget(grantId, leaseId)
    if (issued === undefined) return
    try {
      const open = await this.#leases.openLeases(engine, grantId)
      // Another process may hold one of its own on the same grant.
      const ours = open.find(({ id }) => id === leaseId)
      if (ours !== undefined) await this.#revoke(ours)
    } catch (error) {
      this.#onProblem(error)
    }
  }

  /** Unless another lease has taken its place since. */
  #forget(grantId: string, leaseId: string): void {
    if (this.#held.get(grantId)?.leaseId === leaseId) this.#held.delete(grantId)
  }

  #target(name: string): Administration {
    const target = this.#targets.get(name)
    if (target !== undefined) return target
    throw new Failure('invalid_configuration', {
      message: `target "${name}" is not managed by this pgwarden`,
    })
  }
}

/** Readable in pg_stat_activity, unique, and within PostgreSQL's 63 bytes whatever the grant's id. */
export function databaseRole(grantId: string): string {
  const grant = grantId.toLowerCase().replace(/[^a-z0-9]/g, '')
  return `pgw_${grant.slice(0, 24)}_${randomId(12)}`
}

function grantOver(): Failure {
  return new Failure('invalid_authorization', {
    message: 'the grant is not in force any more',
    hint: 'Ask for access again.',
  })
}
