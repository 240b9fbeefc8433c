// Grants as the desk needs them: with the groups of whoever asked for them, locked before they change, listed
// page by page, and found when their end has come. Ignorant of who may see them.

import type { Grant } from '../access/access.ts'
import type { GrantSearch, StoredGrant } from '../access/desk-store.ts'
import type { Statements } from './database.ts'
import { type GrantRow, grantColumns, grantOf } from './grants.ts'
import { ending } from './search.ts'

interface StoredRow extends GrantRow {
  readonly groups: string[] | null
  readonly open_leases: number
}

const selectStored = `
  select ${grantColumns}, r.groups,
         (select count(*)::int from pgwarden.leases l
           where l.grant_id = g.id and l.ended_at is null) as open_leases
    from pgwarden.grants g left join pgwarden.requests r on r.id = g.request_id`

export async function findStoredGrant(
  statements: Statements,
  id: string,
): Promise<StoredGrant | undefined> {
  const [row] = await statements.rows<StoredRow>(`${selectStored} where g.id = $1`, [id])
  return row && storedOf(row)
}

/** Those that start last come first. */
export async function listStoredGrants(
  statements: Statements,
  search: GrantSearch,
): Promise<readonly StoredGrant[]> {
  const { text, values } = ending('g', 'starts_at', search, (parameter) => {
    const now = new Date(search.now)
    switch (search.state) {
      case undefined:
        return []
      case 'revoked':
        return ['g.revoked_at is not null']
      case 'expired':
        return ['g.revoked_at is null', `g.ends_at <= ${parameter(now)}`]
      case 'scheduled':
        return ['g.revoked_at is null', `g.starts_at > ${parameter(now)}`]
      case 'active': {
        const at = parameter(now)
        return ['g.revoked_at is null', `g.starts_at <= ${at}`, `g.ends_at > ${at}`]
      }
    }
  })
  const rows = await statements.rows<StoredRow>(`${selectStored} ${text}`, values)
  return rows.map(storedOf)
}

/** Whoever is about to use the grant holds a lock on it or comes behind (insertLease). */
export async function lockGrant(
  statements: Statements,
  id: string,
): Promise<StoredGrant | undefined> {
  const locked = await statements.run(
    'select from pgwarden.grants where id = $1 for no key update',
    [id],
  )
  return locked === 0 ? undefined : findStoredGrant(statements, id)
}

export async function countHeld(
  statements: Statements,
  principal: string,
  now: number,
): Promise<number> {
  const [found] = await statements.rows<{ readonly held: number }>(
    `select count(*)::int as held from pgwarden.grants
      where principal = $1 and revoked_at is null and ends_at > $2`,
    [principal, new Date(now)],
  )
  return found?.held ?? 0
}

/** Whoever was warned of the end is warned again of a later one. */
export async function updateGrant(statements: Statements, grant: Grant): Promise<void> {
  const { id, endsAt, revokedAt } = grant
  await statements.run(
    `update pgwarden.grants
        set ends_at = $2, revoked_at = $3,
            ending_told_at = case when ends_at = $2 then ending_told_at end
      where id = $1`,
    [id, new Date(endsAt), revokedAt === undefined ? null : new Date(revokedAt)],
  )
}

export async function lockEnded(
  statements: Statements,
  now: number,
  limit: number,
): Promise<readonly Grant[]> {
  const rows = await statements.rows<GrantRow>(
    `update pgwarden.grants g set end_told_at = $1
      where g.id in (
        select id from pgwarden.grants
         where revoked_at is null and end_told_at is null and ends_at <= $1
         order by ends_at limit $2 for no key update skip locked)
      returning ${grantColumns}`,
    [new Date(now), limit],
  )
  return rows.map(grantOf)
}

export async function lockEnding(
  statements: Statements,
  now: number,
  until: number,
  limit: number,
): Promise<readonly Grant[]> {
  const rows = await statements.rows<GrantRow>(
    `update pgwarden.grants g set ending_told_at = $1
      where g.id in (
        select e.id from pgwarden.grants e
         where e.revoked_at is null and e.end_told_at is null and e.ending_told_at is null
           and e.starts_at <= $1 and e.ends_at > $1 and e.ends_at <= $2
           and e.ends_at - e.starts_at > $2::timestamptz - $1::timestamptz
           and not exists (select from pgwarden.requests r
                            where r.extends = e.id and r.state = 'pending')
         order by e.ends_at limit $3 for no key update skip locked)
      returning ${grantColumns}`,
    [new Date(now), new Date(until), limit],
  )
  return rows.map(grantOf)
}

function storedOf(row: StoredRow): StoredGrant {
  return { grant: grantOf(row), groups: row.groups ?? [], openLeases: row.open_leases }
}
