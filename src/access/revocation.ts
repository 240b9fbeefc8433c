// Taking a grant back and waiting for the effect: until no session of it is open and no login left, or
// for as long as one may. Used by the command line beside the store and by the control plane. Ignorant
// of how a grant is revoked, and of who ends sessions and logins.

import type { Clock } from '../clock.ts'
import type { LeaseEndResult, LeaseEngine } from './lease.ts'

/** A lease as those see it who wait for its end. */
export interface LeaseStanding {
  readonly id: string
  readonly engine: LeaseEngine
  /** undefined while it was being issued. */
  readonly databaseRole: string | undefined
  /** undefined: it is not known to be gone. */
  readonly ended: LeaseEndResult | undefined
}

/** What the store knows of a grant's effect, on all replicas. */
export interface RevocationProgress {
  /** Logins of the grant that are not known to be gone. */
  openLeases(grantId: string): Promise<readonly { readonly id: string }[]>
  leaseStandings(ids: readonly string[]): Promise<readonly LeaseStanding[]>
  /** Ids of its sessions that are open. */
  openSessions(grantId: string): Promise<readonly string[]>
}

export interface RevocationWait {
  readonly waitMs: number
  readonly clock: Pick<Clock, 'elapsed'>
  readonly pause: (ms: number) => Promise<unknown>
  /** Hears of each look that found something left. */
  readonly onWaiting?: (now: { readonly left: number; readonly tookMs: number }) => void
}

export interface RevocationEffect<T> {
  readonly revoked: T
  /** Nothing is left, and that was looked at after the grant was revoked. */
  readonly complete: boolean
  /** Those that are still open. */
  readonly sessions: readonly string[]
  /** All that were out. */
  readonly logins: readonly LeaseStanding[]
  readonly tookMs: number
}

/** Between two looks. */
const lookEveryMs = 100

/**
 * `revoke` revokes and tells the proxies. Once it has, nothing here throws: the grant is revoked, whatever
 * becomes of the store, and what is not known to be gone counts as open.
 */
export async function revokeAndWait<T>(
  progress: RevocationProgress,
  grantId: string,
  revoke: () => Promise<T>,
  { waitMs, clock, pause, onWaiting }: RevocationWait,
): Promise<RevocationEffect<T>> {
  const startedAt = clock.elapsed()
  // Asked first: what the proxies take back as soon as they are told would pass for never issued.
  const before = await progress.openLeases(grantId)
  const known = new Set(before.map(({ id }) => id))
  let logins = await progress.leaseStandings([...known])
  const revoked = await revoke()
  for (;;) {
    let sessions: readonly string[] = []
    let looked = true
    try {
      // A login that was just being issued may have come between; now the store gives out no other.
      for (const { id } of await progress.openLeases(grantId)) known.add(id)
      logins = await progress.leaseStandings([...known])
      sessions = await progress.openSessions(grantId)
    } catch {
      looked = false
    }
    const left = sessions.length + logins.filter(({ ended }) => ended === undefined).length
    const complete = looked && left === 0
    const tookMs = clock.elapsed() - startedAt
    if (complete || tookMs >= waitMs) return { revoked, complete, sessions, logins, tookMs }
    onWaiting?.({ left, tookMs })
    await pause(lookEveryMs)
  }
}
