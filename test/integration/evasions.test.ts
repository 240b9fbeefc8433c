// What people try to get past an access proxy, against a real server whose login is a superuser: only
// pgwarden stands between the statement and its effect. Each attempt is made by every road there is
// to the executor, and what counts is the database afterwards, not the error alone. Grows, never shrinks.

import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import type { FrontendMessage } from '../../src/wire/frontend.ts'
import { hearsUntilRow, sqlstates } from '../support/answers.ts'
import { bind, execute, parse, sql, sync } from '../support/scripted-session.ts'
import { Warden } from '../support/warden.ts'
import { WireClient } from '../support/wire-client.ts'

const schema = `
  CREATE TABLE t (a int);
  INSERT INTO t VALUES (1), (2);
  CREATE SEQUENCE s;
  CREATE MATERIALIZED VIEW mv AS SELECT * FROM t;
  CREATE FUNCTION writes(int) RETURNS int LANGUAGE sql AS 'INSERT INTO t VALUES ($1) RETURNING a';
  CREATE PROCEDURE writing(int) LANGUAGE sql AS 'INSERT INTO t VALUES ($1)';
  CREATE FUNCTION tells(int) RETURNS int LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_advisory_lock($1); RETURN $1; END $$;
  CREATE FOREIGN DATA WRAPPER elsewhere;
  CREATE SERVER other FOREIGN DATA WRAPPER elsewhere;
  CREATE USER MAPPING FOR PUBLIC SERVER other OPTIONS (password 'hunter2');
`

/** Everything that an attempt could have changed. */
const fingerprint = `SELECT json_build_object(
  'rows', (SELECT json_agg(a ORDER BY a) FROM t),
  'relations', (SELECT json_agg(concat(relname, relkind, relowner, relacl, relrowsecurity) ORDER BY oid)
    FROM pg_class WHERE oid >= 16384 AND relname !~ '^pg_'),
  'functions', (SELECT count(*) FROM pg_proc),
  'schemas', (SELECT count(*) FROM pg_namespace WHERE nspname !~ '^pg_'),
  'roles', (SELECT json_agg(concat(rolname, rolsuper) ORDER BY oid) FROM pg_roles WHERE rolname !~ '^pgw_'),
  'large objects', (SELECT count(*) FROM pg_largeobject_metadata),
  'sequence', (SELECT concat(last_value, is_called) FROM s),
  'slots', (SELECT count(*) FROM pg_replication_slots),
  'origins', (SELECT count(*) FROM pg_replication_origin),
  'role settings', (SELECT json_agg(setconfig) FROM pg_db_role_setting WHERE setrole = 0),
  'server settings', (SELECT json_agg(concat(name, setting)) FROM pg_file_settings WHERE sourcefile ~ 'auto.conf'),
  'advisory locks', (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'),
  'prepared transactions', (SELECT count(*) FROM pg_prepared_xacts),
  'extensions', (SELECT count(*) FROM pg_extension),
  'publications', (SELECT count(*) FROM pg_publication),
  'comments', (SELECT count(*) FROM pg_description WHERE objoid >= 16384),
  'files', pg_stat_file('evasion.txt', true)
)::text AS state`

