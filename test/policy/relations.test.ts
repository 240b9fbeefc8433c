// Relation rules and limits of operators' roles, and what a catalog snapshot adds.

import { describe, expect, it } from 'vitest'
import { Catalog } from '../../src/policy/catalog.ts'
import { Policy } from '../../src/policy/policy.ts'
import { predefinedRoles, type RoleDefinition } from '../../src/policy/roles.ts'
import { emptySnapshot } from '../support/catalogs.ts'
import { roleNames } from './predefined.ts'

const two = Catalog.of({
  ...emptySnapshot,
  relations: [
    { schema: 'shop', name: 'orders' },
    { schema: 'shop', name: 'customers' },
    { schema: 'hr', name: 'salaries' },
    { schema: 'hr', name: 'notes' },
    { schema: 'shop', name: 'notes' },
  ],
})

function decider(role: Omit<RoleDefinition, 'name'>, catalog: Catalog) {
  const policy = new Policy([...predefinedRoles, { name: 'own', ...role }], { maxBytes: 65_536 })
  return (sql: string): string => policy.judgeText('own', sql, catalog).decision.outcome
}

describe('relation rules', () => {
  const rules: Omit<RoleDefinition, 'name'> = {
    includes: ['read_full_write'],
    relations: { deny: ['hr.*'], write: ['shop.orders'] },
  }

  it.each([
    ['allow', 'SELECT * FROM shop.customers'],
    ['allow', 'SELECT * FROM orders'],
    ['allow', 'UPDATE shop.orders SET a = 1'],
    ['allow', 'UPDATE orders SET a = 1 FROM customers'],
    ['allow', 'SELECT * FROM pg_class'],
    ['allow', 'SELECT * FROM information_schema.tables'],
    ['allow', 'WITH salaries AS (SELECT 1) SELECT * FROM salaries'],
    ['allow', "SELECT 'hr.salaries'"],
    ['deny', 'SELECT * FROM hr.salaries'],
    ['deny', 'SELECT * FROM HR.Salaries'],
    ['deny', 'SELECT * FROM U&"\\0068r".salaries'],
    ['deny', 'SELECT * FROM db.hr.salaries'],
    ['deny', 'SELECT * FROM salaries'],
    ['deny', 'TABLE hr.salaries'],
    ['deny', 'SELECT (SELECT a FROM shop.orders, LATERAL (SELECT * FROM hr.salaries) x)'],
    ['deny', 'WITH s AS (TABLE salaries) SELECT * FROM s'],
    ['deny', 'COPY hr.salaries TO STDOUT'],
    ['deny', 'EXPLAIN SELECT * FROM hr.salaries'],
    ['deny', 'DECLARE c CURSOR FOR SELECT * FROM hr.salaries'],
    ['deny', 'PREPARE p AS SELECT * FROM hr.salaries'],
    ['deny', 'INSERT INTO shop.orders SELECT * FROM hr.salaries'],
    ['deny', 'CREATE VIEW shop.v AS SELECT * FROM hr.salaries'],
    ['deny', 'LOCK TABLE hr.salaries IN ACCESS SHARE MODE'],
    ['deny', 'TRUNCATE shop.orders, hr.salaries'],
    ['deny', 'DROP TABLE hr.salaries'],
    ['deny', 'ANALYZE hr.salaries'],
    ['deny', 'ALTER SCHEMA hr RENAME TO x'],
    ['deny', 'DROP SCHEMA hr CASCADE'],
    ['deny', 'ALTER TABLE shop.orders SET SCHEMA hr'],
    ['deny', 'CREATE VIEW shop.orders AS SELECT * FROM shop.customers'],
    ['allow', 'CREATE VIEW shop.orders AS SELECT 1 FROM shop.customers, shop.products'],
    // It can mean hr.notes or shop.notes.
    ['deny', 'SELECT * FROM notes'],
    ['deny', 'UPDATE shop.customers SET a = 1'],
    ['deny', 'DELETE FROM customers'],
    // What the server has collected of their content.
    ['deny', 'SELECT most_common_vals FROM pg_stats'],
    ['deny', 'SELECT lo_get(1)'],
    ['deny', 'SELECT last_value FROM pg_sequences'],
  ])('%s: %s', (outcome, sql) => expect(decider(rules, two)(sql)).toBe(outcome))

  it('ask for a schema where nobody knows what a name means', () => {
    const policy = new Policy([...predefinedRoles, { name: 'own', ...rules }], { maxBytes: 65_536 })
    const { decision } = policy.judgeText('own', 'SELECT * FROM salaries')
    expect(decision).toMatchObject({ outcome: 'deny', rule: 'own/relations' })
    expect(decision.reason).toContain('qualify it')
    expect(policy.judgeText('own', 'SELECT * FROM shop.t').decision.outcome).toBe('allow')
  })

  it('of an included role hold as well', () => {
    const policy = new Policy(
      [
        ...predefinedRoles,
        { name: 'base', includes: ['read_only'], relations: { deny: ['hr.*'] } },
        { name: 'more', includes: ['base'], relations: { read: ['hr.*', 'shop.*'] } },
      ],
      { maxBytes: 65_536 },
    )
    const decide = (sql: string) => policy.judgeText('more', sql).decision.outcome
    expect(decide('SELECT * FROM shop.t')).toBe('allow')
    expect(decide('SELECT * FROM hr.t')).toBe('deny')
    expect(decide('SELECT * FROM other.t')).toBe('deny')
  })

  it.each(['salaries', 'a.b.c', '.x', 'hr.', 'h*.x'])('refuse the pattern %s', (pattern) => {
    const role = { name: 'own', relations: { deny: [pattern] } }
    expect(() => new Policy([role], { maxBytes: 1024 })).toThrow(/^role own/)
  })
})

