import { describe, expect, it } from 'vitest'
import { Failure } from '../../src/errors.ts'
import { Catalog } from '../../src/policy/catalog.ts'
import type { Decision } from '../../src/policy/decision.ts'
import { Policy } from '../../src/policy/policy.ts'
import { predefinedRoles, type RoleDefinition } from '../../src/policy/roles.ts'
import { policy } from './predefined.ts'

const catalog = Catalog.unread()

describe('what a client reads when a statement is denied', () => {
  it('names the command, the rule, the place and the role to ask for', () => {
    const sql = 'WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d'
    const { decision } = policy.judgeText('read_only', sql)
    expect(decision).toMatchObject({
      outcome: 'deny',
      rule: 'read_only/commands',
      reason: 'DELETE in common table expression "d"',
    })
    expect(failureOf(decision)).toMatchObject({
      message: 'permission denied for role read_only: DELETE',
      sqlstate: '42501',
      severity: 'ERROR',
      detail:
        'Rule read_only/commands does not allow DELETE, found in common table expression "d".',
      hint: 'Ask for a grant with role read_limited_write, which allows it: pgwarden request TARGET --role read_limited_write --for 1h --reason TEXT',
    })
  })

  it('names a function and a setting', () => {
    const call = failureOf(policy.judgeText('read_only', 'SELECT pg_terminate_backend(1)').decision)
    expect(call.message).toBe('permission denied for role read_only: function pg_terminate_backend')
    const set = failureOf(
      policy.judgeText('read_only', 'SET session_replication_role = replica').decision,
    )
    expect(set.message).toBe(
      'permission denied for role read_only: setting session_replication_role',
    )
  })

  it('asks for the role that allows all of the string, not only its first part', () => {
    const failure = failureOf(policy.judgeText('read_only', 'DELETE FROM t; GRANT a TO b').decision)
    expect(failure.message).toContain('DELETE')
    expect(failure.hint).toContain('--role admin')
  })

  it('says so when no role would allow it', () => {
    const { decision } = policy.judgeText('admin', 'SET standard_conforming_strings = off')
    expect(failureOf(decision).hint).toBe('No role allows it.')
  })

  it("gives PostgreSQL's own sentence and code for text that cannot be parsed", () => {
    expect(failureOf(policy.judgeText('admin', 'SELEC 1').decision)).toMatchObject({
      message: 'syntax error at or near "SELEC"',
      sqlstate: '42601',
    })
  })

  it('does not repeat a value as long as the statement', () => {
    const sql = `SET my.x = '${'v'.repeat(5000)}'`
    expect(failureOf(policy.judgeText('read_only', sql).decision).detail?.length).toBeLessThan(300)
  })
})

describe('judging bytes', () => {
  it('denies bytes that are not UTF-8 instead of replacing them', () => {
    const query = Buffer.from([...Buffer.from("SELECT '"), 0x83, 0x5c, ...Buffer.from("'")])
    expect(failureOf(policy.judge('admin', query, catalog).decision).sqlstate).toBe('22021')
  })

  it('gives two byte strings that decode alike two judgements', () => {
    const judged = (bytes: Buffer) => policy.judge('read_only', bytes, catalog).decision.outcome
    expect(judged(Buffer.from("SELECT '\ufffd'"))).toBe('allow')
    expect(judged(Buffer.concat([Buffer.from("SELECT '"), Buffer.from([0xff, 0x27])]))).toBe('deny')
  })

  it('keeps a byte order mark as the character it is for the server', () => {
    expect(policy.judge('read_only', Buffer.from('\ufeffSELECT 1'), catalog).decision.outcome).toBe(
      'deny',
    )
  })

  it('remembers a judgement for the same bytes and role, and for no other role', () => {
    const query = Buffer.from('DELETE FROM remembered')
    // What is seen once is not worth remembering: from the second time on.
    policy.judge('read_only', query, catalog)
    const second = policy.judge('read_only', query, catalog)
    expect(policy.judge('read_only', Buffer.from(query), catalog)).toBe(second)
    expect(policy.judge('read_limited_write', query, catalog).decision.outcome).toBe('allow')
  })

  it('stays within its memory when every statement is new', () => {
    const small = new Policy(predefinedRoles, { maxBytes: 1000, cacheBytes: 8 * 1024 })
    small.judge('read_only', Buffer.from('SELECT 0'), catalog)
    const first = small.judge('read_only', Buffer.from('SELECT 0'), catalog)
    for (let i = 1; i < 50; i++) {
      small.judge('read_only', Buffer.from(`SELECT ${i}`), catalog)
      small.judge('read_only', Buffer.from(`SELECT ${i}`), catalog)
    }
    const again = small.judge('read_only', Buffer.from('SELECT 0'), catalog)
    expect(again).toEqual(first)
    expect(again).not.toBe(first)
  })

  it('denies a text over the limit without parsing it, also one that nobody kept', () => {
    const small = new Policy(predefinedRoles, { maxBytes: 10 })
    expect(failureOf(small.judgeText('admin', 'SELECT 1234').decision).sqlstate).toBe('54000')
    expect(failureOf(small.tooLarge('admin', 99, 64).decision)).toMatchObject({
      sqlstate: '54000',
      message: 'statement of 99 bytes is longer than the limit of 64 bytes',
    })
  })
})

it('a FunctionCall message that stands for no SQL is denied to everybody', () => {
  expect(failureOf(policy.functionCall('admin', 2078).decision).severity).toBe('ERROR')
})

