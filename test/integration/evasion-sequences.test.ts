// Ways past an access proxy that take more than one statement: connection settings, messages out of
// order, names that change their meaning, errors in the middle of a pipeline, texts that two parsers
// read differently. Against a real server whose login is a superuser; what counts is the effect.

import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import { encodeCancelRequest } from '../../src/wire/startup.ts'
import { hearsUntilRow, sqlstates } from '../support/answers.ts'
import { bind, execute, parse, sql, sync } from '../support/scripted-session.ts'
import { refill, rowsOf, twoRows } from '../support/two-rows.ts'
import { Warden } from '../support/warden.ts'
import { WireClient } from '../support/wire-client.ts'

/** A database role that is nobody's. */
const other = `other_${randomBytes(4).toString('hex')}`

const schema = `
  ${twoRows}
  CREATE ROLE ${other};
  CREATE FUNCTION becomes(text) RETURNS text LANGUAGE sql AS
    $$ SELECT set_config('role', '${other}', false) $$;
  CREATE FUNCTION says_who(text) RETURNS text LANGUAGE sql AS
    $$ SELECT set_config('session_authorization', '${other}', false) $$;
  CREATE FUNCTION lifts(int) RETURNS text LANGUAGE sql AS
    $$ SELECT set_config('standard_conforming_strings', 'off', false) $$;
`

let warden: Warden
const open: WireClient[] = []

beforeAll(async () => {
  warden = await Warden.start(inject('adminUrl'), { schema })
})
afterAll(async () => {
  await warden.asSuperuser((client) => client.query(`DROP ROLE ${other}`))
  await warden.stop()
})
beforeEach(async () => {
  await refill(warden)
  return () => {
    for (const wire of open.splice(0)) wire.close()
  }
})

async function connect(
  role: string,
  parameters: Readonly<Record<string, string>> = {},
): Promise<WireClient> {
  const wire = await WireClient.logIn(warden.port, await warden.login(role), parameters)
  open.push(wire)
  return wire
}

/** The SQLSTATE and text of the FATAL that a login with these parameters gets. */
async function refusal(
  role: string,
  parameters: Readonly<Record<string, string>>,
): Promise<string> {
  const { user, password } = await warden.login(role)
  const wire = await WireClient.dial(warden.port)
  open.push(wire)
  wire.startup({ user, database: 'shop', ...parameters })
  await expect.poll(() => wire.heard.length + Number(wire.ended)).toBeGreaterThan(0)
  if (wire.heard[0]?.type !== 'errorResponse') {
    await wire.proves(password)
  }
  await expect.poll(() => wire.ended || wire.heard.at(-1)?.type === 'readyForQuery').toBe(true)
  return sqlstates(wire.heard).join()
}

async function exists(relation: string): Promise<boolean> {
  const query = 'SELECT FROM pg_class WHERE relname = $1'
  const { rowCount } = await warden.asSuperuser((client) => client.query(query, [relation]))
  return rowCount !== 0
}

async function value(wire: WireClient, text: string): Promise<string | undefined> {
  wire.query(text)
  const row = (await wire.hears('readyForQuery')).find((message) => message.type === 'dataRow')
  return row?.type === 'dataRow' ? row.values[0]?.toString() : undefined
}

