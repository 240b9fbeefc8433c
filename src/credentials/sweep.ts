// Looks after leases across processes: says of our own that they are held, and ends those whose holder is
// gone or has let their grant pass. A process is taken for dead only when the store heard nothing of it
// for a time in which it heard us all along. Ignorant of what this process does with its own.

import type { LeaseRecord, StaleLease } from '../access/lease.ts'
import { Failure } from '../errors.ts'
import type { LeaseStore } from './ports.ts'
import { type RevocationOptions, revoke, type Targets } from './revocation.ts'

export interface SweepOptions extends RevocationOptions {
  readonly targets: Targets
  readonly store: LeaseStore
  readonly instance: string
  /** Of the leases that this process holds. */
  readonly held: () => readonly string[]
  /** These were ended by somebody else. */
  readonly onLost: (ids: readonly string[]) => void
  /** These are ours, and their grants are over. */
  readonly onGrantsOver: (ids: readonly string[]) => void
}

const beatEveryMs = 5_000
/**
 * Before a process is taken for dead: longer than it needs to notice that a connection to the store
 * leads nowhere since a failover, and to make another. Its sessions would pay for our haste.
 */
const silentMs = 60_000
/** For the holder of a lease whose grant is over: it has clients to tell. */
const holderFirstMs = 10_000
/** For those who have the target in their configuration: whoever has not could only fail before them. */
const knowingFirstMs = 60_000

export class Sweep {
  readonly #options: SweepOptions
  /** By Clock.elapsed(). Since when the store has heard us without a gap, and when last. */
  #steadySince: number | undefined
  #heardAt = 0
  /** Leases of others that must end, and since when that is known here without a gap. */
  #noticed = new Map<string, number>()
  #timer: NodeJS.Timeout | undefined
  #beating: Promise<void> | undefined
  #revoking: Promise<void> | undefined
  #stopped = false

  constructor(options: SweepOptions) {
    this.#options = options
  }

  start(): void {
    this.#timer ??= setInterval(() => void this.beat(), beatEveryMs)
    this.#timer.unref()
    void this.beat()
  }

  /** Waits for what is under way, and begins nothing any more. Until then our leases count as held. */
  async stop(): Promise<void> {
    this.#stopped = true
    clearInterval(this.#timer)
    await this.#beating
    await this.#revoking
  }

  /** Says what is held, and begins to end what is stale. Never rejects. */
  beat(): Promise<void> {
    this.#beating ??= this.#beat()
      .catch((error: unknown) => {
        this.#steadySince = undefined
        this.#options.observer.problem(error)
      })
      .finally(() => {
        this.#beating = undefined
      })
    return this.#beating
  }

  /** Resolves when nothing is being ended: a target that is away does not delay the next beat. */
  async settled(): Promise<void> {
    await this.#revoking
  }

  async #beat(): Promise<void> {
    const { store, clock, observer } = this.#options
    await this.#sayHeld()
    const stale = await store.staleLeases(clock.now(), silentMs)
    observer.orphaned(await store.orphanedLeases(silentMs))
    const ours = stale.filter(({ record }) => record.instance === this.#options.instance)
    this.#options.onGrantsOver(
      ours.filter(({ reason }) => reason === 'grant_over').map(({ record }) => record.id),
    )
    const ripe = this.#ripe(stale)
    if (this.#stopped || this.#revoking !== undefined || ripe.length === 0) return
    this.#revoking = this.#revokeStale(ripe)
      .catch((error: unknown) => observer.problem(error))
      .finally(() => {
        this.#revoking = undefined
      })
  }

  async #sayHeld(): Promise<void> {
    const { store, clock, held, onLost } = this.#options
    const ids = held()
    const open = new Set(await store.renewLeases(ids))
    const now = clock.elapsed()
    // A gap: the store was away, or this process stood still. The others may have had the same.
    if (this.#steadySince === undefined || now - this.#heardAt > 2 * beatEveryMs) {
      this.#steadySince = now
      this.#noticed.clear()
    }
    this.#heardAt = now
    onLost(ids.filter((id) => !open.has(id)))
  }

  /** Those that have been left long enough to whoever holds them. */
  #ripe(stale: readonly StaleLease[]): readonly StaleLease[] {
    const { clock, held } = this.#options
    const now = clock.elapsed()
    const own = new Set(held())
    const steady = this.#steadySince !== undefined && now - this.#steadySince >= silentMs
    const noticed = new Map<string, number>()
    const ripe = stale.filter(({ record, reason }) => {
      const { id } = record
      if (own.has(id)) return false
      const since = this.#noticed.get(id) ?? now
      noticed.set(id, since)
      const othersFirstMs = reason === 'abandoned' ? 0 : holderFirstMs
      const firstMs = this.#knows(record) ? othersFirstMs : knowingFirstMs
      return (steady || reason !== 'abandoned') && now - since >= firstMs
    })
    this.#noticed = noticed
    return ripe
  }

  #knows({ target, engine }: LeaseRecord): boolean {
    return this.#options.targets.get(target)?.engineOf(engine) !== undefined
  }

  /** Targets side by side, one lease after the other in each: a dead target does not hold up the rest. */
  async #revokeStale(ripe: readonly StaleLease[]): Promise<void> {
    const ours = new Set(await this.#options.store.claimLeases(ripe.map(({ record }) => record.id)))
    const byTarget = new Map<string, StaleLease[]>()
    for (const lease of ripe) {
      const { id, target }: LeaseRecord = lease.record
      if (ours.has(id)) byTarget.set(target, [...(byTarget.get(target) ?? []), lease])
    }
    await Promise.all([...byTarget.values()].map((leases) => this.#revokeAll(leases)))
  }

  async #revokeAll(leases: readonly StaleLease[]): Promise<void> {
    const { clock } = this.#options
    for (const lease of leases) {
      if (this.#stopped) return
      const noticedAt = this.#noticed.get(lease.record.id) ?? clock.elapsed()
      const target = this.#options.targets.get(lease.record.target)
      const ending = { lease, target, reason: lease.reason, noticedAt, backends: undefined }
      try {
        await revoke(ending, 1, this.#options)
      } catch (error) {
        // The others would only wait for the same connection. The observer has heard why.
        if (error instanceof Failure && error.code === 'upstream_unreachable') return
      }
    }
  }
}