describe('EXECUTE', () => {
  const executes = (sql: string) => policy.judgeText('read_only', sql).executes

  it('asks the session for names that the string itself does not prepare', () => {
    expect(executes('EXECUTE p')).toEqual(['p'])
    expect(executes('EXPLAIN EXECUTE q')).toEqual(['q'])
    expect(executes('PREPARE p AS SELECT 1; EXECUTE p')).toEqual([])
    expect(executes('EXECUTE p; PREPARE p AS SELECT 1')).toEqual(['p'])
    expect(executes('PREPARE p AS SELECT 1; DEALLOCATE p; EXECUTE p')).toEqual(['p'])
    expect(executes('PREPARE p AS SELECT 1; DEALLOCATE ALL; EXECUTE p')).toEqual(['p'])
  })

  it('is denied for a name that the session does not know', () => {
    const deny = policy.unknownPrepared('read_only', 'p')
    expect(deny?.rule).toBe('read_only/prepared')
    expect(deny?.failure.sqlstate).toBe('42501')
    expect(policy.unknownPrepared('read_full_write', 'p')).toBeDefined()
    expect(policy.unknownPrepared('admin', 'p')).toBeUndefined()
  })
})

describe('settings of a startup packet follow the rules of SET', () => {
  it.each([
    ['application_name', 'x', 'allow'],
    ['TimeZone', 'UTC', 'allow'],
    ['client_encoding', "'utf-8'", 'allow'],
    ['client_encoding', 'LATIN1', 'deny'],
    ['standard_conforming_strings', 'off', 'deny'],
    ['default_transaction_read_only', 'off', 'deny'],
    ['default_transaction_read_only', 'on', 'allow'],
    ['role', 'postgres', 'deny'],
    ['search_path', 'a, "b"', 'allow'],
    ['search_path', 'a, "pg_catalog"', 'deny'],
    ['my.x', '1', 'deny'],
  ])('%s = %s: %s', (name, value, outcome) => {
    expect(policy.judgeSetting('read_only', name, value).outcome).toBe(outcome)
  })

  it('a denial ends the connection', () => {
    const decision = policy.judgeSetting('read_only', 'role', 'postgres')
    expect(failureOf(decision)).toMatchObject({ severity: 'FATAL', sqlstate: '42501' })
  })
})

describe("an operator's own roles", () => {
  const reporting: RoleDefinition = {
    name: 'reporting',
    includes: ['read_only'],
    commands: ['INSERT', '!COPY TO'],
    functions: { allow: ['report', 'sales.total'], deny: ['pg_sleep'] },
    settings: ['app.*', 'lc_messages'],
    readOnly: false,
  }
  const own = new Policy([...predefinedRoles, reporting], { maxBytes: 10_000 })
  const outcome = (sql: string) => own.judgeText('reporting', sql).decision.outcome

  it('have what they include, plus what they add, minus what they withhold', () => {
    expect(outcome('SELECT 1')).toBe('allow')
    expect(outcome('INSERT INTO t VALUES (1)')).toBe('allow')
    expect(outcome('INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 2')).toBe('deny')
    expect(outcome('COPY t TO STDOUT')).toBe('deny')
  })

  it('may call the functions they list, under the names they list', () => {
    expect(outcome('SELECT report(), sales.total(1)')).toBe('allow')
    expect(outcome('SELECT other.report()')).toBe('deny')
    expect(outcome('SELECT total(1)')).toBe('deny')
    expect(outcome('SELECT pg_sleep(1)')).toBe('deny')
    expect(outcome('SELECT pg_catalog.pg_sleep(1)')).toBe('deny')
  })

  it('may change the settings they list', () => {
    expect(outcome("SET app.tenant = '1'")).toBe('allow')
    expect(outcome("SET lc_messages = 'C'")).toBe('allow')
    expect(outcome("SET apps.tenant = '1'")).toBe('deny')
  })

  it('do not get files, programs or code by the name of a class', () => {
    const writer = new Policy(
      [{ name: 'w', commands: ['READ', 'WRITE', 'DDL', 'MISC', 'FUNCTION'] }],
      { maxBytes: 1000 },
    )
    const may = (sql: string) => writer.judgeText('w', sql).decision.outcome
    expect(may('TRUNCATE t')).toBe('allow')
    expect(may('CREATE TABLE t ()')).toBe('allow')
    expect(may("COPY t TO PROGRAM 'id'")).toBe('deny')
    expect(may("DO ''")).toBe('deny')
    expect(may('CREATE EXTENSION x')).toBe('deny')
  })

  it.each([
    [{ name: 'x', commands: ['SELET'] }, 'SELET'],
    [{ name: 'x', commands: ['!COPY'] }, 'COPY TO PROGRAM'],
    [{ name: 'x', includes: ['nobody'] }, 'nobody'],
    [{ name: 'x', includes: ['x'] }, 'includes itself'],
  ] satisfies readonly (readonly [RoleDefinition, string])[])(
    'are refused when they name what does not exist: %j',
    (definition, words) => {
      const make = () => new Policy([definition], { maxBytes: 1 })
      expect(make).toThrow(Failure)
      expect(make).toThrow(words)
    },
  )

  it('that are not defined may do nothing', () => {
    expect(own.judgeText('gone', 'SELECT 1').decision).toMatchObject({ outcome: 'deny' })
    expect(own.judgeSetting('gone', 'timezone', 'UTC')).toMatchObject({ outcome: 'deny' })
  })
})

function failureOf(decision: Decision): Failure {
  if (decision.outcome === 'allow') throw new Error(`allowed: ${decision.reason}`)
  return decision.failure
}
