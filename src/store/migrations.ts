// Bringing a database up to the store's schema: forwards only, all pending steps in one transaction, one
// process at a time. Ignorant of what the steps do (schema.ts), and of queries.

import { Client } from 'pg'
import { Umzug, type UmzugStorage } from 'umzug'
import { Failure } from '../errors.ts'
import { connectionString, type DatabaseOptions, storeFailure } from './database.ts'
import { migrations } from './schema.ts'

/** In their order. */
export const migrationNames: readonly string[] = migrations.map(({ name }) => name)

// "pgwarden" in ASCII: the advisory lock's number, the same for every release.
const lock = '8099573715263841646'
const waitLimit = 60_000

/** @throws Failure when the store cannot be reached, or was migrated by a later pgwarden. */
export async function migrate(options: DatabaseOptions): Promise<void> {
  const { url, connectTimeoutMs = 5_000 } = options
  const client = new Client({
    connectionString: connectionString(url),
    connectionTimeoutMillis: connectTimeoutMs,
    statement_timeout: waitLimit,
    query_timeout: waitLimit + 1_000,
    fallback_application_name: 'pgwarden migrations',
  })
  // The running query rejects too; without a listener the event would end the process.
  client.on('error', () => {})
  try {
    await client.connect()
    await client.query('begin')
    await client.query(`select pg_advisory_xact_lock(${lock})`)
    await client.query(`
      create schema if not exists pgwarden;
      create table if not exists pgwarden.migrations (
        name text primary key,
        applied_at timestamptz not null default now()
      )`)
    await runPending(client)
    await client.query('commit')
  } catch (error) {
    // Closing the connection rolls back.
    throw error instanceof Failure ? error : storeFailure(error)
  } finally {
    await client.end().catch(() => {})
  }
}

async function runPending(client: Client): Promise<void> {
  const storage = appliedMigrations(client)
  const known = new Set(migrationNames)
  const later = (await storage.executed({ context: client })).filter((name) => !known.has(name))
  if (later.length > 0) {
    throw new Failure('invalid_configuration', {
      message: 'the store belongs to a later version of pgwarden',
      detail: `It has been through ${later.join(', ')}, which this version does not know.`,
      hint: 'Run the later version; a store is not migrated backwards.',
    })
  }
  const umzug = new Umzug({
    migrations: migrations.map(({ name, sql }) => ({ name, up: () => client.query(sql) })),
    context: client,
    storage,
    logger: undefined,
  })
  // Umzug wraps what a step throws; the driver's own error says what kind of trouble it is.
  await umzug.up().catch((error: unknown) => {
    throw error instanceof Error && error.cause !== undefined ? error.cause : error
  })
}

function appliedMigrations(client: Client): UmzugStorage<Client> {
  return {
    async executed() {
      const { rows } = await client.query<{ name: string }>(
        'select name from pgwarden.migrations order by name',
      )
      return rows.map(({ name }) => name)
    },
    async logMigration({ name }) {
      await client.query('insert into pgwarden.migrations (name) values ($1)', [name])
    },
    unlogMigration() {
      return Promise.reject(new Error('the store is not migrated backwards'))
    },
  }
}
