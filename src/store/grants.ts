// Grants in the store: made, found, listed with what is still open of them. Ignorant of who may have one, and of
// what a revoke ends.

import type { Claims, Grant, RelationRules } from '../access/access.ts'
import type { LeaseEndResult, LeaseEngine, LeaseStanding } from '../access/lease.ts'
import type { Statements } from './database.ts'

export interface ListedGrant extends Grant {
  /** How many logins issued on it are not known to be gone. */
  readonly openLeases: number
}

export interface GrantState {
  readonly id: string
  readonly revoked: boolean
  readonly endsAt: number
}

export interface WantedGrants {
  readonly now: number
  /** Also those that are over. */
  readonly all: boolean
  readonly limit: number
}

export interface GrantRow {
  readonly id: string
  readonly principal: string
  readonly target: string
  readonly role: string
  readonly starts_at: Date
  readonly ends_at: Date
  readonly revoked_at: Date | null
  readonly reason: string
  readonly request_id: string | null
  readonly relations: RelationRules | null
  readonly claims: Claims
}

/** An end is told by the store's clock, a revocation by a process's. */
const clocksDiffer = "interval '5 s'"

export const grantColumns = `g.id, g.principal, g.target, g.role, g.starts_at, g.ends_at, g.revoked_at, g.reason,
                 g.request_id, g.relations, g.claims`

/** A grant inside JSON, its times in milliseconds since the epoch. */
export interface GrantInJson extends Omit<GrantRow, 'starts_at' | 'ends_at' | 'revoked_at'> {
  readonly starts_at: number
  readonly ends_at: number
  readonly revoked_at: number | null
}

export const grantInJson = `json_build_object(
  'id', g.id, 'principal', g.principal, 'target', g.target, 'role', g.role,
  'starts_at', extract(epoch from g.starts_at) * 1000,
  'ends_at', extract(epoch from g.ends_at) * 1000,
  'revoked_at', extract(epoch from g.revoked_at) * 1000, 'reason', g.reason,
  'request_id', g.request_id, 'relations', g.relations, 'claims', g.claims)`

export async function insertGrant(database: Statements, grant: Grant): Promise<void> {
  await database.run(
    `insert into pgwarden.grants
       (id, principal, target, role, starts_at, ends_at, revoked_at, reason, request_id,
        relations, claims)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
    [
      grant.id,
      grant.principal,
      grant.target,
      grant.role,
      new Date(grant.startsAt),
      new Date(grant.endsAt),
      grant.revokedAt === undefined ? null : new Date(grant.revokedAt),
      grant.reason,
      grant.requestId ?? null,
      grant.relations ?? null,
      grant.claims,
    ],
  )
}

export async function findGrant(database: Statements, id: string): Promise<Grant | undefined> {
  const [row] = await database.rows<GrantRow>(
    `select ${grantColumns} from pgwarden.grants g where g.id = $1`,
    [id],
  )
  return row && grantOf(row)
}

/** Those that are not over or have logins that are not known to be gone; or all. Newest first. */
export async function listGrants(
  database: Statements,
  { now, all, limit }: WantedGrants,
): Promise<ListedGrant[]> {
  const rows = await database.rows<GrantRow & { readonly open_leases: number }>(
    `select ${grantColumns}, o.open_leases
       from pgwarden.grants g
            cross join lateral (select count(*)::int as open_leases from pgwarden.leases l
                                 where l.grant_id = g.id and l.ended_at is null) o
      where $2 or o.open_leases > 0 or (g.revoked_at is null and g.ends_at > $1)
      order by g.starts_at desc, g.id desc
      limit $3`,
    [new Date(now), all, limit],
  )
  return rows.map((row) => ({ ...grantOf(row), openLeases: row.open_leases }))
}

/** What has become of these grants. */
export async function grantStates(
  database: Statements,
  ids: readonly string[],
): Promise<GrantState[]> {
  const rows = await database.rows<Pick<GrantRow, 'id' | 'ends_at' | 'revoked_at'>>(
    'select id, ends_at, revoked_at from pgwarden.grants where id = any($1)',
    [ids],
  )
  return rows.map(({ id, ends_at, revoked_at }) => ({
    id,
    revoked: revoked_at !== null,
    endsAt: ends_at.getTime(),
  }))
}

/** Of a revoked grant: the logins that were out when it was revoked, or are still. */
export async function loginsOf(
  database: Statements,
  grantId: string,
  limit: number,
): Promise<LeaseStanding[]> {
  const rows = await database.rows<{ readonly id: string }>(
    `select l.id from pgwarden.leases l join pgwarden.grants g on g.id = l.grant_id
      where g.id = $1 and (l.ended_at is null or l.ended_at >= g.revoked_at - ${clocksDiffer})
      order by l.issued_at desc, l.id limit $2`,
    [grantId, limit],
  )
  return leaseStandings(
    database,
    rows.map(({ id }) => id),
  )
}

/** What has become of these leases. */
export async function leaseStandings(
  database: Statements,
  ids: readonly string[],
): Promise<LeaseStanding[]> {
  const rows = await database.rows<LeaseStandingRow>(
    `select id, engine, database_role, ended_at is not null as over, revocation
       from pgwarden.leases where id = any($1) order by issued_at, id`,
    [ids],
  )
  return rows.map((row) => ({
    id: row.id,
    engine: row.engine,
    databaseRole: row.database_role ?? undefined,
    // Ended before results were kept: by the broker, which has seen the role go.
    ended: row.over ? (row.revocation ?? 'confirmed') : undefined,
  }))
}

interface LeaseStandingRow {
  readonly id: string
  readonly engine: LeaseEngine
  readonly database_role: string | null
  readonly over: boolean
  readonly revocation: LeaseEndResult | null
}

export function grantOfJson(row: GrantInJson): Grant {
  const { starts_at, ends_at, revoked_at } = row
  return grantOf({
    ...row,
    starts_at: new Date(starts_at),
    ends_at: new Date(ends_at),
    revoked_at: revoked_at === null ? null : new Date(revoked_at),
  })
}

export function grantOf(row: GrantRow): Grant {
  return {
    id: row.id,
    principal: row.principal,
    target: row.target,
    role: row.role,
    startsAt: row.starts_at.getTime(),
    endsAt: row.ends_at.getTime(),
    revokedAt: row.revoked_at?.getTime(),
    reason: row.reason,
    requestId: row.request_id ?? undefined,
    relations: row.relations ?? undefined,
    claims: row.claims,
  }
}
