// Leases in the store: written before use, renewed while held, ended only when the database role is
// gone. Ignorant of how a role is made or dropped.

import type { LeaseEngine, LeaseRecord } from '../access/lease.ts'
import type { Database } from './database.ts'

/**
 * Whether the lease may be used: not when its grant is not in force any more. The lock on the grant
 * makes a simultaneous revoke wait until this lease is there to be seen, or the other way round.
 */
export async function insertLease(database: Database, lease: LeaseRecord): Promise<boolean> {
  const inserted = await database.run(
    `insert into pgwarden.leases
       (id, grant_id, target, engine, database_role, instance, issued_at, renewed_at)
     select $1, g.id, $3, $4, $5, $6, $7, $7
       from pgwarden.grants g
      where g.id = $2 and g.revoked_at is null and g.starts_at <= $7 and $7 < g.ends_at
        for share`,
    [
      lease.id,
      lease.grantId,
      lease.target,
      lease.engine,
      lease.databaseRole,
      lease.instance,
      new Date(lease.issuedAt),
    ],
  )
  return inserted > 0
}

/** Says that these are still held. Answers those that were not ended by somebody else. */
export async function renewLeases(
  database: Database,
  ids: readonly string[],
  now: number,
): Promise<string[]> {
  const rows = await database.rows<{ id: string }>(
    `update pgwarden.leases set renewed_at = $2
      where id = any($1) and ended_at is null
      returning id`,
    [ids, new Date(now)],
  )
  return rows.map(({ id }) => id)
}

/** The database role is known to be gone. */
export async function endLease(database: Database, id: string, now: number): Promise<void> {
  await database.run(
    'update pgwarden.leases set ended_at = $2 where id = $1 and ended_at is null',
    [id, new Date(now)],
  )
}

interface LeaseRow {
  readonly id: string
  readonly grant_id: string
  readonly target: string
  readonly engine: LeaseEngine
  readonly database_role: string
  readonly instance: string
  readonly issued_at: Date
}

const columns = 'l.id, l.grant_id, l.target, l.engine, l.database_role, l.instance, l.issued_at'

/** Everything that was issued on one grant, by any process, and is not known to be gone. */
export async function openLeases(
  database: Database,
  engine: LeaseEngine,
  grantId: string,
): Promise<LeaseRecord[]> {
  const rows = await database.rows<LeaseRow>(
    `select ${columns} from pgwarden.leases l
      where l.engine = $1 and l.grant_id = $2 and l.ended_at is null`,
    [engine, grantId],
  )
  return rows.map(leaseOf)
}

/** Open leases whose grant is over, or whose holder has not renewed them since `renewedSince`. */
export async function staleLeases(
  database: Database,
  engine: LeaseEngine,
  now: number,
  renewedSince: number,
): Promise<LeaseRecord[]> {
  const rows = await database.rows<LeaseRow>(
    `select ${columns} from pgwarden.leases l join pgwarden.grants g on g.id = l.grant_id
      where l.engine = $1 and l.ended_at is null
        and (l.renewed_at < $3 or g.revoked_at is not null or g.ends_at <= $2)
      order by l.issued_at
      limit 1000`,
    [engine, new Date(now), new Date(renewedSince)],
  )
  return rows.map(leaseOf)
}

function leaseOf(row: LeaseRow): LeaseRecord {
  return {
    id: row.id,
    grantId: row.grant_id,
    target: row.target,
    engine: row.engine,
    databaseRole: row.database_role,
    instance: row.instance,
    issuedAt: row.issued_at.getTime(),
  }
}
