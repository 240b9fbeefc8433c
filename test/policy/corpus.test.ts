// The corpora: what each role may run, statement by statement. They only grow.
// `examples.tsv` has ways of writing and their verdict for each role. The `.ndjson` files have what
// real tools send, as a server's log or the tool's own source has it: each line with the least role
// that must be able to run it, the roles above it included.

import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { unescaped } from '../support/corpora.ts'
import { leastRole, policy, roleNames } from './predefined.ts'

const corpus = new URL('../fixtures/corpus/', import.meta.url)

/**
 * A file of the corpus each. PostgreSQL's programs are those of releases 15 and 18. From the source:
 * what could not be run while the corpus was captured.
 */
const tools = {
  'the programs of PostgreSQL':
    'client_programs client_programs_18 pg_dump pg_dump_18 pg_dumpall pg_restore pg_restore_18 pgbench psql psql_18',
  drivers:
    'asyncpg dbd_pg lib_pq node_pg pg8000 pgjdbc pgx php_pdo_pgsql postgres_js psqlodbc psycopg2 psycopg3 tokio_postgres',
  'object mappers and query builders':
    'activerecord django doctrine_dbal drizzle gorm hibernate knex kysely mikro_orm peewee sequelize sqlalchemy sqlx typeorm',
  'migrations, introspection and queues':
    'alembic flyway kysely_codegen liquibase node_pg_migrate pg_boss pg_introspection schemats',
  'consoles and monitoring': 'check_postgres pg_activity pgadmin pgcli postgres_exporter',
  'drivers and consoles, from their source': 'dbeaver grafana metabase npgsql postgrest',
}

const collected = 'reading collected statistics, which show values of every table'

/** What a tool sends and only an admin may run: the objection to read_full_write, and why it stays. */
const adminOnly: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'catalogs that hold passwords, connection strings or values of tables': {
    'check_postgres-002': `relation pg_stats: ${collected}`,
    'client_programs_18-001': 'relation pg_catalog.pg_statistic: reading sensitive catalogs',
    'client_programs_18-014': 'relation pg_authid: reading sensitive catalogs',
    'pg_dump-070': 'relation pg_subscription: reading sensitive catalogs',
    'pg_dump_18-010': 'relation pg_subscription: reading sensitive catalogs',
    'pg_dump_18-018': 'relation pg_user_mappings: reading sensitive catalogs',
    'pg_dumpall-001': 'relation pg_authid: reading sensitive catalogs',
    'pg_dumpall-002': 'relation pg_authid: reading sensitive catalogs',
    'pg_dumpall-003': 'relation pg_authid: reading sensitive catalogs',
    'pgadmin-006': 'relation pg_catalog.pg_user_mappings: reading sensitive catalogs',
    'pgadmin-045': 'relation pg_catalog.pg_subscription: reading sensitive catalogs',
    'pgadmin-061': `relation pg_catalog.pg_stats: ${collected}`,
    'pgadmin-064': 'relation pg_catalog.pg_subscription: reading sensitive catalogs',
    'psql-074': 'relation pg_catalog.pg_subscription: reading sensitive catalogs',
    'psql-078': 'relation pg_catalog.pg_user_mappings: reading sensitive catalogs',
    'psql-147': 'relation pg_catalog.pg_subscription: reading sensitive catalogs',
    'psql_18-014': 'relation pg_catalog.pg_user_mappings: reading sensitive catalogs',
    'psql_18-034': 'relation pg_catalog.pg_subscription: reading sensitive catalogs',
  },
  'files of the server, and blocks of tables': {
    'check_postgres-006': 'function pg_ls_waldir (administrative)',
    'client_programs-017': 'function public.verify_heapam (administrative)',
    'client_programs-018': 'function public.bt_index_check (administrative)',
    'pg_activity-006': 'function pg_catalog.pg_ls_tmpdir (administrative)',
    'pgadmin-057': 'function pg_stat_file (administrative)',
  },
  'who the session is': {
    'flyway-003': "SET of setting role to 'postgres'",
    'metabase-004': "SET of setting role to 'none'",
    'metabase-005': "SET of setting role to 'analyst-eu'",
  },
  'settings that no role below admin was given, or to a value that comes later': {
    'client_programs-006': "SET of setting default_statistics_target to '10'",
    'client_programs_18-002': "SET of setting default_statistics_target to '1'",
    'flyway-007': 'set_config of setting search_path',
  },
  'code that the parse tree does not show, or that is not SQL': {
    'activerecord-019': 'CREATE EXTENSION',
    'pg_boss-002': 'CREATE FUNCTION',
    'pg_restore-004': 'CREATE EXTENSION',
    'pg_restore-005': 'COMMENT ON EXTENSION',
    'pg_restore-008': 'CREATE PROCEDURE',
    'pg_restore-009': 'CREATE FUNCTION',
    'pg_restore-010': 'CREATE FUNCTION',
    'pg_restore-011': 'CREATE FUNCTION',
    'pg_restore_18-002': 'CREATE EXTENSION',
    'pg_restore_18-004': 'CREATE FUNCTION',
    'sequelize-016': 'CREATE FUNCTION',
    'sequelize-022': 'DO',
    'typeorm-002': 'CREATE EXTENSION',
  },
  'who may do what': {
    'pg_restore-042': 'ALTER TABLE ROW SECURITY',
    'pg_restore-043': 'CREATE POLICY',
    'pg_restore-044': 'GRANT',
    'pg_restore_18-020': 'ALTER DEFAULT PRIVILEGES',
  },
  'the catalogs as a whole, and connections that the server opens': {
    'client_programs_18-005': 'REINDEX SYSTEM',
    'pg_restore_18-006': 'CREATE SERVER',
  },
  'transactions that outlive their session': {
    'pg8000-005': 'PREPARE TRANSACTION',
    'pgjdbc-048': 'COMMIT PREPARED',
    'psycopg2-021': 'ROLLBACK PREPARED',
  },
}