describe('connection settings', () => {
  it.each([
    ['read_only', { standard_conforming_strings: 'off' }],
    ['admin', { standard_conforming_strings: 'off' }],
    ['admin', { options: '-c standard_conforming_strings=off' }],
    ['admin', { options: '-c standard_conforming_strings=on -cstandard_conforming_strings=off' }],
    ['admin', { options: '--standard-conforming-strings=off' }],
    ['admin', { Standard_Conforming_Strings: 'off' }],
    ['admin', { client_encoding: 'SJIS' }],
    ['admin', { options: '-c client_encoding=GBK' }],
    ['admin', { options: '-c backslash_quote=on' }],
    ['admin', { options: '-O' }],
    ['admin', { options: '-c options=-cstandard_conforming_strings=off' }],
    ['read_only', { default_transaction_read_only: 'off' }],
    ['read_only', { options: '-c default_transaction_read_only=off' }],
    ['read_only', { options: '-c DEFAULT_TRANSACTION_READ_ONLY=off' }],
    ['read_only', { role: 'pg_monitor' }],
    ['read_limited_write', { options: '-c role=pg_monitor' }],
    ['read_full_write', { session_replication_role: 'replica' }],
    ['read_only', { search_path: 'pg_temp, public' }],
    ['read_only', { 'my.tenant': '42' }],
  ] as const)('do not give %s %j', async (role, parameters) => {
    expect(await refusal(role, parameters)).toBe('42501')
  })

  it.each([{ replication: 'database' }, { replication: 'true' }, { replication: 'ON' }])(
    'do not turn a session into a replication one: %j',
    async (parameters) => {
      expect(await refusal('admin', parameters)).toBe('0A000')
    },
  )

  it.each([
    '-c database=postgres',
    '-c user=postgres',
    '-c replication=database',
    '--database=postgres',
  ])('do not choose another database, user or protocol by options: %s', async (options) => {
    expect(await refusal('admin', { options })).toBe('42501')
  })
})

describe('a text that two parsers could read differently', () => {
  const quotes = "SELECT '\\' || current_user || ' ; CREATE TABLE evasion(a int); --'"

  it.each(['read_only', 'admin'])('is one statement for %s, whatever was tried', async (role) => {
    const wire = await connect(role)
    for (const text of ['SET standard_conforming_strings = off', quotes]) {
      wire.query(text)
      await wire.hears('readyForQuery')
    }
    expect(await exists('evasion')).toBe(false)
  })

  it('in another encoding is refused as what it is: not UTF-8', async () => {
    const wire = await connect('admin')
    wire.query("SET NAMES 'SJIS'")
    await wire.hears('readyForQuery')
    const bytes = Buffer.from("SELECT E'\x83\x5C'; CREATE TABLE evasion(a int); --'", 'latin1')
    wire.says({ type: 'query', text: bytes })
    expect(sqlstates(await wire.hears('readyForQuery'))).toEqual(['22021'])
    expect(await exists('evasion')).toBe(false)
  })

  it('is not run when it comes right behind what lifts the setting', async () => {
    const wire = await connect('read_limited_write')
    wire.says(sql('SELECT lifts(1)'), sql(quotes))
    await wire.hearsTheEnd()
    expect(await exists('evasion')).toBe(false)
  })

  it('is denied where the server would read it before it says what was lifted', async () => {
    const wire = await connect('read_limited_write')
    wire.says(
      ...[parse('SELECT lifts(1)'), bind(), execute()],
      ...[parse(quotes), bind(), execute(), sync],
    )
    expect(sqlstates(await wire.hears('readyForQuery'))).toEqual(['42501'])
    expect(await exists('evasion')).toBe(false)
  })
})

describe('a setting that is changed where no text shows it', () => {
  it.each([
    ['SELECT lifts(1)', /^standard_conforming_strings$/],
    ['SELECT becomes(1::text)', /^is_superuser$/],
    // Both change, and which is reported first depends on the version.
    ['SELECT says_who(1::text)', /^(session_authorization|is_superuser)$/],
  ])('ends the session and is in the journal: %s', async (text, setting) => {
    const wire = await connect('read_limited_write')
    wire.query(text)
    expect(sqlstates(await wire.hearsTheEnd())).toContain('57P01')
    const tripwire = (await warden.journal('session.tripwire')).at(-1) ?? {}
    expect(tripwire).toMatchObject({ role: 'read_limited_write', statements: 1 })
    expect(tripwire['setting']).toMatch(setting)
    const scrape = await fetch(`http://127.0.0.1:${warden.httpPort}/metrics`)
    const sample = `pgwarden_tripwires_total{role="read_limited_write",setting="${String(tripwire['setting'])}"}`
    expect(await scrape.text()).toContain(sample)
  })

  it('does not end one whose role may become another', async () => {
    const wire = await connect('admin')
    expect(await value(wire, `SET ROLE ${other}; SELECT current_user`)).toBe(other)
    expect(await value(wire, 'RESET ROLE; SELECT 1')).toBe('1')
  })

  it('is not undone by any way to reset: read_only stays so', async () => {
    const wire = await connect('read_only')
    for (const text of [
      'RESET transaction_read_only; DELETE FROM t',
      'SET transaction_read_only TO DEFAULT; DELETE FROM t',
      'BEGIN; RESET transaction_read_only',
      'DELETE FROM t',
      'ROLLBACK',
      'RESET ALL',
      'DISCARD ALL',
      'SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE',
    ]) {
      wire.query(text)
      await wire.hears('readyForQuery')
    }
    expect(await value(wire, 'SHOW default_transaction_read_only')).toBe('on')
    expect(await value(wire, 'SHOW transaction_read_only')).toBe('on')
    expect(await rowsOf(warden)).toEqual([1, 2])
  })
})