describe('limits of settings', () => {
  const decide = decider(
    {
      includes: ['read_only'],
      limits: { statement_timeout: '30s', work_mem: '64MB' },
    },
    two,
  )

  it.each([
    ['allow', "SET statement_timeout = '30s'"],
    ['allow', 'SET statement_timeout = 30000'],
    ['allow', "SET LOCAL statement_timeout TO '0.5min'"],
    ['allow', 'RESET statement_timeout'],
    ['allow', 'SET statement_timeout TO DEFAULT'],
    ['allow', "SELECT set_config('statement_timeout', '5s', false)"],
    ['allow', "SET work_mem = '64MB'"],
    ['allow', 'SET lock_timeout = 0'],
    ['deny', 'SET statement_timeout = 0'],
    ['deny', "SET statement_timeout = '31s'"],
    ['deny', 'SET statement_timeout = -1'],
    ['deny', "SET statement_timeout = '1d'"],
    ['deny', "SET statement_timeout = '0x10000000'"],
    ['deny', "SET statement_timeout = '0.0001us'"],
    ['deny', "SELECT set_config('statement_timeout', $1, false)"],
    ['deny', "SELECT set_config('Statement_Timeout', '0', false)"],
    ['deny', "SET work_mem = '65MB'"],
    ['deny', 'SET sort_mem = 1000000'],
  ])('%s: %s', (outcome, sql) => expect(decide(sql)).toBe(outcome))

  it.each([{ search_path: '5s' }, { statement_timeout: '0' }, { statement_timeout: 'soon' }])(
    'refuse %j, which limits nothing',
    (limits) => {
      const role: RoleDefinition = { name: 'own', limits }
      expect(() => new Policy([role], { maxBytes: 1024 })).toThrow(/^role own/)
    },
  )
})