describe('every example of the catalogue, for all four roles', () => {
  const [, ...rows] = read('examples.tsv')
  for (const row of rows) {
    const [id = '', category = '', escaped = '', ...verdicts] = row.split('\t')
    const sql = unescaped(escaped)
    it(`${id} ${category}: ${sql.slice(0, 70)}`, () => {
      const outcomes = roleNames.map((role) => policy.judgeText(role, sql).decision.outcome)
      expect(outcomes).toEqual(verdicts.slice(0, roleNames.length))
    })
  }
})

const captures = Object.entries(tools).map(([kind, names]) => ({ kind, names: names.split(' ') }))
const statements = new Map(
  captures.flatMap(({ names }) => names).map((name) => [name, read(`${name}.ndjson`).map(parse)]),
)

describe.each(captures)('lets users keep $kind', ({ names }) => {
  describe.each(names)('%s', (name) => {
    it.each(statements.get(name) ?? [])('$id for $least and above: $sql', ({ sql, least }) => {
      expect(leastRole(sql)).toBe(least)
    })
  })
})

describe.each(Object.entries(adminOnly))('leaves to an admin: %s', (_, denied) => {
  it.each(Object.entries(denied))('%s: %s', (id, reason) => {
    const [name = ''] = id.split('-')
    const sql = statements.get(name)?.find((statement) => statement.id === id)?.sql ?? ''
    expect(policy.judgeText('read_full_write', sql).decision).toMatchObject({
      outcome: 'deny',
      reason,
    })
  })
})

it('says of every capture which tool it is of, and of every statement kept from users why', () => {
  const files = readdirSync(corpus).filter((file) => file.endsWith('.ndjson'))
  expect(files.map((file) => file.replace('.ndjson', '')).sort()).toEqual(
    [...statements.keys()].sort(),
  )
  const kept = [...statements.values()].flat().filter(({ least }) => least === 'admin')
  expect(kept.map(({ id }) => id).sort()).toEqual(
    Object.values(adminOnly).flatMap(Object.keys).sort(),
  )
})

function read(file: string): readonly string[] {
  return readFileSync(new URL(file, corpus), 'utf8').trimEnd().split('\n')
}

interface Captured {
  readonly id: string
  readonly sql: string
  readonly least: string
}

function parse(line: string): Captured {
  const value: unknown = JSON.parse(line)
  if (
    typeof value !== 'object' ||
    value === null ||
    !('id' in value && 'sql' in value && 'least' in value)
  ) {
    throw new TypeError(`not a line of a corpus: ${line}`)
  }
  return { id: String(value.id), sql: String(value.sql), least: String(value.least) }
}
