// What a session may do less than its role: relations that its grant does not name, what its target calls
// sensitive, the settings that say who it is; and that nothing which a text does not show goes round it.

import { describe, expect, it } from 'vitest'
import type { RelationRules } from '../../src/access/access.ts'
import { Catalog, type CatalogSnapshot, type SnapshotFunction } from '../../src/policy/catalog.ts'
import { Policy } from '../../src/policy/policy.ts'
import { predefinedRoles } from '../../src/policy/roles.ts'
import type { Restriction } from '../../src/policy/standing.ts'
import { emptySnapshot } from '../support/catalogs.ts'
import './predefined.ts'

const policy = new Policy(predefinedRoles, { maxBytes: 65_536 })

const of = (name: string) => {
  const [schema = '', relation = ''] = name.split('.')
  return { schema, name: relation }
}

const userFunction = (name: string, more: Partial<SnapshotFunction> = {}): SnapshotFunction => ({
  schema: 'shop',
  name,
  volatile: false,
  leastArguments: 0,
  mostArguments: 2,
  extension: undefined,
  sets: [],
  unseen: false,
  ...more,
})

const snapshot: CatalogSnapshot = {
  ...emptySnapshot,
  relations: [
    'shop.orders',
    'shop.orders_2024',
    'shop.customers',
    'hr.salaries',
    'hr.pg_secret',
  ].map(of),
  children: [{ parent: of('shop.orders'), child: of('shop.orders_2024') }],
  functions: [
    userFunction('price'),
    userFunction('run_text', { unseen: true }),
    userFunction('become', { sets: ['app.uid'] }),
    userFunction('tune', { sets: ['work_mem'] }),
    userFunction('anything', { sets: ['*'] }),
  ],
}
const catalog = Catalog.of(snapshot)

const none: Restriction = { sensitive: [], context: [], relations: undefined }

function judged(role: string, restriction: Partial<Restriction>, sql: string, known = catalog) {
  return policy.judgeText(policy.restricted(role, { ...none, ...restriction }), sql, known).decision
}

