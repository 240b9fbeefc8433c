// The session context against a real row-level security policy: two principals, one table, each sees its
// own rows, and nothing that either may say changes that. The statements are those of context.tsv.

import { readFileSync } from 'node:fs'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { unescaped } from '../support/corpora.ts'
import { Warden } from '../support/warden.ts'

const folder = new URL('../fixtures/corpus/', import.meta.url)
const attempts = readFileSync(new URL('context.tsv', folder), 'utf8')
  .trimEnd()
  .split('\n')
  .slice(1)
  .map((line) => {
    const [id = '', text = ''] = line.split('\t')
    return { id, sql: unescaped(text) }
  })

const roles = ['read_only', 'read_limited_write', 'read_full_write', 'admin'] as const

/** All that a login can have without being an owner or a superuser, to whom such policies do not apply. */
const rights = [
  'GRANT ALL ON ALL TABLES IN SCHEMA public TO {{name}}',
  'GRANT ALL ON SCHEMA public TO {{name}}',
  'GRANT pg_read_all_settings, pg_execute_server_program TO {{name}}',
]

let warden: Warden
beforeAll(async () => {
  const admin = new URL(inject('adminUrl'))
  warden = await Warden.start(inject('adminUrl'), {
    schema: readFileSync(new URL('context.sql', folder), 'utf8'),
    shop: [
      "sessionContext: { app.current_user_id: '{{principal}}', app.current_user_role: '{{role}}' }",
    ],
    credentials: [
      'broker:',
      `  user: ${JSON.stringify(decodeURIComponent(admin.username))}`,
      `  password: ${JSON.stringify(decodeURIComponent(admin.password))}`,
      `  owned: { reassignTo: ${JSON.stringify(decodeURIComponent(admin.username))} }`,
      '  creation:',
      ...roles.map((role) => `    ${role}: ${JSON.stringify(rights)}`),
    ],
    // By claims, and for an identity that does not have them.
    targets: [
      'claimed:',
      '  <<: *shop',
      "  sessionContext: { app.current_user_id: '{{claims.uid}}' }",
    ],
  })
})
afterAll(() => warden.stop())

async function connected(role: string, user: string): Promise<Client> {
  const client = new Client(await warden.login(role, { user }))
  client.on('error', () => undefined)
  await client.connect()
  return client
}

/** The SQLSTATE of its failure. */
async function failure(work: Promise<unknown>): Promise<string | undefined> {
  try {
    await work
    return undefined
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error)
  }
}

/** Whose rows the session sees, and who the database takes it for; undefined in a failed transaction. */
async function seen(client: Client): Promise<string | undefined> {
  const sql = `SELECT string_agg(DISTINCT owner, ',') || ' as ' || current_setting('app.current_user_id')
    AS seen FROM orders`
  const answer = await client.query<{ seen: string }>(sql).catch(() => undefined)
  return answer === undefined ? undefined : String(answer.rows[0]?.seen)
}

/** Each statement of a text that has no bodies with semicolons in them. */
function statementsOf(sql: string): readonly string[] {
  return sql.includes('$$') || sql.includes('ATOMIC') ? [sql] : sql.split('; ')
}