describe('names', () => {
  it('of prepared statements are not redefined by a denied PREPARE', async () => {
    const wire = await connect('read_only')
    wire.says(parse('SELECT 41 + 1', 's1'), sync)
    await wire.hears('readyForQuery')
    wire.query('DEALLOCATE s1; PREPARE s1 AS DELETE FROM t')
    expect(sqlstates(await wire.hears('readyForQuery'))).toEqual(['42501'])
    wire.says(bind('s1'), execute(), sync)
    const answer = await wire.hears('readyForQuery')
    expect(answer).toContainEqual({ type: 'dataRow', values: [Buffer.from('42')] })
    expect(await rowsOf(warden)).toEqual([1, 2])
  })

  it('that SQL gives another meaning run as that, and are recorded as that', async () => {
    const wire = await connect('read_limited_write')
    wire.says(parse('SELECT 1', 's1'), sync)
    await wire.hears('readyForQuery')
    wire.says(sql('DEALLOCATE s1; PREPARE s1 AS DELETE FROM t WHERE a = 2'))
    wire.says(bind('s1'), execute(), sync, sql("SELECT 'end'"))
    expect(sqlstates(await hearsUntilRow(wire, 'end'))).toEqual([])
    expect(await rowsOf(warden)).toEqual([1])
    const texts = (await warden.journal('statement')).map(({ text }) => String(text))
    expect(texts.at(-2)).toContain('DELETE FROM t WHERE a = 2')
  })

  it('of cursors are those of portals: the protocol runs what SQL declared, and it is recorded', async () => {
    const wire = await connect('read_limited_write')
    wire.says(
      sql('BEGIN; DECLARE c CURSOR FOR SELECT a FROM t ORDER BY a'),
      ...[execute('c', 1), sync, sql('FETCH 1 FROM c'), sql('CLOSE c'), sql('COMMIT')],
    )
    wire.query("SELECT 'end'")
    const answer = await hearsUntilRow(wire, 'end')
    const rows = answer.flatMap((m) => (m.type === 'dataRow' ? [String(m.values[0])] : []))
    expect(rows).toEqual(['1', '2', 'end'])
    const [, run, fetch] = (await warden.journal('statement')).slice(-6)
    expect(run).toMatchObject({ protocol: 'extended', tags: ['SELECT'] })
    expect(fetch).toMatchObject({ text: 'FETCH 1 FROM c', runs: [{}] })
  })

  it('prepared in another session are nobody else’s', async () => {
    const [one, two] = [await connect('read_only'), await connect('read_only')]
    one.query('PREPARE mine AS SELECT 1')
    await one.hears('readyForQuery')
    two.query('EXECUTE mine')
    expect(sqlstates(await two.hears('readyForQuery'))).toEqual(['42501'])
  })

  it('the unnamed statement is gone after a denied Parse of it', async () => {
    const wire = await connect('read_only')
    wire.says(parse('SELECT 1'), sync)
    await wire.hears('readyForQuery')
    wire.says(parse('DELETE FROM t'), sync)
    expect(sqlstates(await wire.hears('readyForQuery'))).toEqual(['42501'])
    wire.says(bind(), execute(), sync)
    expect(sqlstates(await wire.hears('readyForQuery'))).toEqual(['26000'])
  })

  it('EXECUTE of a name that was never prepared is denied, by EXPLAIN and CREATE TABLE AS too', async () => {
    const wire = await connect('read_full_write')
    for (const text of [
      'EXECUTE x',
      'EXPLAIN ANALYZE EXECUTE x',
      'CREATE TABLE evasion AS EXECUTE x',
      'PREPARE x AS SELECT 1; DEALLOCATE x; EXECUTE x',
    ]) {
      wire.query(text)
      expect(sqlstates(await wire.hears('readyForQuery')), text).toEqual(['42501'])
    }
  })
})

