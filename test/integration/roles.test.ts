// Each cell of the table of roles and commands: allowed and denied, inside and outside a transaction,
// by the simple and the extended protocol, pipelined, with the pg driver and with psql. The login
// upstream is a superuser, so that whatever is denied here is denied by pgwarden.

import { Client, type ClientConfig, type QueryConfig } from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { findPsql, runProgram } from '../support/psql.ts'
import { bind, execute, parse, sync } from '../support/scripted-session.ts'
import { Warden } from '../support/warden.ts'
import { WireClient } from '../support/wire-client.ts'

const schema = `
  create table items (id int primary key, name text not null);
  insert into items select n, 'item ' || n from generate_series(1, 100) n;
  create table spare (id int);
  create role reporting nologin;
`

/** Each statement undoes or repeats itself, so that the order of tests means nothing. */
const commands = [
  ['SELECT', 'SELECT count(*) FROM items', 0],
  ['EXPLAIN', 'EXPLAIN SELECT * FROM items', 0],
  ['INSERT', "INSERT INTO items VALUES (101, 'new') ON CONFLICT DO NOTHING", 1],
  ['UPDATE', 'UPDATE items SET name = name WHERE id = 1', 1],
  ['DELETE', 'DELETE FROM items WHERE id = 101', 1],
  [
    'MERGE',
    'MERGE INTO items USING (VALUES (1)) v(id) ON items.id = v.id WHEN MATCHED THEN UPDATE SET name = name',
    1,
  ],
  ['TRUNCATE TABLE', 'TRUNCATE spare', 2],
  ['CREATE TABLE', 'CREATE TABLE IF NOT EXISTS extra (id int)', 2],
  ['ALTER TABLE', 'ALTER TABLE spare ADD COLUMN IF NOT EXISTS more int', 2],
  ['CREATE INDEX', 'CREATE INDEX IF NOT EXISTS spare_id ON spare (id)', 2],
  ['DROP TABLE', 'DROP TABLE IF EXISTS extra', 2],
  ['CREATE ROLE', 'CREATE ROLE somebody', 3],
  ['DROP ROLE', 'DROP ROLE IF EXISTS somebody', 3],
  ['GRANT', 'GRANT SELECT ON items TO reporting', 3],
  ['REVOKE', 'REVOKE SELECT ON items FROM reporting', 3],
] as const

const roles = ['read_only', 'read_limited_write', 'read_full_write', 'admin'] as const

const cells = roles.flatMap((role, power) =>
  commands.map(([tag, text, needs]) => ({ role, tag, text, allowed: power >= needs })),
)

let warden: Warden
const logins = new Map<string, ClientConfig & { user: string; password: string }>()

beforeAll(async () => {
  warden = await Warden.start(inject('adminUrl'), {
    schema: `do $$ begin if exists (select from pg_roles where rolname = 'reporting') then drop role reporting; end if; end $$; ${schema}`,
  })
  for (const role of roles) logins.set(role, await warden.login(role))
})
afterAll(async () => {
  await warden.asSuperuser(async (client) => {
    await client.query('drop role if exists somebody')
    await client.query('drop owned by reporting; drop role reporting')
  })
  await warden.stop()
})

async function open(role: string): Promise<Client> {
  const client = new Client(logins.get(role))
  client.on('error', () => undefined)
  await client.connect()
  return client
}

/** `ok`, or the SQLSTATE. */
async function outcome(client: Client, query: string | QueryConfig): Promise<string> {
  try {
    await client.query(query)
    return 'ok'
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error)
  }
}

const named = (name: string, text: string): QueryConfig => ({ name, text, values: [] })

describe.each(roles)('%s', (role) => {
  let client: Client
  beforeAll(async () => {
    client = await open(role)
  })
  afterAll(() => client.end())

  it.each(cells.filter((cell) => cell.role === role))(
    '$tag: allowed is $allowed',
    async ({ tag, text, allowed }) => {
      const expected = allowed ? 'ok' : '42501'
      // CREATE ROLE has no IF NOT EXISTS.
      const undo = tag === 'CREATE ROLE' && allowed ? 'DROP ROLE somebody' : 'SELECT 1'

      expect(await outcome(client, text), 'simple').toBe(expected)
      await client.query(undo)
      expect(await outcome(client, { text, values: [] }), 'extended').toBe(expected)
      await client.query(undo)
      expect(await outcome(client, named(tag, text)), 'prepared').toBe(expected)
      await client.query(undo)

      await client.query('BEGIN')
      expect(await outcome(client, text), 'in a transaction').toBe(expected)
      expect(await outcome(client, 'SELECT 1'), 'after it').toBe(allowed ? 'ok' : '25P02')
      await client.query('ROLLBACK')

      await client.query('BEGIN')
      await client.query('SAVEPOINT before')
      expect(await outcome(client, { text, values: [] }), 'after a savepoint').toBe(expected)
      await client.query('ROLLBACK TO SAVEPOINT before')
      expect(await outcome(client, 'SELECT 1'), 'after rolling back to it').toBe('ok')
      await client.query('COMMIT')
      expect(await outcome(client, 'SELECT 1'), 'the session lives on').toBe('ok')
    },
  )
})