describe('with a snapshot of the catalog', () => {
  const f = (
    name: string,
    volatile: boolean,
    args: readonly [number, number | undefined] = [1, 1],
  ) => ({
    schema: 'public',
    name,
    volatile,
    leastArguments: args[0],
    mostArguments: args[1],
    extension: undefined,
  })
  const carrier = (name: string) => ({
    schema: 'public',
    name,
    runs: 'public.evil',
    because: 'it calls function public.evil',
  })
  const catalog = Catalog.of({
    ...emptySnapshot,
    functions: [
      f('evil', true),
      f('two', true, [2, 2]),
      f('tame', false),
      f('many', true, [0, undefined]),
      f('upper', true),
      { ...f('pg_stat_statements', true), extension: 'pg_stat_statements' },
    ],
    operators: [carrier('===')],
    types: [{ oid: 20_001, ...carrier('evildom') }],
    views: [carrier('v_evil')],
  })
  const policy = new Policy(predefinedRoles, { maxBytes: 65_536 })

  it.each([
    ['allow', 'SELECT tame(1)'],
    ['allow', 'SELECT public.tame(1)'],
    ['allow', 'SELECT (1).tame, (a).two, t.two FROM t'],
    ['allow', 'SELECT upper(a, b) FROM t'],
    ['allow', 'SELECT pg_catalog.upper(a) FROM t'],
    ['allow', 'SELECT pg_stat_statements(true)'],
    ['allow', 'SELECT a = 1, a ~ b FROM t'],
    ['deny', 'SELECT evil(1)'],
    ['deny', 'SELECT other.tame(1)'],
    ['deny', 'SELECT (1).evil'],
    ['deny', 'SELECT t.evil FROM t'],
    ['deny', 'SELECT (1).many'],
    // The server prefers public.upper(varchar) for a varchar.
    ['deny', 'SELECT upper(a) FROM t'],
    ['deny', 'SELECT a === 1'],
    ['deny', 'SELECT a OPERATOR(public.===) 1'],
    ['deny', 'SELECT a === ANY (ARRAY[1])'],
    ['deny', 'SELECT 1 ORDER BY 1 USING ==='],
    ['deny', 'SELECT 1::evildom'],
    ['deny', "SELECT CAST('{1}' AS public.evildom[])"],
    ['deny', "SELECT * FROM json_to_record('{}') AS x(a evildom)"],
    ['deny', 'SELECT * FROM v_evil'],
    ['deny', 'SELECT count(*) FROM public.v_evil'],
    ['deny', 'COPY (TABLE v_evil) TO STDOUT'],
    ['deny', "SELECT json_populate_record(e, '{}') FROM evildom e"],
  ])('read_only: %s: %s', (outcome, sql) => {
    expect(policy.judgeText('read_only', sql, catalog).decision.outcome).toBe(outcome)
  })

  it('says what runs whose function', () => {
    expect(policy.judgeText('read_only', 'TABLE v_evil', catalog).decision.reason).toBe(
      'relation v_evil, which runs function public.evil: it calls function public.evil',
    )
  })

  it('denies parameters of a type that runs a function, to roles that may not call it', () => {
    const roles = [
      ...predefinedRoles,
      { name: 'may_evil', includes: ['read_only'], functions: { allow: ['public.evil'] } },
    ]
    const policy = new Policy(roles, { maxBytes: 65_536 })
    const judge = (role: string, types: readonly number[], sql = 'SELECT $1') =>
      policy.withParameters(role, policy.judgeText(role, sql, catalog), types, catalog)
    const denied = judge('read_only', [23, 20_001])
    expect(denied).toMatchObject({
      runsUserCode: true,
      decision: {
        rule: 'read_only/functions',
        reason:
          'parameter type public.evildom, which runs function public.evil: it calls function public.evil',
        failure: {
          sqlstate: '42501',
          hint: 'Ask for a grant with role read_limited_write, which allows it: pgwarden request TARGET --role read_limited_write --for 1h --reason TEXT',
        },
      },
    })
    expect(judge('may_evil', [20_001]).decision.outcome).toBe('allow')
    expect(judge('read_limited_write', [20_001])).toMatchObject({
      runsUserCode: true,
      decision: { outcome: 'allow' },
    })
    expect(judge('read_only', [23, 0])).toMatchObject({
      runsUserCode: false,
      decision: { outcome: 'allow' },
    })
    expect(judge('read_limited_write', [20_001], 'DROP TABLE t').decision.reason).toBe('DROP TABLE')
  })

  it('takes what the newer grammar knows for a user function on an older server', () => {
    const sql = "SELECT json_value('{}', '$')"
    const on = (version: number) =>
      roleNames.map((role) => policy.judgeText(role, sql, Catalog.unread(version)).decision.outcome)
    expect(on(150_018)).toEqual(['deny', 'allow', 'allow', 'allow'])
    expect(on(160_009)).toEqual(['deny', 'allow', 'allow', 'allow'])
    expect(on(170_000)).toEqual(['allow', 'allow', 'allow', 'allow'])
  })

  it.each([
    [
      150_018,
      "SELECT json_array(1), json_object('a': 1), json_arrayagg(a), json_objectagg('a': 1) FROM t",
    ],
    [160_000, "SELECT json('{}'), json_scalar(1), json_serialize('{}')"],
    [160_000, "SELECT * FROM json_table('[]', '$' COLUMNS (a int)) t"],
    [160_000, "SELECT json_exists('{}', '$'), json_query('{}', '$')"],
  ])('on %i too: %s', (version, sql) => {
    const decision = (at: number) =>
      policy.judgeText('read_only', sql, Catalog.unread(at)).decision.outcome
    expect(decision(version)).toBe('deny')
    expect(decision(180_000)).toBe('allow')
  })

  it('tells which texts may run code that changes settings', () => {
    const runs = (sql: string) => policy.judgeText('admin', sql, catalog).runsUserCode
    for (const sql of ['SELECT tame(1)', 'SELECT (1).tame', 'DO $$$$', 'CALL p()', 'TABLE v_evil'])
      expect([sql, runs(sql)]).toEqual([sql, true])
    for (const sql of ['SELECT lower(a), t.b FROM t', 'INSERT INTO t VALUES (1)'])
      expect([sql, runs(sql)]).toEqual([sql, false])
  })

  it('judges anew when the catalog is another one', () => {
    const query = Buffer.from('SELECT tame(1)')
    const outcomes = [catalog, catalog, catalog, Catalog.of(emptySnapshot), catalog].map(
      (known) => policy.judge('read_only', query, known).decision.outcome,
    )
    expect(outcomes).toEqual(['allow', 'allow', 'allow', 'deny', 'allow'])
  })
})
