// Everything around the keeper of leases, by hand: an engine that does what it is told, a store in memory
// that several processes can share, a monitor, a clock whose two hands move apart, and an observer that
// writes down what it hears.

import type { Grant } from '../../src/access/access.ts'
import { randomId } from '../../src/access/id.ts'
import type { LeaseEndResult, LeaseRecord, StaleLease } from '../../src/access/lease.ts'
import type { Clock } from '../../src/clock.ts'
import {
  type Backend,
  type Engine,
  type Issued,
  type Monitor,
  noSuchRole,
  type TargetCredentials,
} from '../../src/credentials/engine.ts'
import { Leases } from '../../src/credentials/leases.ts'
import type { LeaseObserver, LeaseStore } from '../../src/credentials/ports.ts'
import { Failure } from '../../src/errors.ts'
import { Secret } from '../../src/secret.ts'

const nothing = (): void => undefined
const told = async (): Promise<void> => undefined

export const silentObserver: LeaseObserver = {
  issued: told,
  issueFailed: nothing,
  renewed: nothing,
  renewFailed: nothing,
  revoked: told,
  revokeFailed: nothing,
  held: nothing,
  orphaned: nothing,
  problem: nothing,
}

/** Moves both hands, or only the one on the wall. */
class TwoHands implements Clock {
  wall = Date.UTC(2030, 0, 1)
  elapsedMs = 1_000_000

  now(): number {
    return this.wall
  }

  elapsed(): number {
    return this.elapsedMs
  }

  pass(ms: number): void {
    this.wall += ms
    this.elapsedMs += ms
  }
}

interface Row {
  record: LeaseRecord
  renewedAt: number
  triedAt: number | undefined
  endedAs: LeaseEndResult | undefined
}

/** Its time is the rig's, whatever the processes' clocks show. */
class MemoryStore implements LeaseStore {
  readonly rows = new Map<string, Row>()
  readonly grants = new Map<string, Grant>()
  away = false
  readonly #clock: TwoHands

  constructor(clock: TwoHands) {
    this.#clock = clock
  }

  get open(): readonly LeaseRecord[] {
    return [...this.rows.values()].flatMap(({ record, endedAs }) => (endedAs ? [] : [record]))
  }

