// Leases in the store: written before use, renewed while held, ended only when the login is gone. Who is
// silent for how long is told by the store's own clock: those of the processes may differ. Ignorant of
// how a login is made or ended.

import type { LeaseEndResult, LeaseEngine, LeaseRecord, StaleLease } from '../access/lease.ts'
import type { Database } from './database.ts'

/**
 * Whether the lease may be used: not when its grant is not in force any more. The lock on the grant
 * makes a simultaneous revoke wait until this lease is there to be seen, or the other way round.
 */
export async function insertLease(database: Database, lease: LeaseRecord): Promise<boolean> {
  const inserted = await database.run(
    `insert into pgwarden.leases
       (id, grant_id, target, engine, database_role, vault_lease, expires_at, instance, issued_at,
        renewed_at)
     select $1, g.id, $3, $4, $5, $6, $7, $8, $9, now()
       from pgwarden.grants g
      where g.id = $2 and g.revoked_at is null and g.starts_at <= $9 and $9 < g.ends_at
        for share`,
    [
      lease.id,
      lease.grantId,
      lease.target,
      lease.engine,
      lease.databaseRole,
      lease.vaultLease,
      dateOf(lease.expiresAt),
      lease.instance,
      new Date(lease.issuedAt),
    ],
  )
  return inserted > 0
}

/**
 * Writes down what the engine has said. Whether the lease may be used: it is still open and its grant
 * in force. It is written, and the lease open again, in either case: there is a login now that must be
 * ended by somebody, whoever believed that there would be none.
 */
export async function completeLease(
  database: Database,
  { id, databaseRole, vaultLease, expiresAt }: LeaseRecord,
  now: number,
): Promise<boolean> {
  const rows = await database.rows<{ usable: boolean }>(
    `with found as (select id, ended_at from pgwarden.leases where id = $1 for update)
     update pgwarden.leases l
        set database_role = $2, vault_lease = $3, expires_at = $4, renewed_at = now(),
            ended_at = null, revocation = null
       from found
      where l.id = found.id
      returning found.ended_at is null and exists (
        select from pgwarden.grants g
         where g.id = l.grant_id and g.revoked_at is null and $5 < g.ends_at) as usable`,
    [id, databaseRole, vaultLease, dateOf(expiresAt), new Date(now)],
  )
  return rows[0]?.usable === true
}

/** It was renewed. */
export async function moveLease(database: Database, id: string, expiresAt: number): Promise<void> {
  await database.run(
    'update pgwarden.leases set expires_at = $2 where id = $1 and ended_at is null',
    [id, new Date(expiresAt)],
  )
}

/** Says that these are still held. Answers those that were not ended by somebody else. */
export async function renewLeases(database: Database, ids: readonly string[]): Promise<string[]> {
  const rows = await database.rows<{ id: string }>(
    `update pgwarden.leases set renewed_at = now()
      where id = any($1) and ended_at is null
      returning id`,
    [ids],
  )
  return rows.map(({ id }) => id)
}

export async function endLease(
  database: Database,
  id: string,
  result: LeaseEndResult,
): Promise<void> {
  await database.run(
    `update pgwarden.leases set ended_at = now(), revocation = $2
      where id = $1 and ended_at is null`,
    [id, result],
  )
}

interface LeaseRow {
  readonly id: string
  readonly grant_id: string
  readonly target: string
  readonly engine: LeaseEngine
  readonly database_role: string | null
  readonly vault_lease: string | null
  readonly expires_at: Date | null
  readonly instance: string
  readonly issued_at: Date
}

const columns = `l.id, l.grant_id, l.target, l.engine, l.database_role, l.vault_lease, l.expires_at,
  l.instance, l.issued_at`

/** Everything that was issued on one grant, by any process, and is not known to be gone. */
export async function openLeases(database: Database, grantId: string): Promise<LeaseRecord[]> {
  const rows = await database.rows<LeaseRow>(
    `select ${columns} from pgwarden.leases l where l.grant_id = $1 and l.ended_at is null`,
    [grantId],
  )
  return rows.map(leaseOf)
}

/** After a try that failed: five seconds, ten, twenty, and so on up to ten minutes. */
const mayBeTried = `(l.tried_at is null
  or l.tried_at < now() - least(interval '5 s' * 2 ^ least(l.tries - 1, 10), interval '10 min'))`

interface StaleRow extends LeaseRow {
  readonly principal: string
  readonly role: string
  readonly over: boolean
}

/**
 * Open leases whose grant is over, or of which nobody has said for `silentMs` that they are held. Not
 * those that were tried a moment ago; nor those of which nothing is known by which they could be ended,
 * before they have ended by themselves.
 */
export async function staleLeases(
  database: Database,
  now: number,
  silentMs: number,
): Promise<StaleLease[]> {
  const rows = await database.rows<StaleRow>(
    `select ${columns}, g.principal, g.role, g.revoked_at is not null or g.ends_at <= $1 as over
       from pgwarden.leases l join pgwarden.grants g on g.id = l.grant_id
      where l.ended_at is null
        and (l.renewed_at < now() - $2 * interval '1 ms' or g.revoked_at is not null or g.ends_at <= $1)
        and ${mayBeTried}
        and not (l.database_role is null and l.vault_lease is null
                 and coalesce(l.expires_at > $1, false))
      order by l.tried_at nulls first, l.issued_at
      limit 1000`,
    [new Date(now), silentMs],
  )
  return rows.map((row) => ({
    record: leaseOf(row),
    principal: row.principal,
    role: row.role,
    reason: row.over ? 'grant_over' : 'abandoned',
  }))
}

/** Which of these are ours to try now: of several processes that want one, only one gets it. */
export async function claimLeases(database: Database, ids: readonly string[]): Promise<string[]> {
  const rows = await database.rows<{ id: string }>(
    `update pgwarden.leases l set tried_at = now(), tries = l.tries + 1
      where l.id = any($1) and l.ended_at is null and ${mayBeTried}
      returning l.id`,
    [ids],
  )
  return rows.map(({ id }) => id)
}

/** Open leases of which nobody says any more that they are held. */
export async function orphanedLeases(database: Database, silentMs: number): Promise<number> {
  const rows = await database.rows<{ count: string }>(
    `select count(*) from pgwarden.leases
      where ended_at is null and renewed_at < now() - $1 * interval '1 ms'`,
    [silentMs],
  )
  return Number(rows[0]?.count ?? 0)
}

function leaseOf(row: LeaseRow): LeaseRecord {
  return {
    id: row.id,
    grantId: row.grant_id,
    target: row.target,
    engine: row.engine,
    instance: row.instance,
    issuedAt: row.issued_at.getTime(),
    databaseRole: row.database_role ?? undefined,
    vaultLease: row.vault_lease ?? undefined,
    expiresAt: row.expires_at?.getTime(),
  }
}

function dateOf(time: number | undefined): Date | undefined {
  return time === undefined ? undefined : new Date(time)
}