describe('a denial', () => {
  it('in a pipeline undoes what came before it, once', async () => {
    const wire = await connect('read_limited_write')
    wire.says(
      ...[parse('INSERT INTO t VALUES (3)'), bind(), execute()],
      ...[parse('DROP TABLE t'), bind(), execute(), sync],
      sql("SELECT 'end'"),
    )
    const answer = await hearsUntilRow(wire, 'end')
    expect(sqlstates(answer)).toEqual(['42501'])
    expect(answer.filter(({ type }) => type === 'readyForQuery')).toHaveLength(2)
    expect(await rowsOf(warden)).toEqual([1, 2])
  })

  it('in a transaction fails it: COMMIT is a ROLLBACK', async () => {
    const wire = await connect('read_limited_write')
    wire.says(sql('BEGIN'), sql('INSERT INTO t VALUES (3)'), sql('DROP TABLE t'), sql('COMMIT'))
    wire.query("SELECT 'end'")
    const answer = await hearsUntilRow(wire, 'end')
    expect(answer).toContainEqual({ type: 'commandComplete', tag: 'ROLLBACK' })
    expect(await rowsOf(warden)).toEqual([1, 2])
  })

  it('makes the server discard everything up to Sync, a Query too', async () => {
    const wire = await connect('read_limited_write')
    wire.says(parse('DROP TABLE t'), sql('DELETE FROM t'), sync, sql("SELECT 'end'"))
    expect(sqlstates(await hearsUntilRow(wire, 'end'))).toEqual(['42501'])
    expect(await rowsOf(warden)).toEqual([1, 2])
  })

  it('of a COPY is followed by its data without harm', async () => {
    const wire = await connect('read_only')
    const row = { type: 'copyData', data: Buffer.from('7\n') } as const
    wire.says(sql('COPY t FROM STDIN'), row, row, { type: 'copyDone' }, sql("SELECT 'end'"))
    expect(sqlstates(await hearsUntilRow(wire, 'end'))).toEqual(['42501'])
    expect(await rowsOf(warden)).toEqual([1, 2])
  })
})

