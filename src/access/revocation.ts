// Waiting for the effect of a revoke: until no session of the grant is open and no login left, or for as
// long as one may. Used by the command line beside the store and by the control plane. Ignorant of how a
// grant is revoked, and of who ends sessions and logins.

import type { Clock } from '../clock.ts'
import type { LeaseStanding } from './lease.ts'

/** What is left of a revoked grant, on all replicas. */
interface Remains {
  /** Those that are open. */
  readonly sessions: readonly { readonly id: string }[]
  /** Those that were out when it was revoked, and what became of them. */
  readonly logins: readonly LeaseStanding[]
}

export interface RevocationProgress {
  of(grantId: string): Promise<Remains>
}

export interface RevocationWait {
  readonly waitMs: number
  readonly clock: Pick<Clock, 'elapsed'>
  readonly sleep: (ms: number) => Promise<unknown>
  /** Hears of each look that found something left. */
  readonly onWaiting?: (now: { readonly left: number; readonly tookMs: number }) => void
}

export interface RevocationEffect extends Remains {
  /** Nothing is left. */
  readonly complete: boolean
  readonly tookMs: number
}

/** Between two looks. */
const lookEveryMs = 100

/**
 * To be called when the grant is revoked and the proxies are told: the store gives out no other login then.
 * @throws what the first look throws; when a later one fails, the one before it holds.
 */
export async function waitUntilGone(
  progress: RevocationProgress,
  grantId: string,
  { waitMs, clock, sleep, onWaiting }: RevocationWait,
): Promise<RevocationEffect> {
  const startedAt = clock.elapsed()
  let remains = await progress.of(grantId)
  for (;;) {
    const open = remains.logins.filter(({ ended }) => ended === undefined)
    const left = remains.sessions.length + open.length
    const tookMs = clock.elapsed() - startedAt
    if (left === 0 || tookMs >= waitMs) return { ...remains, complete: left === 0, tookMs }
    onWaiting?.({ left, tookMs })
    await sleep(lookEveryMs)
    remains = await progress.of(grantId).catch(() => remains)
  }
}