describe('a principal sees the rows that are its own', () => {
  it('alice hers, bob his, with every role', async () => {
    for (const role of roles) {
      for (const user of ['alice', 'bob']) {
        const client = await connected(role, user)
        expect([role, await seen(client)]).toEqual([role, `${user} as ${user}`])
        const { rows } = await client.query(
          "SELECT current_setting('app.current_user_role') AS role",
        )
        expect(rows).toEqual([{ role }])
        await client.end()
      }
    }
  })

  it('also after RESET ALL and DISCARD ALL', async () => {
    const client = await connected('read_only', 'alice')
    for (const sql of ['RESET ALL', 'DISCARD ALL']) {
      await client.query(sql)
      expect([sql, await seen(client)]).toEqual([sql, 'alice as alice'])
    }
    await client.end()
  })

  it.each(roles)('whatever a %s tries', async (role) => {
    const client = await connected(role, 'alice')
    const surprises: string[] = []
    for (const { id, sql } of attempts) {
      for (const way of ['simple', 'extended'] as const) {
        const texts = way === 'simple' ? [sql] : statementsOf(sql)
        for (const text of texts) {
          const query = way === 'simple' ? client.query(text) : client.query({ text, values: [] })
          await failure(query)
        }
        const during = await seen(client)
        // Off, it makes the server refuse what a policy would filter: an answer to nobody.
        await client.query('ROLLBACK; RESET row_security')
        const after = await seen(client)
        await client.query('DISCARD ALL')
        const fine =
          (during === undefined || during === 'alice as alice') && after === 'alice as alice'
        if (!fine) surprises.push(`${id} (${way}): ${during} / ${after}`)
      }
    }
    expect(surprises).toEqual([])
    await client.end()
  })

  it('while most of that works where no pgwarden stands between', async () => {
    await warden.asSuperuser((client) =>
      client.query(`drop role if exists trial_direct; create role trial_direct login password 'direct';
        ${rights.join(';').replaceAll('{{name}}', 'trial_direct')}`),
    )
    const url = new URL(warden.target.url)
    url.username = 'trial_direct'
    url.password = 'direct'
    const options = '-c app.current_user_id=alice'
    const working: string[] = []
    const client = new Client({ connectionString: url.href, options })
    client.on('error', () => undefined)
    await client.connect()
    for (const { id, sql } of attempts) {
      await client.query('BEGIN')
      await failure(client.query(sql))
      if (!['alice as alice', undefined].includes(await seen(client))) working.push(id)
      await client.query('ROLLBACK')
      await client.query('DISCARD ALL')
    }
    await client.end()
    await warden.asSuperuser((client) =>
      client.query('drop owned by trial_direct; drop role trial_direct'),
    )
    expect(working.length).toBeGreaterThan(60)
  })
})

describe('what must go on working beside a session context', () => {
  it('the functions of the database that change nothing, SET of other settings, temporary tables', async () => {
    const client = await connected('read_full_write', 'alice')
    for (const sql of [
      'SELECT whoami(), price(2), switched()',
      'SELECT * FROM switches_seen',
      "SET application_name = 'x'",
      "SELECT set_config('work_mem', '1MB', false)",
      'CREATE TEMP TABLE mine AS SELECT * FROM orders',
      "INSERT INTO notes (note) VALUES ('x')",
      "INSERT INTO orders VALUES (5, 'alice', 'a5')",
      'DELETE FROM orders WHERE id = 5',
    ]) {
      expect([sql, await failure(client.query(sql))]).toEqual([sql, undefined])
    }
    expect(await failure(client.query("INSERT INTO orders VALUES (6, 'bob', 'b6')"))).toBe('42501')
    await client.end()
  })

  it('a denial says which rule, and why', async () => {
    const client = await connected('admin', 'alice')
    await expect(client.query("SELECT become('bob')")).rejects.toHaveProperty(
      'detail',
      'Rule admin/context does not allow function become, because it changes the setting app.current_user_id, and here settings say who the session is, which no statement may change.',
    )
    await expect(client.query('DO $$ BEGIN END $$')).rejects.toThrow(
      'permission denied for role admin: DO',
    )
    await client.end()
  })
})

describe('a login', () => {
  it.each([
    { options: '-c app.current_user_id=bob' },
    { options: '-c APP.Current_User_Id=bob' },
    { options: '--app.current-user-id=bob' },
    { options: '-c role=postgres' },
  ])('that brings settings of the context is refused: $options', async ({ options }) => {
    for (const role of roles) {
      const client = new Client({ ...(await warden.login(role, { user: 'alice' })), options })
      client.on('error', () => undefined)
      expect(await failure(client.connect())).toBe('42501')
    }
  })

  it('without a claim that the context needs is refused, and with it opens', async () => {
    const login = await warden.login('read_only', { user: 'carol', target: 'claimed' })
    const open = async (): Promise<Client> => {
      const client = new Client({ ...login, database: 'claimed' })
      client.on('error', () => undefined)
      await client.connect()
      return client
    }
    const claims = (value: object) =>
      warden.inStore((client) =>
        client.query('update pgwarden.grants set claims = $1 where id = $2', [
          value,
          login.grantId,
        ]),
      )
    await expect(open()).rejects.toThrow('cannot tell this database who you are')
    for (const uid of [undefined, '', 'x'.repeat(2000)]) {
      await claims({ uid })
      expect(await failure(open())).toBe('28000')
    }
    await claims({ uid: 'bob' })
    const client = await open()
    expect(await seen(client)).toBe('bob as bob')
    await client.end()
  })
})