/** Denied to all but admin. */
const administration = [
  "SELECT pg_read_file('PG_VERSION')",
  "SELECT pg_catalog.pg_read_file('PG_VERSION')",
  "SELECT ('PG_VERSION'::text).pg_read_file",
  "SELECT x.pg_read_file FROM unnest(ARRAY['PG_VERSION']) x",
  "SELECT (ARRAY['PG_VERSION'])[1].pg_read_file",
  "SELECT TREAT('PG_VERSION' AS pg_read_file)",
  "SELECT 1 FROM pg_ls_dir('.') LIMIT 1",
  "SELECT 1 WHERE EXISTS (SELECT 1 FROM ROWS FROM (pg_ls_dir('.'), generate_series(1, 2)))",
  'SELECT pg_reload_conf()',
  'SELECT count(*) FILTER (WHERE pg_reload_conf()) FROM t',
  "SELECT pg_create_physical_replication_slot('evasion')",
  "SELECT pg_replication_origin_create('evasion')",
  "SELECT ('evasion'::text).pg_replication_origin_create",
  "SELECT pg_logical_emit_message(false, 'a', 'b')",
  'SELECT pg_stat_reset()',
  "SELECT lo_import('PG_VERSION')",
  "SELECT lo_export(1, 'evasion.txt')",
  "SELECT query_to_xml('SELECT writes(3)', true, true, '')",
  "SELECT * FROM ts_stat('SELECT to_tsvector(writes(3)::text)')",
  "SELECT table_to_xml('pg_authid', true, true, '')",
  'SELECT rolpassword FROM pg_authid',
  'TABLE pg_catalog.pg_authid',
  'WITH pg_authid AS (SELECT * FROM pg_authid) SELECT * FROM pg_authid',
  'SELECT * FROM pg_shadow',
  'SELECT * FROM pg_user_mapping',
  'SELECT * FROM information_schema._pg_user_mappings',
  'COPY pg_authid TO STDOUT',
  "COPY t TO PROGRAM 'touch evasion.txt'",
  "COPY (SELECT 1) TO PROGRAM 'touch evasion.txt'",
  "COPY t FROM PROGRAM 'touch evasion.txt'",
  "COPY t FROM '/etc/passwd'",
  'DO $$ BEGIN INSERT INTO t VALUES (3); END $$',
  'DO LANGUAGE plpgsql $$ BEGIN COMMIT; SET TRANSACTION READ WRITE; INSERT INTO t VALUES (3); END $$',
  'UPDATE pg_authid SET rolsuper = true',
  'UPDATE pg_catalog.pg_class SET relacl = NULL',
  "UPDATE pg_settings SET setting = 'off' WHERE name = 'default_transaction_read_only'",
  'WITH pg_class AS (SELECT 1) DELETE FROM pg_class',
  'DELETE FROM pg_catalog.pg_statistic',
  "UPDATE information_schema.sql_features SET feature_name = 'x'",
  "INSERT INTO pg_catalog.pg_description VALUES ('t'::regclass, 1259, 0, 'evasion')",
  "MERGE INTO pg_description d USING t ON false WHEN NOT MATCHED THEN INSERT VALUES (99999, 1259, 0, 'evasion')",
  'CREATE ROLE evasion SUPERUSER',
  'ALTER ROLE CURRENT_USER SET default_transaction_read_only = off',
  'GRANT ALL ON t TO PUBLIC',
  'CREATE SCHEMA evasion GRANT USAGE ON SCHEMA evasion TO PUBLIC CREATE TABLE e (a int)',
  'CREATE SCHEMA evasion AUTHORIZATION postgres',
  "ALTER SYSTEM SET log_statement = 'none'",
  'ALTER DATABASE shop SET default_transaction_read_only = off',
  'ALTER TABLE t OWNER TO pg_monitor',
  'ALTER TABLE t ADD COLUMN b int, OWNER TO pg_monitor',
  'ALTER TABLE t ENABLE ROW LEVEL SECURITY',
  'CREATE POLICY evasion ON t USING (true)',
  'CREATE VIEW evasion AS SELECT * FROM pg_authid',
  'CREATE VIEW evasion AS TABLE pg_class',
  'CREATE SCHEMA evasion CREATE VIEW v AS SELECT * FROM pg_class',
  'CREATE VIEW evasion AS SELECT pg_reload_conf()',
  'CREATE TABLE evasion (a bool DEFAULT pg_reload_conf())',
  'CREATE RULE evasion AS ON INSERT TO t DO INSTEAD UPDATE pg_authid SET rolsuper = true',
  "CREATE FUNCTION evasion() RETURNS int LANGUAGE sql AS 'SELECT 1'",
  'CREATE CAST (text AS int) WITH INOUT',
  'CREATE EXTENSION dblink',
  'CREATE PUBLICATION evasion FOR ALL TABLES',
  'CREATE SERVER evasion FOREIGN DATA WRAPPER elsewhere',
  'ALTER TABLE t SET SCHEMA pg_catalog',
  'CHECKPOINT',
  "LOAD 'plpgsql'",
  'DROP OWNED BY CURRENT_USER',
  'SET ROLE pg_monitor',
  'SET "ROLE" TO \'pg_monitor\'',
  'SET SESSION AUTHORIZATION pg_monitor',
  'SET session_replication_role = replica',
  'SET allow_system_table_mods = on',
  "SET my.tenant = '42'",
  "SELECT set_config('session_replication_role', 'replica', false)",
  "SELECT set_config('session_replication' || '_role', 'replica', false)",
  "SELECT set_config(name, 'replica', false) FROM pg_settings WHERE name LIKE 'session_repl%'",
  "COMMENT ON DATABASE shop IS 'evasion'",
  "SECURITY LABEL ON TABLE t IS 'evasion'",
] as const