describe('a grant for certain relations', () => {
  it.each([
    'SELECT stavalues1 FROM pg_statistic',
    'SELECT stavalues1 FROM pg_catalog.pg_statistic',
    'SELECT stxdmcv FROM pg_statistic_ext_data',
    'SELECT data FROM pg_largeobject',
    'SELECT chunk_data FROM pg_toast.pg_toast_16400',
    'SET search_path = pg_toast; SELECT chunk_data FROM pg_toast_16400',
  ])('is not gone round by admin, who may read such catalogs otherwise: %s', (sql) => {
    expect(judged('admin', { relations: { deny: ['hr.*'] } }, sql).outcome).toBe('deny')
    expect(judged('admin', {}, sql).outcome).toBe('allow')
  })

  it.each([
    'CREATE INDEX ON shop.log ((note::int))',
    'CREATE UNIQUE INDEX ON shop.log (note)',
    'CREATE RULE r AS ON UPDATE TO shop.log DO ALSO INSERT INTO shop.orders VALUES (OLD.note)',
    'CREATE TRIGGER t AFTER UPDATE ON shop.log FOR EACH ROW EXECUTE FUNCTION shop.price()',
  ])('shows what may only be written in no error and no OLD: %s', (sql) => {
    const relations = { read: ['shop.orders'], write: ['shop.orders', 'shop.log'] }
    expect(judged('read_full_write', { relations }, sql).outcome).toBe('deny')
    const both = { ...relations, read: relations.write }
    expect(judged('read_full_write', { relations: both }, sql).outcome).toBe('allow')
    const insert = judged('read_full_write', { relations }, 'INSERT INTO shop.log VALUES (1)')
    expect(insert.outcome).toBe('allow')
  })

  const relations: RelationRules = {
    read: ['shop.*'],
    write: ['shop.orders'],
    deny: ['shop.customers'],
  }

  it.each([
    ['allow', 'SELECT * FROM shop.orders'],
    ['allow', 'SELECT * FROM orders'],
    ['allow', 'UPDATE orders SET a = 1'],
    ['allow', 'SELECT shop.price(1) FROM orders'],
    ['allow', 'INSERT INTO shop.orders SELECT * FROM shop.orders'],
    ['deny', 'SELECT * FROM shop.customers'],
    ['deny', 'SELECT * FROM hr.salaries'],
    ['deny', 'UPDATE shop.orders SET a = (SELECT 1 FROM hr.salaries)'],
    ['deny', 'DO $$ BEGIN END $$'],
    ['deny', 'CREATE FUNCTION shop.f() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$'],
    ['deny', "SELECT query_to_xml('select * from hr.salaries', true, true, '')"],
    ['deny', "SELECT table_to_xml('hr.salaries', true, true, '')"],
    ['deny', "SELECT shop.run_text('x')"],
    ['deny', "COPY shop.orders FROM PROGRAM 'cat'"],
    ['deny', 'DROP OWNED BY CURRENT_USER'],
    ['deny', 'GRANT SELECT ON ALL TABLES IN SCHEMA hr TO PUBLIC'],
    ['deny', 'TRUNCATE shop.orders CASCADE'],
    ['deny', "SELECT nextval('hr.ids')"],
    ['deny', `SELECT nextval('"hr"."ids"'::regclass)`],
    ['deny', "SELECT nextval('16400')"],
    ['deny', "SELECT nextval('hr' || '.ids')"],
    ['allow', "SELECT nextval('shop.orders')"],
    ['allow', "SELECT nextval('Shop . Orders'::regclass)"],
    // By whatever search path: its name alone does not make it one of the server's own.
    ['deny', 'SELECT * FROM pg_secret'],
    ['allow', 'SELECT * FROM pg_class'],
  ])('of admin: %s: %s', (outcome, sql) => {
    expect(judged('admin', { relations }, sql).outcome).toBe(outcome)
  })

  it.each([
    'SELECT * FROM hr.salaries FOR UPDATE',
    'UPDATE hr.salaries SET a = 1 RETURNING *',
    'DELETE FROM hr.salaries RETURNING *',
    'INSERT INTO hr.salaries VALUES (1) RETURNING *',
    'MERGE INTO hr.salaries s USING (SELECT 1) v ON true WHEN MATCHED THEN DELETE',
    'ALTER TABLE hr.salaries RENAME TO orders_2023',
    'ALTER TABLE hr.salaries SET SCHEMA shop',
    'ALTER SCHEMA hr RENAME TO shop',
    'ALTER TABLE shop.orders ATTACH PARTITION hr.salaries DEFAULT',
    'ALTER TABLE hr.salaries INHERIT shop.orders',
    'CREATE TABLE shop.x () INHERITS (hr.salaries)',
    'CREATE TABLE shop.x (LIKE hr.salaries)',
    'CREATE TABLE shop.x (a int REFERENCES hr.salaries)',
  ])('that may write more than it may read shows nothing by writing: %s', (sql) => {
    const more = { read: ['shop.*'], write: ['shop.*', 'hr.salaries'] }
    expect(judged('read_full_write', { relations: more }, sql).outcome).toBe('deny')
    expect(
      judged('read_full_write', { relations: more }, 'INSERT INTO hr.salaries VALUES (1)').outcome,
    ).toBe('allow')
  })

  it('says that another grant of the same role would do', () => {
    const decision = judged('read_only', { relations }, 'SELECT * FROM hr.salaries')
    expect(decision.rule).toBe('read_only/relations')
    if (decision.outcome === 'allow') throw new Error('it was allowed')
    expect(decision.failure.message).toBe(
      'permission denied for role read_only: relation hr.salaries',
    )
    expect(decision.failure.hint).toContain(
      'another one with role read_only that names this relation',
    )
  })

  it('never widens what the role may do', () => {
    expect(
      judged('read_only', { relations: { write: ['shop.orders'] } }, 'DELETE FROM shop.orders')
        .outcome,
    ).toBe('deny')
  })
})

describe('what a target calls sensitive', () => {
  const sensitive = ['hr.*']

  it('is for admin alone, whatever else a role may do', () => {
    const outcomes = predefinedRoles.map(
      ({ name }) => judged(name, { sensitive }, 'TABLE hr.salaries').outcome,
    )
    expect(outcomes).toEqual(['deny', 'deny', 'deny', 'allow'])
    const decision = judged('read_full_write', { sensitive }, 'TABLE hr.salaries')
    expect(decision.outcome === 'deny' && decision.failure.hint).toContain('with role admin')
  })

  it('leaves an admin what the text does not show', () => {
    expect(judged('admin', { sensitive }, 'DO $$ BEGIN END $$').outcome).toBe('allow')
  })
})