  revoke({ id }: Grant): void {
    const grant = this.grants.get(id)
    if (grant !== undefined) this.grants.set(id, { ...grant, revokedAt: this.#clock.wall })
  }

  async insertLease(record: LeaseRecord): Promise<boolean> {
    await this.#answer()
    if (this.#over(record, record.issuedAt)) return false
    const renewedAt = this.#clock.elapsedMs
    this.rows.set(record.id, { record, renewedAt, triedAt: undefined, endedAs: undefined })
    return true
  }

  async completeLease(record: LeaseRecord, now: number): Promise<boolean> {
    await this.#answer()
    const row = this.rows.get(record.id)
    if (row === undefined) return false
    const open = row.endedAs === undefined
    this.rows.set(record.id, { ...row, record, endedAs: undefined })
    return open && !this.#over(record, now)
  }

  async moveLease(id: string, expiresAt: number): Promise<void> {
    await this.#answer()
    const row = this.rows.get(id)
    if (row !== undefined) row.record = { ...row.record, expiresAt }
  }

  async renewLeases(ids: readonly string[]): Promise<string[]> {
    await this.#answer()
    return ids.filter((id) => {
      const row = this.rows.get(id)
      if (row === undefined || row.endedAs !== undefined) return false
      row.renewedAt = this.#clock.elapsedMs
      return true
    })
  }

  async endLease(id: string, result: LeaseEndResult): Promise<void> {
    await this.#answer()
    const row = this.rows.get(id)
    if (row !== undefined) row.endedAs ??= result
  }

  async staleLeases(now: number, silentMs: number): Promise<StaleLease[]> {
    await this.#answer()
    return [...this.rows.values()].flatMap((row): StaleLease[] => {
      const { record, renewedAt, endedAs } = row
      const over = this.#over(record, now)
      const silent = renewedAt < this.#clock.elapsedMs - silentMs
      const { databaseRole, vaultLease, expiresAt = 0 } = record
      const unnamed = databaseRole === undefined && vaultLease === undefined && expiresAt > now
      if (endedAs !== undefined || unnamed || !(over || silent) || this.#triedLately(row)) return []
      const { principal = '', role = '' } = this.grants.get(record.grantId) ?? {}
      return [{ record, principal, role, reason: over ? 'grant_over' : 'abandoned' }]
    })
  }

  async claimLeases(ids: readonly string[]): Promise<string[]> {
    await this.#answer()
    return ids.filter((id) => {
      const row = this.rows.get(id)
      if (row === undefined || this.#triedLately(row)) return false
      row.triedAt = this.#clock.elapsedMs
      return true
    })
  }

  async orphanedLeases(silentMs: number): Promise<number> {
    await this.#answer()
    const since = this.#clock.elapsedMs - silentMs
    return [...this.rows.values()].filter(
      ({ renewedAt, endedAs }) => endedAs === undefined && renewedAt < since,
    ).length
  }

  #triedLately({ triedAt }: Row): boolean {
    return triedAt !== undefined && triedAt > this.#clock.elapsedMs - 5_000
  }

  #over({ grantId }: LeaseRecord, now: number): boolean {
    const grant = this.grants.get(grantId)
    return grant === undefined || grant.revokedAt !== undefined || now >= grant.endsAt
  }

  /** Like a real one, never in the same turn. */
  async #answer(): Promise<void> {
    await Promise.resolve()
    if (this.away) throw new Failure('cannot_connect_now', { message: 'the store is away' })
  }
}

/** Logins that exist are in `alive`, by the name of their role. */
class ScriptedEngine implements Engine {
  readonly kind = 'vault-dynamic'
  roles: 'own' | 'shared' = 'own'
  lifeMs: number | undefined = 60_000
  renewable = true
  limit: { endsAt: number | undefined } | undefined
  /** No renewal gets past this time on the wall. */
  maxEndsAt = Number.POSITIVE_INFINITY
  readonly alive = new Set<string>()
  readonly asked: string[] = []
  issuing: () => Promise<void> = () => Promise.resolve()
  renewing: () => Promise<void> = () => Promise.resolve()
  revoking: () => Promise<void> = () => Promise.resolve()
  readonly #clock: Clock
  #count = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  nameFor(): undefined {
    return undefined
  }

  boundFor(): number {
    return this.#clock.now() + 3_600_000
  }

  async issue(): Promise<Issued> {
    const user = `login_${++this.#count}`
    this.asked.push(`issue ${user}`)
    await this.issuing()
    this.alive.add(user)
    const { lifeMs, renewable, limit } = this
    const password = new Secret(`password of ${user}`)
    return { user, password, vaultLease: `creds/${user}`, lifeMs, renewable, limit }
  }

  async renew({ databaseRole }: LeaseRecord, until: number): Promise<number> {
    this.asked.push(`renew ${databaseRole} for ${Math.floor((until - this.#clock.now()) / 1000)} s`)
    await this.renewing()
    return Math.min(until, this.maxEndsAt)
  }

  async revoke({ databaseRole }: LeaseRecord): Promise<void> {
    this.asked.push(`revoke ${databaseRole}`)
    await this.revoking()
    this.alive.delete(databaseRole ?? '')
  }

  /** What was asked of one kind since the last time. */
  heard(kind: string): string[] {
    return this.asked.splice(0).filter((each) => each.startsWith(kind))
  }
}

class ScriptedMonitor implements Monitor {
  readonly asked: string[] = []
  failing: Failure | undefined
  readonly #log: string[]

  /** `log` is shared with an engine, for the order. */
  constructor(log: string[]) {
    this.#log = log
  }

  endBackends(role: string, only?: readonly Backend[]): Promise<void> {
    return this.#hear(`end ${role} ${said(only)}`)
  }

  confirmGone(role: string, roles: string, only?: readonly Backend[]): Promise<void> {
    return this.#hear(`confirm ${roles} ${role} ${said(only)}`)
  }

  #hear(what: string): Promise<void> {
    this.#log.push(what)
    return this.failing === undefined ? Promise.resolve() : Promise.reject(this.failing)
  }
}

function said(only: readonly Backend[] | undefined): string {
  return only === undefined
    ? 'all'
    : only.map(({ processId, openedMsAgo }) => `${processId}@-${openedMsAgo}`).join()
}

