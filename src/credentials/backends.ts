// A database role's backends: the server's processes that serve its sessions. Ends them, and tells which
// are left. Ignorant of why, and of who may.
// PostgreSQL documentation, "The Cumulative Statistics System", pg_stat_activity; "Server Signaling
// Functions".

import { setTimeout as sleep } from 'node:timers/promises'
import type { ClientBase } from 'pg'
import type { Backend } from './engine.ts'

/** Whose backends: those of a name, and of a role that had it when it was there, with this oid. */
export interface BackendsOf {
  readonly role: string
  /** A backend outlives its role's DROP, and then has no name in pg_stat_activity any more. */
  readonly oid?: number | undefined
  /** Only these; all when absent. */
  readonly only?: readonly Backend[] | undefined
}

const pauseMs = 25
/** Longer than a configuration allows a login to take, and than we go on looking. */
const longestLoginMs = 90_000
/** Two machines measure the same time a little differently. */
const toleranceMs = 1_000

const theirs = `
    from pg_stat_activity a
   where (a.usename = $1 or (a.usename is null and a.usesysid = $2))
     and ($3::int[] is null or exists (
       select from unnest($3::int[], $4::float8[]) as opened (pid, ago)
        where opened.pid = a.pid
          and extract(epoch from clock_timestamp() - a.backend_start) * 1000
              between ago - ${toleranceMs} and ago + ${longestLoginMs}))`

/**
 * Until none is left: a backend that is told to end still has to roll back. @throws when some have not
 * ended after `patienceMs`, and what the server says.
 */
export async function endBackends(
  client: ClientBase,
  whose: BackendsOf,
  patienceMs = 5_000,
): Promise<void> {
  for (let waited = 0; ; waited += pauseMs) {
    const { rowCount } = await client.query(
      `select pg_terminate_backend(a.pid) ${theirs}`,
      valuesOf(whose),
    )
    if (rowCount === 0) return
    if (waited >= patienceMs) {
      throw new Error(`${rowCount} of the sessions of ${whose.role} do not end`)
    }
    await sleep(pauseMs)
  }
}

/** How many there are. */
export async function countBackends(client: ClientBase, whose: BackendsOf): Promise<number> {
  const { rowCount } = await client.query(`select ${theirs}`, valuesOf(whose))
  return rowCount ?? 0
}

/** Sessions on this database whose role is gone: which one that was, nobody can tell any more. */
export async function countNameless(client: ClientBase): Promise<number> {
  const { rowCount } = await client.query(
    `select from pg_stat_activity
      where datname = current_database() and usename is null and usesysid is not null`,
  )
  return rowCount ?? 0
}

function valuesOf({ role, oid, only }: BackendsOf): unknown[] {
  return [
    role,
    oid ?? null,
    only?.map(({ processId }) => processId) ?? null,
    only?.map(({ openedMsAgo }) => openedMsAgo) ?? null,
  ]
}