describe('the protocol', () => {
  it('lets no role call functions by number', async () => {
    const text = (words: string): Buffer => Buffer.from(words)
    for (const role of ['read_only', 'read_limited_write', 'read_full_write', 'admin']) {
      const wire = await connect(role)
      for (const [oid, args] of [
        [2621, []],
        [2880, [text('78')]],
        [2078, [text('default_transaction_read_only'), text('off'), text('f')]],
      ] as const) {
        wire.says({
          type: 'functionCall',
          oid,
          argumentFormats: [],
          arguments: args,
          resultFormat: 0,
        })
        expect(sqlstates(await wire.hears('readyForQuery')), role).toEqual(['42501'])
      }
    }
    const locks = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 78"
    expect((await warden.asSuperuser((client) => client.query(locks))).rows).toEqual([])
  })

  it('takes CopyData out of COPY for nothing, and no Query inside COPY', async () => {
    const wire = await connect('read_limited_write')
    wire.says({ type: 'copyData', data: Buffer.from('DELETE FROM t') }, { type: 'copyDone' })
    expect(await value(wire, 'SELECT 1')).toBe('1')
    wire.query('COPY t FROM STDIN')
    await wire.hears('copyInResponse')
    wire.query('DELETE FROM t')
    expect(sqlstates(await wire.hears('readyForQuery'))).toEqual(['08P01'])
    expect(await value(wire, 'SELECT 1')).toBe('1')
    expect(await rowsOf(warden)).toEqual([1, 2])
  })

  it('cancels nothing for a thousand guessed keys', async () => {
    const wire = await connect('read_only')
    const pid = Number(await value(wire, 'SELECT pg_backend_pid()'))
    wire.query("SELECT 'slept' FROM pg_sleep(1)")
    for (let guess = 0; guess < 1000; guess += 50) {
      await Promise.all(
        Array.from({ length: 50 }, async (_, n) => {
          const secret = Buffer.alloc(n % 2 === 0 ? 4 : 32)
          secret.writeInt32BE(guess + n)
          const canceller = await WireClient.dial(warden.port)
          canceller.socket.write(encodeCancelRequest(pid, secret))
          expect(await canceller.hearsTheEnd()).toEqual([])
          canceller.close()
        }),
      )
    }
    expect(sqlstates(await hearsUntilRow(wire, 'slept'))).toEqual([])
  })

  it('runs nothing of a portal whose grant has ended', async () => {
    const login = await warden.login('read_limited_write', { forMs: 1_500 })
    const wire = await WireClient.logIn(warden.port, login)
    wire.says(sql('BEGIN'), parse('DELETE FROM t RETURNING a'), bind('', 'p'), sync)
    await wire.hears('bindComplete')
    await new Promise((resolve) => setTimeout(resolve, 1_600))
    wire.says(sql('FETCH ALL FROM p'), sql('COMMIT'))
    expect(sqlstates(await wire.hearsTheEnd())).toEqual(['57P01'])
    expect(await rowsOf(warden)).toEqual([1, 2])
  })
})

describe('a monstrous text', () => {
  it.each([
    ['60 MB', `SELECT '${'x'.repeat(60_000_000)}'`, '54000'],
    ['10,000 parentheses', `SELECT ${'('.repeat(10_000)}1${')'.repeat(10_000)}`, '54001'],
    ['20,000 arms of UNION', `SELECT 1${' UNION SELECT 1'.repeat(20_000)}`, '54001'],
    ['a chain of 5,000 additions', `SELECT 1${'+1'.repeat(5_000)}`, '54001'],
    ['a chain of 20,000 additions', `SELECT 1${'+1'.repeat(20_000)}`, '54001'],
    ['16,000 comments before an error', `SELECT ${'/**/'.repeat(16_000)} FROM FROM`, '54001'],
    [
      '12,000 WITH queries',
      `WITH ${Array.from({ length: 12_000 }, (_, n) => `c${n} AS (SELECT 1)`).join()} SELECT 1`,
      '',
    ],
    ['a path of spaces', `SET search_path = 'a${' '.repeat(200_000)}b'`, ''],
    ['a type of brackets', `SELECT pg_input_is_valid('1', '${'[]'.repeat(20_000)}x')`, '42501'],
  ])('of %s is answered within three seconds, and the session goes on', async (_, text, code) => {
    const wire = await connect('read_only')
    const startedAt = performance.now()
    wire.query(text)
    expect(sqlstates(await wire.hears('readyForQuery')).join()).toBe(code)
    expect(performance.now() - startedAt).toBeLessThan(3_000)
    expect(await value(wire, 'SELECT 2')).toBe('2')
  })

  it('of one client does not fail the statements of another', async () => {
    const nuisance = await connect('read_only')
    const innocent = await connect('read_only')
    const deep = sql(`SELECT 1${'+1'.repeat(20_000)}`)
    const failures: string[] = []
    for (let n = 0; n < 40; n++) {
      nuisance.says(deep, deep, deep)
      innocent.query(`SELECT ${n}`)
      failures.push(...sqlstates(await innocent.hears('readyForQuery')))
    }
    expect(failures).toEqual([])
  })
})