/** One store, one engine, one target, and as many processes as are asked for. */
export class LeaseRig {
  readonly clock = new TwoHands()
  readonly store = new MemoryStore(this.clock)
  readonly engine = new ScriptedEngine(this.clock)
  readonly monitor = new ScriptedMonitor(this.engine.asked)
  /** What observers heard, as `revoked grant_over confirmed`. */
  readonly heard: string[] = []
  readonly problems: unknown[] = []
  monitored = true
  share: 'grant' | 'session' = 'grant'
  unusedTimeoutMs: number | undefined
  orphans = 0
  /** Nothing can be put on record. */
  unrecorded = false

  /** By name, whose credentials were asked to look for what a login has left. */
  readonly endedBy: string[] = []
  readonly #targets = new Map<string, TargetCredentials>()

  /** What the target is configured as now. */
  target(): TargetCredentials {
    const target = this.#targets.get('shop')
    if (target === undefined) throw new Error('there is no target now')
    return target
  }

  /** For the processes that are there: they are to be told. */
  reconfigure(as: 'same place' | 'another place' | 'nowhere'): void {
    const servers = as === 'same place' ? ['127.0.0.1:5432', '127.0.0.1:5433'] : ['127.0.0.1:5433']
    if (as === 'nowhere') this.#targets.delete('shop')
    else this.#targets.set('shop', this.#configured('second', servers))
  }

  #configured(name: string, servers: readonly string[]): TargetCredentials {
    const { engine, monitor, monitored, share, unusedTimeoutMs, endedBy } = this
    return {
      place: { database: 'shop', servers },
      engineFor: (role) => {
        if (role === 'admin') throw noSuchRole('shop', role)
        return engine
      },
      engineOf: (kind) => (kind === engine.kind ? engine : undefined),
      get monitor() {
        endedBy.push(name)
        return monitored ? monitor : undefined
      },
      share,
      unusedTimeoutMs,
    }
  }

  /** `knowing`: it has the target in its configuration. */
  process(knowing = true): Leases {
    if (knowing) this.#targets.set('shop', this.#configured('first', ['127.0.0.1:5432']))
    return new Leases({
      targets: knowing ? this.#targets : new Map(),
      store: this.store,
      clock: this.clock,
      instance: randomId(),
      observer: {
        ...silentObserver,
        issued: () => this.#record('issued'),
        issueFailed: () => this.heard.push('issue failed'),
        renewed: () => this.heard.push('renewed'),
        renewFailed: () => this.heard.push('renew failed'),
        revoked: (_, { reason, result, sinceNoticed }) =>
          this.#record(`revoked ${reason} ${result} ${sinceNoticed}`),
        revokeFailed: (_, { reason, attempts }) =>
          this.heard.push(`revoke failed ${reason} ${attempts}`),
        orphaned: (count) => {
          this.orphans = count
        },
        problem: (error) => this.problems.push(error),
      },
    })
  }

  async #record(what: string): Promise<void> {
    if (this.unrecorded) throw new Failure('journal_unavailable', { message: 'disk full' })
    this.heard.push(what)
  }

  grant(forMs = 3_600_000, role = 'read_only'): Grant {
    const startsAt = this.clock.wall
    const grant: Grant = {
      id: randomId(),
      principal: 'alice',
      target: 'shop',
      role,
      startsAt,
      endsAt: startsAt + forMs,
      revokedAt: undefined,
      reason: 'test',
      requestId: undefined,
      relations: undefined,
      claims: {},
    }
    this.store.grants.set(grant.id, grant)
    return grant
  }

  /** Lets time pass in steps of half a second, with a look at each. */
  async pass(leases: Leases, ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 500) {
      this.clock.pass(500)
      leases.look()
      await settled()
    }
  }

  /** The same with a beat every five seconds, of all these processes. */
  async beat(processes: readonly Leases[], seconds: number): Promise<void> {
    for (let passed = 0; passed < seconds; passed += 5) {
      this.clock.pass(5_000)
      for (const each of processes) {
        each.look()
        await each.sweep()
      }
    }
  }
}

/** Everything that waits for no timer has happened. */
export function settled(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}
