// What is measured against: a PostgreSQL (the embedded one, or BENCH_DATABASE_URL), pgbench's tables in
// a database of their own, and an ordinary login for the contenders that do not make one themselves.
// PostgreSQL documentation: "pgbench", the tables of the built-in scripts.

import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { Client } from 'pg'
import { startEmbeddedPostgres } from '../src/demo/embedded.ts'
import { freshDatabase } from '../test/support/databases.ts'
import type { Connection } from './load.ts'

/** As many branches as clients: TPC-B updates one row for each, and would measure waiting for locks. */
export const scale = 16
export const accountsPerBranch = 100_000

/** What the contenders' database roles may do, so that all three run with the same rights. */
export const memberships = 'pg_read_all_data, pg_write_all_data'

const tables = `
  create table pgbench_branches (bid int primary key, bbalance int, filler char(88));
  create table pgbench_tellers (tid int primary key, bid int, tbalance int, filler char(84));
  create table pgbench_accounts (aid int, bid int, abalance int, filler char(84));
  create table pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
  insert into pgbench_branches select bid, 0, '' from generate_series(1, ${scale}) bid;
  insert into pgbench_tellers
    select tid, (tid - 1) / 10 + 1, 0, '' from generate_series(1, ${scale * 10}) tid;
  insert into pgbench_accounts
    select aid, (aid - 1) / ${accountsPerBranch} + 1, 0, ''
    from generate_series(1, ${scale * accountsPerBranch}) aid;
  alter table pgbench_accounts add primary key (aid);`

export interface BenchDatabase {
  /** Of PostgreSQL, e.g. `18.0`. */
  readonly version: string
  readonly embedded: boolean
  /** Straight to PostgreSQL, as an ordinary login. */
  readonly direct: Connection
  /** Straight to PostgreSQL, as superuser. */
  readonly admin: Connection
  /** URL of an empty database for pgwarden's own store. */
  readonly storeUrl: string
}

/** `started` is told how to undo each step. */
export async function prepareDatabase(
  scratch: string,
  started: (stop: () => Promise<unknown>) => void,
): Promise<BenchDatabase> {
  const given = process.env['BENCH_DATABASE_URL'] ?? ''
  const adminUrl = given === '' ? await startEmbedded(scratch, started) : given
  const store = await freshDatabase(adminUrl, 'pgwarden_bench_store')
  started(() => store.drop())
  const target = await freshDatabase(adminUrl, 'pgwarden_bench')
  started(() => target.drop())

  const url = new URL(target.url)
  const admin: Connection = {
    host: url.hostname,
    port: Number(url.port || 5432),
    database: target.name,
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
  }
  const login = {
    user: `pgwarden_bench_${randomBytes(4).toString('hex')}`,
    password: randomBytes(16).toString('hex'),
  }
  const version = await asAdmin(admin, async (client) => {
    await client.query(`create role ${login.user} login password '${login.password}'`)
    started(() => asAdmin(admin, (again) => again.query(`drop role ${login.user}`)))
    await client.query(`grant ${memberships} to ${login.user}`)
    await client.query(tables)
    await client.query('vacuum analyze')
    const { rows } = await client.query<{ version: string }>(
      `select split_part(current_setting('server_version'), ' ', 1) as version`,
    )
    return rows[0]?.version ?? ''
  })
  return {
    version,
    embedded: given === '',
    direct: { ...admin, ...login },
    admin,
    storeUrl: store.url,
  }
}

async function startEmbedded(
  scratch: string,
  started: (stop: () => Promise<void>) => void,
): Promise<string> {
  const server = await startEmbeddedPostgres({ directory: join(scratch, 'postgres') })
  started(() => server.stop())
  return server.url('postgres').reveal()
}

async function asAdmin<T>(admin: Connection, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client(admin)
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}
