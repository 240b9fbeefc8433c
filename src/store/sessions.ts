// Open sessions in the store, each with the process that serves it: written behind, a batch at a time, and
// gone with a process that is silent. Ignorant of what a session is, and of who may know of it.

import type { LiveSession, WantedSessions } from '../access/live-session.ts'
import type { Database } from './database.ts'

/** A process that has not been heard for so long is gone, and its sessions with it. */
const silent = "interval '60 s'"

export interface SessionBatch {
  /** The process. */
  readonly instance: string
  readonly opened: readonly LiveSession[]
  readonly closed: readonly string[]
}

export interface SessionBeat {
  /** Nothing of this process's was known: what it wrote before was dropped, or never written. */
  readonly fresh: boolean
  /** Sessions of this process that somebody wants to end. */
  readonly toEnd: readonly string[]
}

/** One statement, whatever there is to say; may be repeated. */
export async function writeSessions(
  database: Database,
  { instance, opened, closed }: SessionBatch,
): Promise<SessionBeat> {
  const rows = await database.rows<{ readonly fresh: boolean; readonly to_end: string[] }>(
    `with here as (
       insert into pgwarden.proxies as p (instance, seen_at) values ($1, now())
         on conflict (instance) do update set seen_at = now()
       returning p.xmax = 0 as fresh),
     dead as (
       delete from pgwarden.proxies where instance <> $1 and seen_at < now() - ${silent}),
     gone as (
       delete from pgwarden.sessions where id = any($3)),
     come as (
       insert into pgwarden.sessions
         (id, instance, grant_id, principal, target, role, client, application, started_at)
       select o.id, $1, o."grantId", o.principal, o.target, o.role, o.client, o.application,
              to_timestamp(o."startedAt" / 1000.0)
         from jsonb_to_recordset($2) as o
              (id text, "grantId" text, principal text, target text, role text, client text,
               application text, "startedAt" float8)
       on conflict (id) do nothing)
     select fresh, array(select id from pgwarden.sessions
                          where instance = $1 and end_requested_at is not null) as to_end
       from here`,
    [instance, JSON.stringify(opened), closed],
  )
  const [{ fresh, to_end: toEnd } = { fresh: true, to_end: [] }] = rows
  return { fresh, toEnd }
}

interface SessionRow {
  readonly id: string
  readonly grant_id: string
  readonly principal: string
  readonly target: string
  readonly role: string
  readonly client: string
  readonly application: string | null
  readonly started_at: Date
}

/** Newest first. */
export async function listSessions(
  database: Database,
  { id, principal, target, grantId }: WantedSessions,
  limit: number,
): Promise<LiveSession[]> {
  const rows = await database.rows<SessionRow>(
    `select s.id, s.grant_id, s.principal, s.target, s.role, s.client, s.application, s.started_at
       from pgwarden.sessions s join pgwarden.proxies p on p.instance = s.instance
      where p.seen_at >= now() - ${silent}
        and ($1::text is null or s.id = $1) and ($2::text is null or s.principal = $2)
        and ($3::text is null or s.target = $3) and ($4::text is null or s.grant_id = $4)
      order by s.started_at desc, s.id
      limit $5`,
    [id ?? null, principal ?? null, target ?? null, grantId ?? null, limit],
  )
  return rows.map((row) => ({
    id: row.id,
    grantId: row.grant_id,
    principal: row.principal,
    target: row.target,
    role: row.role,
    client: row.client,
    application: row.application ?? undefined,
    startedAt: row.started_at.getTime(),
  }))
}

export async function askToEnd(database: Database, id: string): Promise<void> {
  await database.run(
    'update pgwarden.sessions set end_requested_at = coalesce(end_requested_at, now()) where id = $1',
    [id],
  )
}
