// Looks at a store without changing it: whether it can be reached, and what of the schema is there. The
// processes that run on it may be of another version. Ignorant of what is stored.

import { Client } from 'pg'
import type { Secret } from '../secret.ts'
import { connectionString } from './database.ts'
import { migrationNames } from './migrations.ts'

export interface StoreLook {
  /** Migrations that this version would run, and those that only a later one knows. */
  readonly pending: readonly string[]
  readonly later: readonly string[]
  /** Whether our login may make what is missing. */
  readonly mayMigrate: boolean
  /** The server's clock, in milliseconds since the epoch. */
  readonly time: number
}

const limit = 5_000

/** @throws what the driver says of a store that cannot be reached. An aborted signal ends the connection. */
export async function lookAtStore(url: Secret, signal: AbortSignal): Promise<StoreLook> {
  const client = new Client({
    connectionString: connectionString(url),
    connectionTimeoutMillis: limit,
    statement_timeout: limit,
    query_timeout: limit + 1_000,
    fallback_application_name: 'pgwarden doctor',
  })
  // The running query rejects too; without a listener the event would end the process.
  client.on('error', () => {})
  const end = (): void => void client.end().catch(() => {})
  signal.addEventListener('abort', end, { once: true })
  try {
    await client.connect()
    return await look(client)
  } finally {
    signal.removeEventListener('abort', end)
    end()
  }
}

async function look(client: Client): Promise<StoreLook> {
  const { rows } = await client.query<{ there: boolean; may: boolean; time: number }>(`
    select to_regclass('pgwarden.migrations') is not null as there,
           case when to_regnamespace('pgwarden') is null
                then has_database_privilege(current_database(), 'create')
                else has_schema_privilege('pgwarden', 'create') end as may,
           extract(epoch from clock_timestamp())::float8 * 1000 as time`)
  const [found] = rows
  if (found === undefined) throw new Error('the store did not answer')
  const applied = found.there
    ? await client.query<{ name: string }>('select name from pgwarden.migrations order by name')
    : { rows: [] }
  const names = applied.rows.map(({ name }) => name)
  return {
    pending: migrationNames.filter((name) => !names.includes(name)),
    later: names.filter((name) => !migrationNames.includes(name)),
    mayMigrate: found.may,
    time: found.time,
  }
}