describe('partitions and children', () => {
  it.each([
    ['shop.orders', 'shop.orders_2024'],
    ['shop.orders_2024', 'shop.orders'],
  ])('a denial of %s is one of %s', (denied, other) => {
    const decision = judged('read_only', { sensitive: [denied] }, `SELECT * FROM ONLY ${other}`)
    expect(decision.outcome).toBe('deny')
    expect(decision.reason).toContain('has rows in common with')
    expect(judged('read_only', { sensitive: [denied] }, 'TABLE shop.customers').outcome).toBe(
      'allow',
    )
  })

  it('need not be named beside the parent to be read through it', () => {
    expect(
      judged('read_only', { relations: { read: ['shop.orders'] } }, 'TABLE shop.orders').outcome,
    ).toBe('allow')
    expect(
      judged('read_only', { relations: { read: ['shop.orders'] } }, 'TABLE shop.orders_2024')
        .outcome,
    ).toBe('deny')
  })
})

describe('where settings say who a session is', () => {
  const context = ['app.uid']

  it.each([
    ['allow', 'SELECT shop.price(1), shop.tune()'],
    ['deny', 'SELECT shop.become()'],
    ['deny', 'SELECT become()'],
    ['deny', 'SELECT shop.anything()'],
    ['deny', 'SELECT shop.run_text()'],
    ['deny', 'SELECT shop.made_since()'],
    ['deny', 'CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$'],
    ['deny', "SET app.uid = '1'"],
    ['deny', 'SET ROLE somebody'],
    ['allow', "SET app.other = '1'"],
    ['allow', 'SELECT pg_cancel_backend(1)'],
    ['deny', "SELECT dblink('', '')"],
    ['allow', 'CREATE POLICY p ON shop.orders USING (true)'],
    ['deny', 'CREATE VIEW shop.v AS SELECT * FROM shop.orders'],
  ])('admin: %s: %s', (outcome, sql) => {
    expect(judged('admin', { context }, sql).outcome).toBe(outcome)
  })

  it('no function is known to be harmless without a snapshot', () => {
    const decision = judged('admin', { context }, 'SELECT shop.price(1)', Catalog.unread())
    expect(decision).toMatchObject({ outcome: 'deny', rule: 'admin/context' })
    expect(
      judged('admin', { context }, 'SELECT lower(a) FROM shop.orders', Catalog.unread()).outcome,
    ).toBe('allow')
  })

  it('an old snapshot does not tell what functions change', () => {
    const old = userFunction('price')
    const { sets, unseen, ...rest } = old
    expect([sets, unseen]).toEqual([[], false])
    const known = Catalog.of({ ...snapshot, functions: [rest] })
    expect(judged('admin', { context }, 'SELECT shop.price(1)', known).outcome).toBe('deny')
  })
})

describe('what is remembered', () => {
  it('of one session is nothing to another that may do less', () => {
    const query = Buffer.from('SELECT * FROM hr.salaries')
    const less = policy.restricted('read_only', { ...none, sensitive: ['hr.*'] })
    const outcomes = ['read_only', less, 'read_only', less, 'read_only', less].map(
      (subject) => policy.judge(subject, query, catalog).decision.outcome,
    )
    expect(outcomes).toEqual(['allow', 'deny', 'allow', 'deny', 'allow', 'deny'])
  })

  it('is one standing for the same words, and never more than a thousand', () => {
    const small = new Policy(predefinedRoles, { maxBytes: 1024 })
    const made = (n: number) =>
      small.restricted('read_only', { ...none, relations: { read: [`shop.t${n}`] } })
    const first = made(0)
    expect(made(0)).toBe(first)
    for (let n = 1; n <= 1_000; n++) made(n)
    expect(made(0)).not.toBe(first)
    // Whoever holds one goes on by it.
    expect(small.judgeText(first, 'TABLE shop.t0', catalog).decision.outcome).toBe('allow')
    expect(small.judgeText(first, 'TABLE shop.t1', catalog).decision.outcome).toBe('deny')
  })
})