/** Denied below read_full_write as well. */
const structure = [
  'CREATE TABLE evasion (a int)',
  'CREATE TEMP TABLE evasion (a int)',
  'CREATE UNLOGGED TABLE evasion AS SELECT 1',
  'SELECT 1 AS a INTO evasion',
  'SELECT a INTO evasion FROM t UNION SELECT 1',
  'SELECT a INTO TEMP evasion FROM t',
  'EXPLAIN ANALYZE CREATE TABLE evasion AS SELECT 1',
  'EXPLAIN (ANALYZE 1) SELECT 1 AS a INTO evasion',
  'EXPLAIN (ANALYZE off, ANALYZE on) CREATE MATERIALIZED VIEW evasion AS SELECT 1',
  'CREATE VIEW evasion AS SELECT 1',
  'CREATE INDEX ON t (a)',
  'ALTER TABLE t ADD COLUMN b int',
  'ALTER SEQUENCE s RESTART 100',
  'DROP TABLE t',
  'DROP SEQUENCE IF EXISTS s',
  'TRUNCATE t',
  'REFRESH MATERIALIZED VIEW mv',
  'COMMENT ON TABLE t IS $$evasion$$',
  'CREATE SCHEMA evasion',
  'CREATE TYPE evasion AS ENUM ()',
  'CREATE DOMAIN evasion AS int',
  'CALL writing(3)',
  'VACUUM t',
  'REINDEX TABLE t',
  'LOCK TABLE t',
  'BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE',
] as const

/** Denied to read_only as well. */
const writes = [
  'INSERT INTO t VALUES (3)',
  'UPDATE t SET a = 3',
  'DELETE FROM t',
  'MERGE INTO t USING (VALUES (1)) v(a) ON t.a = v.a WHEN MATCHED THEN DELETE',
  'WITH d AS (DELETE FROM t) SELECT 1',
  'WITH s AS (SELECT 1), d AS (INSERT INTO t VALUES (3) RETURNING a) TABLE s',
  'WITH d AS (MERGE INTO t USING (VALUES (1)) v(a) ON false WHEN NOT MATCHED THEN INSERT VALUES (3) RETURNING 1) SELECT * FROM d',
  'SELECT * FROM t FOR UPDATE',
  'SELECT (SELECT a FROM t LIMIT 1 FOR KEY SHARE)',
  "SELECT nextval('s')",
  "SELECT ('s'::regclass).nextval",
  "SELECT x.nextval FROM (SELECT 's'::regclass) AS f(x)",
  "SELECT setval('s', 100)",
  'SELECT lo_create(0)',
  "SELECT lo_from_bytea(0, 'x')",
  'SELECT (0).lo_creat',
  'SELECT lo_open(1, 131072)',
  'SELECT pg_advisory_lock(1)',
  'SELECT (1::bigint).pg_advisory_lock',
  'SELECT pg_try_advisory_lock(a) FROM t',
  "SELECT pg_notify('evasion', 'x')",
  'NOTIFY evasion',
  'SELECT writes(3)',
  'SELECT public.writes(3)',
  'SELECT * FROM writes(3)',
  'SELECT tells(1)',
  'COPY t FROM STDIN',
  'COPY (DELETE FROM t RETURNING a) TO STDOUT',
  'EXPLAIN ANALYZE DELETE FROM t',
  'BEGIN READ WRITE; DELETE FROM t; COMMIT',
  'START TRANSACTION READ ONLY, READ WRITE; DELETE FROM t; COMMIT',
  'SET TRANSACTION READ WRITE; DELETE FROM t',
  'SET transaction_read_only = off; DELETE FROM t',
  'SET transaction_read_only TO DEFAULT; DELETE FROM t',
  'SET "Default_Transaction_Read_Only" = off',
  'RESET default_transaction_read_only',
  'SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE',
  "SELECT set_config('default_transaction_read_only', 'off', false)",
  "SELECT set_config('transaction_read_only', 'off', true)",
] as const

/** Denied to everybody: they would make the server read another text than was judged. */
const differentials = [
  'SET standard_conforming_strings = off',
  "SET NAMES 'SJIS'",
  "SET client_encoding TO 'GBK'",
  'SET backslash_quote = on',
  "SELECT set_config('standard_conforming_strings', 'off', false)",
  "SELECT set_config('client_' || 'encoding', 'SJIS', false)",
] as const

const attempts: readonly (readonly [string, readonly string[]])[] = [
  ['read_only', [...administration, ...structure, ...writes, ...differentials]],
  ['read_limited_write', [...administration, ...structure, ...differentials]],
  ['read_full_write', [...administration, ...differentials]],
]

let warden: Warden
let superuser: Client
const notified: string[] = []

