// Relations that are kept from a role, against a real server: by whatever name, schema, search path, temporary
// table, partition or command somebody comes, no row of them is seen. The login upstream is a superuser.

import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { Warden } from '../support/warden.ts'

const secret = 'the secret'
const schema = `
  create schema hr;
  create table hr.salaries (id int primary key, note text);
  create table hr.pg_salaries (note text);
  create table hr."Mixed Case" (note text);
  create table hr.${'l'.repeat(63)} (note text);
  create table public.events (id int, note text) partition by range (id);
  create table hr.events_1 partition of public.events for values from (0) to (10);
  create table public.people (id int, note text);
  create table hr.managers () inherits (public.people);
  create table public.notes (id int, note text);
  insert into public.notes values (1, 'a note');
  create sequence hr.ids start 4711;
  create function public.run(text) returns setof text language plpgsql stable as
    $$ begin return query execute $1; end $$;
  ${['hr.salaries (note, id)', 'public.events (note, id)', 'hr.managers (note, id)']
    .map((into) => `insert into ${into} values ('${secret}', 1);`)
    .join('\n')}
  ${['hr.pg_salaries', 'hr."Mixed Case"', `hr.${'l'.repeat(63)}`]
    .map((into) => `insert into ${into} values ('${secret}');`)
    .join('\n')}
`

const attempts: readonly string[] = [
  'SELECT note FROM hr.salaries',
  'SELECT note FROM HR.Salaries',
  'SELECT note FROM "hr"."salaries"',
  'SELECT note FROM U&"h\\0072".salaries',
  'SELECT note FROM ONLY hr.salaries',
  'TABLE hr.salaries',
  'SET search_path = hr; SELECT note FROM salaries',
  'SET search_path = "$user", hr; SELECT note FROM salaries',
  'SET search_path = hr; SELECT note FROM pg_salaries',
  'SET search_path = hr; SELECT note FROM "Mixed Case"',
  `SELECT note FROM hr.${'l'.repeat(70)}`,
  `SELECT note FROM hr."${'l'.repeat(70)}"`,
  "SELECT set_config('search_path', 'hr', false); SELECT note FROM salaries",
  'CREATE TEMP TABLE salaries AS SELECT 1; DROP TABLE pg_temp.salaries; SET search_path = hr; SELECT note FROM salaries',
  'SELECT note FROM events',
  'SELECT note FROM hr.events_1',
  'SELECT note FROM people',
  'SELECT note FROM people*',
  'WITH salaries AS (SELECT 1) SELECT note FROM hr.salaries',
  'WITH x AS (SELECT note FROM hr.salaries) SELECT * FROM x',
  'SELECT (SELECT max(note) FROM hr.salaries)',
  'SELECT s FROM hr.salaries s',
  'SELECT row_to_json(s) FROM hr.salaries s',
  'COPY hr.salaries TO STDOUT',
  'COPY (TABLE hr.salaries) TO STDOUT',
  'UPDATE hr.salaries SET id = id RETURNING note',
  'UPDATE notes SET note = (SELECT note FROM hr.salaries) RETURNING note',
  'UPDATE notes SET note = s.note FROM hr.salaries s RETURNING notes.note',
  'DELETE FROM notes USING hr.salaries s RETURNING s.note',
  'INSERT INTO notes SELECT id, note FROM hr.salaries RETURNING note',
  'MERGE INTO notes n USING hr.salaries s ON n.id = s.id WHEN MATCHED THEN UPDATE SET note = s.note',
  'CREATE TEMP TABLE x AS TABLE hr.salaries; TABLE x',
  'SELECT * INTO TEMP x FROM hr.salaries; TABLE x',
  'CREATE TEMP VIEW x AS TABLE hr.salaries; TABLE x',
  'CREATE MATERIALIZED VIEW x AS TABLE hr.salaries; TABLE x',
  'ALTER TABLE hr.salaries RENAME TO open; TABLE hr.open',
  'ALTER TABLE hr.salaries SET SCHEMA public; TABLE public.salaries',
  'ALTER SCHEMA hr RENAME TO open; TABLE open.salaries',
  'ALTER TABLE hr.salaries INHERIT public.notes; TABLE notes',
  'CREATE TABLE p (id int, note text) PARTITION BY LIST (id); ALTER TABLE p ATTACH PARTITION hr.salaries DEFAULT; TABLE p',
  'PREPARE x AS TABLE hr.salaries; EXECUTE x',
  'BEGIN; DECLARE c CURSOR FOR TABLE hr.salaries; FETCH c',
  "SELECT query_to_xml('table hr.salaries', true, true, '')",
  "SELECT table_to_xml('hr.salaries', true, true, '')",
  "SELECT run('select note from hr.salaries')",
  "DO $$ BEGIN RAISE EXCEPTION '%', (SELECT note FROM hr.salaries); END $$",
  "SELECT nextval('hr.ids')",
  "SELECT nextval('hr.ids'::regclass)",
  "SELECT nextval('hr' || '.ids')",
  'SET search_path = hr; SELECT nextval($$ids$$)',
  'SELECT last_value FROM hr.ids',
  "SELECT most_common_vals FROM pg_stats WHERE tablename = 'salaries'",
  'EXPLAIN (ANALYZE, VERBOSE) SELECT * FROM hr.salaries WHERE note > $$a$$',
]

let warden: Warden
beforeAll(async () => {
  warden = await Warden.start(inject('adminUrl'), { schema, shop: ["sensitive: ['hr.*']"] })
})
afterAll(() => warden.stop())

/** All that a client is told, rows and errors alike. */
async function told(client: Client, sql: string): Promise<string> {
  try {
    return JSON.stringify(await client.query(sql))
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

describe('what a target calls sensitive', () => {
  it.each(['read_only', 'read_limited_write', 'read_full_write'])(
    'is seen by no %s, whatever it tries',
    async (role) => {
      const client = await warden.connect(role)
      const seen: string[] = []
      for (const sql of attempts) {
        const answer = await told(client, sql)
        if (/the secret|4711/.test(answer) || !answer.startsWith('permission denied'))
          seen.push(`${sql}: ${answer}`)
        await client.query('ROLLBACK')
        await client.query('DISCARD ALL')
      }
      await client.end()
      expect(seen).toEqual([])
    },
  )

  it('is open to admin, and what is not sensitive to all', async () => {
    const admin = await warden.connect('admin')
    expect(await told(admin, 'SET search_path = hr; SELECT note FROM salaries')).toContain(secret)
    await admin.end()
    const reader = await warden.connect('read_only')
    expect(await told(reader, 'SELECT note FROM notes')).toContain('a note')
    await reader.end()
  })
})

describe('a grant for certain relations', () => {
  it('shows these and no others, and a temporary table stands in for none', async () => {
    const login = await warden.login('read_full_write')
    await warden.inStore((client) =>
      client.query('update pgwarden.grants set relations = $1 where id = $2', [
        { read: ['public.notes', 'pg_temp.*'], write: ['public.notes', 'pg_temp.*'] },
        login.grantId,
      ]),
    )
    const client = new Client(login)
    await client.connect()
    expect(await told(client, 'SELECT note FROM notes')).toContain('a note')
    expect(await told(client, 'SELECT note FROM people')).toContain('relation people')
    expect(await told(client, 'CREATE TEMP TABLE people (note text)')).toMatch(/^permission denied/)
    await client.end()
  })
})