const run = (text: string) => [parse(text), bind(), execute()]

describe('a pipeline', () => {
  it('with a denied statement fails there, and undoes what came before in the same Sync group', async () => {
    const login = await warden.login('read_limited_write')
    const wire = await WireClient.logIn(warden.port, login)
    wire.says(
      ...run("INSERT INTO items VALUES (500, 'half')"),
      ...run('DROP TABLE items'),
      ...run("INSERT INTO items VALUES (501, 'never')"),
      sync,
    )
    const answer = await wire.hears('readyForQuery')
    expect(answer.map(({ type }) => type)).toEqual([
      'parseComplete',
      'bindComplete',
      'commandComplete',
      'errorResponse',
      'readyForQuery',
    ])
    expect(answer[3]).toMatchObject({ fields: { C: '42501' } })
    wire.query('SELECT FROM items WHERE id >= 500')
    expect(await wire.hears('readyForQuery')).toContainEqual({
      type: 'commandComplete',
      tag: 'SELECT 0',
    })
    wire.close()
  })

  it('of simple queries keeps every answer in its place', async () => {
    const client = await open('read_only')
    const answers = await Promise.allSettled([
      client.query('SELECT 1 AS n'),
      client.query('DELETE FROM items'),
      client.query('SELECT 2 AS n'),
      client.query('DROP TABLE items'),
      client.query('SELECT 3 AS n'),
    ])
    expect(answers.map(({ status }) => status)).toEqual([
      'fulfilled',
      'rejected',
      'fulfilled',
      'rejected',
      'fulfilled',
    ])
    await client.end()
  })
})

describe('a denial', () => {
  it('says which rule, what in the statement met it, and the way to more', async () => {
    const client = await open('read_only')
    await expect(
      client.query('WITH gone AS (DELETE FROM items RETURNING id) SELECT * FROM gone'),
    ).rejects.toMatchObject({
      code: '42501',
      severity: 'ERROR',
      message: 'permission denied for role read_only: DELETE',
      detail: expect.stringContaining('common table expression "gone"') as unknown,
      hint: expect.stringContaining('read_limited_write') as unknown,
    })
    await client.end()
  })

  it('of one statement is a denial of the whole string', async () => {
    const client = await open('read_limited_write')
    await expect(
      client.query("INSERT INTO items VALUES (900, 'x'); DROP TABLE items"),
    ).rejects.toMatchObject({ code: '42501' })
    const { rows } = await client.query('SELECT count(*)::int AS n FROM items WHERE id = 900')
    expect(rows).toEqual([{ n: 0 }])
    await client.end()
  })

  it('keeps a read_only session read-only, whatever it tries', async () => {
    const client = await open('read_only')
    for (const text of [
      'SET default_transaction_read_only = off',
      'SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE',
      'BEGIN READ WRITE',
      'SET transaction_read_only = off; DELETE FROM items',
      "SELECT set_config('default_transaction_read_only', 'off', false)",
      'RESET default_transaction_read_only',
    ]) {
      expect(await outcome(client, text), text).toBe('42501')
    }
    expect(await outcome(client, 'RESET ALL')).toBe('ok')
    const { rows } = await client.query('SHOW default_transaction_read_only')
    expect(rows).toEqual([{ default_transaction_read_only: 'on' }])
    await client.end()
  })
})

describe('psql', () => {
  const psql = findPsql()
  if (psql === undefined) console.warn('NOT RUN: psql is not installed, so its tests are not run')

  it.runIf(psql !== undefined).each(cells)(
    '$role, $tag: allowed is $allowed',
    async ({ role, tag, text, allowed }) => {
      const { user, password } = logins.get(role) ?? { user: '', password: '' }
      const conninfo = `host=127.0.0.1 port=${warden.port} dbname=shop user=${user} sslmode=disable`
      const script = [
        `${text};`,
        tag === 'CREATE ROLE' && allowed ? 'DROP ROLE somebody;' : '',
        'BEGIN;',
        `${text};`,
        'ROLLBACK;',
        "SELECT 'still ' || 'here';",
      ].join('\n')
      const { stdout, stderr } = await runProgram(
        psql ?? '',
        ['-X', '-At', '-v', 'VERBOSITY=verbose', conninfo],
        { env: { PGPASSWORD: password }, input: script },
      )
      expect(stderr.match(/42501/g)?.length ?? 0).toBe(allowed ? 0 : 2)
      expect(stdout).toContain('still here')
    },
  )
})