beforeAll(async () => {
  warden = await Warden.start(inject('adminUrl'), { schema })
  superuser = new Client({ connectionString: warden.target.url })
  await superuser.connect()
  superuser.on('notification', ({ channel }) => notified.push(channel))
  await superuser.query('LISTEN evasion')
})
afterAll(async () => {
  await superuser.end()
  await warden.stop()
})

async function state(): Promise<string> {
  const { rows } = await superuser.query<{ state: string }>(fingerprint)
  return rows[0]?.state ?? ''
}

async function open(role: string, parameters: Record<string, string> = {}): Promise<WireClient> {
  return WireClient.logIn(warden.port, await warden.login(role), parameters)
}

type Road = readonly [string, readonly FrontendMessage[]]

/** Every road by which a statement can reach the executor. */
function roads(text: string): readonly Road[] {
  const found: Road[] = [
    ['simple', [sql(text)]],
    ['behind another statement', [sql(`SELECT 1;${text}`)]],
    ['in a transaction', [sql('BEGIN'), sql(text), sql('COMMIT')]],
    ['behind a comment', [sql(`/* /* SELECT 1 */ */ -- x\r${text}`)]],
    ['extended', [parse(text), bind(), execute(), sync]],
    ['named', [parse(text, 'e'), bind('e', 'p'), execute('p', 1), sync]],
    ['in a pipeline', [parse('SELECT 1'), bind(), execute(), parse(text), bind(), execute(), sync]],
  ]
  if (!text.includes(';')) {
    found.push(['in a block', [sql(`DO $road$ BEGIN EXECUTE $e$${text}$e$; END $road$`)]])
  }
  if (/^(SELECT|TABLE|VALUES|WITH|INSERT|UPDATE|DELETE|MERGE)\b/.test(text)) {
    found.push(
      ['EXPLAIN ANALYZE', [sql(`EXPLAIN (ANALYZE, COSTS off) ${text}`)]],
      ['PREPARE', [sql(`PREPARE p1 AS ${text}`), sql('EXECUTE p1'), sql('DEALLOCATE ALL')]],
      ['PREPARE and Bind', [sql(`PREPARE p2 AS ${text}`), bind('p2'), execute(), sync]],
      ['COPY', [sql(`COPY (${text}) TO STDOUT`)]],
    )
  }
  if (/^(SELECT|TABLE)\b/.test(text)) {
    found.push(
      ['a cursor', [sql(`BEGIN; DECLARE c CURSOR FOR ${text}; FETCH ALL FROM c; COMMIT`)]],
      ['CREATE TABLE AS', [sql(`EXPLAIN ANALYZE CREATE TEMP TABLE e AS ${text}`)]],
    )
  }
  return found
}

describe.each(attempts)('%s', (role, texts) => {
  let wire: WireClient
  beforeAll(async () => {
    wire = await open(role)
  })
  afterAll(() => wire.close())

  it.each(texts)('cannot, by any road: %s', async (text) => {
    if (wire.ended) wire = await open(role)
    const before = await state()
    notified.length = 0
    for (const [road, messages] of roads(text)) {
      wire.says(...messages, sql('ROLLBACK'), sql("SELECT 'here'"))
      const codes = sqlstates(await hearsUntilRow(wire, 'here'))
      expect(codes.length, road).toBeGreaterThan(0)
      expect(codes[0], road).toBe('42501')
    }
    expect(await state()).toBe(before)
    expect(notified).toEqual([])
  })
})

describe('read_only', () => {
  it('keeps its pin through every reset that is allowed', async () => {
    const wire = await open('read_only')
    for (const text of ['RESET ALL', 'DISCARD ALL', 'COMMIT AND CHAIN', 'ROLLBACK']) {
      wire.query(text)
      await wire.hears('readyForQuery')
      wire.query('SHOW default_transaction_read_only')
      const answer = await wire.hears('readyForQuery')
      expect(answer).toContainEqual({ type: 'dataRow', values: [Buffer.from('on')] })
    }
    wire.close()
  })

  // A parse tree cannot tell `x.f` the column from `x.f` the function; the target's catalog can.
  it.each(['SELECT (3).writes', 'SELECT (77).tells', 'SELECT x.tells FROM (SELECT 77) AS f(x)'])(
    'runs no function of the database in attribute notation: %s',
    async (text) => {
      const before = await state()
      const wire = await open('read_only')
      wire.query(text)
      expect(sqlstates(await wire.hears('readyForQuery'))).toEqual(['42501'])
      expect(await state()).toBe(before)
      wire.close()
    },
  )
})
