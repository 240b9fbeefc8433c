// One lease from the record in the store to a login that may be used, or to nothing that anybody would have
// to look for later. Ignorant of who shares it and of when it ends.

import type { Grant, Lease } from '../access/access.ts'
import type { LeaseRecord } from '../access/lease.ts'
import type { Clock } from '../clock.ts'
import { Failure } from '../errors.ts'
import { type Engine, type Issued, NotIssued, type TargetCredentials } from './engine.ts'
import { Lifetime } from './lifetime.ts'
import type { LeaseObserver, LeaseOf, LeaseStore } from './ports.ts'
import type { Revocations } from './revocation.ts'

export interface IssueOptions {
  /** That the engine is one of. */
  readonly target: TargetCredentials
  readonly store: Pick<LeaseStore, 'insertLease' | 'completeLease' | 'endLease'>
  readonly clock: Clock
  readonly instance: string
  readonly observer: LeaseObserver
  /** For what was issued and cannot be used. */
  readonly revocations: Pick<Revocations, 'begin'>
}

interface Made {
  readonly record: LeaseRecord
  readonly lease: Lease
  readonly grant: Grant
  readonly target: TargetCredentials
  readonly engine: Engine
  readonly lifetime: Lifetime
}

/** @throws Failure when the grant is over, or what the store and the engine throw. */
export async function issue(
  id: string,
  grant: Grant,
  engine: Engine,
  options: IssueOptions,
): Promise<Made> {
  const { store, clock, instance, observer } = options
  const { principal, role } = grant
  const asked: LeaseRecord = {
    id,
    grantId: grant.id,
    target: grant.target,
    engine: engine.kind,
    instance,
    issuedAt: clock.now(),
    databaseRole: engine.nameFor(grant),
    vaultLease: undefined,
    expiresAt: engine.boundFor(grant),
  }
  if (!(await store.insertLease(asked))) throw grantOver()
  const seconds = stopwatch(clock)
  let of: LeaseOf = { record: asked, principal, role }
  try {
    const issued = await engine.issue(asked, grant)
    const lifetime = new Lifetime(issued, engine.roles, grant.endsAt, clock)
    const record = completed(asked, issued, lifetime)
    of = { record, principal, role }
    // A revoke may have come between, and found nothing to revoke.
    if (!(await store.completeLease(record, clock.now()))) throw grantOver()
    await observer.issued(of, seconds())
    const { user, password, vaultLease } = issued
    const lease = { id, grantId: grant.id, user, password, vaultLease }
    return { record, lease, grant, target: options.target, engine, lifetime }
  } catch (error) {
    const failure = error instanceof NotIssued ? error.failure : error
    observer.issueFailed(of, seconds(), failure)
    clean(of, engine, error, options)
    throw failure
  }
}

/** For what did not become a lease no client is kept waiting. */
function clean(
  lease: LeaseOf,
  engine: Engine,
  error: unknown,
  { target, store, clock, observer, revocations }: IssueOptions,
): void {
  const { id, databaseRole, vaultLease } = lease.record
  const unnamed = databaseRole === undefined && vaultLease === undefined
  if (error instanceof NotIssued || (unnamed && engine.roles === 'shared')) {
    store.endLease(id, 'confirmed').catch(observer.problem)
    return
  }
  // There may be a login of which nobody knows the name. It ends by itself; until then its record is open.
  if (unnamed) return
  const noticedAt = clock.elapsed()
  const ending = { lease, target, reason: 'failed', noticedAt, backends: [] } as const
  revocations.begin(ending).catch(() => undefined)
}

function completed(asked: LeaseRecord, issued: Issued, lifetime: Lifetime): LeaseRecord {
  const { user, vaultLease } = issued
  return { ...asked, databaseRole: user, vaultLease, expiresAt: lifetime.expiresAt }
}

/** The seconds since it was made. */
export function stopwatch(clock: Clock): () => number {
  const startedAt = clock.elapsed()
  return () => (clock.elapsed() - startedAt) / 1000
}

export function grantOver(): Failure {
  return new Failure('invalid_authorization', {
    message: 'the grant is not in force any more',
    hint: 'Ask for access again.',
  })
}
