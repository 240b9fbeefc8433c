// What keeping leases asks of the rest of the program: a store that outlives this process, and somebody
// who counts, logs and records. Adapters match by structure; composition/ is where they meet.

import type {
  LeaseEndReason,
  LeaseEndResult,
  LeaseEngine,
  LeaseRecord,
  StaleLease,
} from '../access/lease.ts'

/** Implemented by store/. */
export interface LeaseStore {
  /** Whether the lease may be used: not when its grant is not in force any more. */
  insertLease(lease: LeaseRecord): Promise<boolean>
  /** Writes down role, Vault's lease and end. Whether it may be used: still open, and its grant in force. */
  completeLease(lease: LeaseRecord, now: number): Promise<boolean>
  /** Writes down when it ends now. */
  moveLease(id: string, expiresAt: number): Promise<void>
  /** Says that these are held; answers those that nobody else has ended. */
  renewLeases(ids: readonly string[]): Promise<readonly string[]>
  endLease(id: string, result: LeaseEndResult): Promise<void>
  /** Open ones whose grant is over, or of which nobody has said for `silentMs` that they are held. */
  staleLeases(now: number, silentMs: number): Promise<readonly StaleLease[]>
  /** Which of these are ours to try now; of several processes that want one only one gets it. */
  claimLeases(ids: readonly string[]): Promise<readonly string[]>
  /** How many are open of which nobody has said for `silentMs` that they are held. */
  orphanedLeases(silentMs: number): Promise<number>
}

/** Whose lease it is, as the audit tells it. */
export interface LeaseOf {
  readonly record: LeaseRecord
  readonly principal: string
  readonly role: string
}

/**
 * `open`: given to new sessions. `closing`: those that have it may go on for a while. `ending`: it is
 * being revoked, which may take several attempts.
 */
export type LeaseState = 'open' | 'closing' | 'ending'

export interface Revoked {
  readonly reason: LeaseEndReason
  readonly result: LeaseEndResult
  /** Of the last attempt: the backends, the engine, and whoever looks. */
  readonly seconds: number
  /** Since it was known that it had to be ended. */
  readonly sinceNoticed: number
}

export interface RevokeFailed {
  readonly reason: LeaseEndReason
  readonly seconds: number
  /** Those of this process, this one included. */
  readonly attempts: number
  readonly error: unknown
}

/** Hears what becomes of leases. Seconds are how long it took. */
export interface LeaseObserver {
  /** Rejects when that cannot be put on record; then it must not be used. */
  issued(lease: LeaseOf, seconds: number): Promise<void>
  issueFailed(lease: LeaseOf, seconds: number, error: unknown): void
  renewed(lease: LeaseOf, seconds: number): void
  renewFailed(lease: LeaseOf, seconds: number, error: unknown): void
  /** Before the store knows. Rejects when that cannot be put on record; then it is to be told again. */
  revoked(lease: LeaseOf, end: Revoked): Promise<void>
  /** It may be in force still; it will be tried again. */
  revokeFailed(lease: LeaseOf, problem: RevokeFailed): void
  /** What this process holds now. */
  held(counts: ReadonlyMap<LeaseEngine, Readonly<Record<LeaseState, number>>>): void
  /** Open leases whose process is gone. */
  orphaned(count: number): void
  /** A background task failed and will be tried again. */
  problem(error: unknown): void
}
