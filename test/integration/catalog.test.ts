// The snapshot of a real catalog, with user code behind everything that can hide it, and what
// read_only may run on it through the proxy, where the login upstream is a superuser.

import { type Client, DatabaseError } from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it, vi } from 'vitest'
import { SnapshotReader } from '../../src/catalog/reader.ts'
import { parseSnapshot } from '../../src/catalog/snapshot-file.ts'
import { operations } from '../../src/composition/server.ts'
import type { CatalogSnapshot, SnapshotCarrier } from '../../src/policy/catalog.ts'
import { loadParser } from '../../src/sql/analyse.ts'
import type { FrontendMessage } from '../../src/wire/frontend.ts'
import { sqlstates } from '../support/answers.ts'
import { Warden } from '../support/warden.ts'
import { WireClient } from '../support/wire-client.ts'

/** `public.effect` is the one thing that nobody may reach; a stranger's schema, to need qualified names. */
const schema = `
  CREATE SCHEMA lib;
  CREATE TABLE t (a int);
  INSERT INTO t VALUES (1);
  CREATE FUNCTION effect(int) RETURNS int LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_advisory_lock(4711); RETURN $1; END $$;
  CREATE FUNCTION effect(t) RETURNS int LANGUAGE sql AS 'SELECT public.effect(1)';

  CREATE FUNCTION lib.twice(int) RETURNS int STABLE LANGUAGE sql AS 'SELECT 2 * $1';
  CREATE FUNCTION lib.variadic(int, VARIADIC int[]) RETURNS int VOLATILE LANGUAGE sql AS 'SELECT 1';
  CREATE FUNCTION lib.defaults(int, int DEFAULT 2, OUT int) STABLE SECURITY DEFINER LANGUAGE sql
    AS 'SELECT 1';
  CREATE PROCEDURE lib.procedure(int) LANGUAGE sql AS 'SELECT 1';
  CREATE FUNCTION upper(int) RETURNS int LANGUAGE sql AS 'SELECT public.effect(1)';

  CREATE FUNCTION lib.state(int, int) RETURNS int LANGUAGE sql AS 'SELECT public.effect(1)';
  CREATE AGGREGATE lib.bad_sum(int) (SFUNC = lib.state, STYPE = int, INITCOND = '0');
  CREATE AGGREGATE lib.good_sum(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');

  CREATE FUNCTION lib.compare(int, int) RETURNS bool LANGUAGE sql AS 'SELECT public.effect(1) = 1';
  CREATE OPERATOR lib.=== (LEFTARG = int, RIGHTARG = int, FUNCTION = lib.compare);
  CREATE FUNCTION lib.same(int, int) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT $1 = $2';
  CREATE OPERATOR lib.==== (LEFTARG = int, RIGHTARG = int, FUNCTION = lib.same);

  CREATE DOMAIN lib.positive AS int CHECK (VALUE > 0);
  CREATE DOMAIN lib.checked AS int CHECK (public.effect(VALUE) > 0);
  CREATE DOMAIN lib.twice_checked AS lib.checked;
  CREATE DOMAIN lib.compared AS int CHECK (VALUE OPERATOR(lib.===) 1);
  CREATE TYPE lib.composite AS (x lib.checked[]);
  CREATE TYPE lib.checked_range AS RANGE (subtype = lib.checked);
  CREATE TABLE lib.rows (a lib.composite);
  INSERT INTO lib.rows DEFAULT VALUES;
  CREATE FUNCTION lib.takes_checked(lib.checked) RETURNS int STABLE LANGUAGE plpgsql AS
    $$ BEGIN RETURN 1; END $$;

  CREATE TYPE lib.address AS (street text);
  CREATE FUNCTION lib.to_text(lib.address) RETURNS text LANGUAGE sql
    AS 'SELECT public.effect(1)::text';
  CREATE CAST (lib.address AS text) WITH FUNCTION lib.to_text(lib.address) AS IMPLICIT;
  CREATE FUNCTION lib.of_text(text) RETURNS lib.address LANGUAGE sql AS 'SELECT ROW($1)::lib.address';
  CREATE TABLE lib.people (home lib.address);
  INSERT INTO lib.people VALUES (ROW('x'));
  CREATE TYPE lib.colour AS ENUM ('red');
  CREATE FUNCTION lib.to_colour(int) RETURNS lib.colour LANGUAGE sql AS $$SELECT 'red'::lib.colour$$;
  CREATE CAST (int AS lib.colour) WITH FUNCTION lib.to_colour(int);
  CREATE TABLE lib.coloured (c lib.colour);

  CREATE TYPE lib.weight AS (grams int);
  CREATE FUNCTION lib.weigh(lib.weight, lib.weight) RETURNS int LANGUAGE sql
    AS 'SELECT btint4cmp($1.grams, $2.grams) * public.effect(1)';
  CREATE FUNCTION lib.lighter(lib.weight, lib.weight) RETURNS bool IMMUTABLE LANGUAGE sql
    AS 'SELECT $1.grams < $2.grams';
  CREATE FUNCTION lib.equal(lib.weight, lib.weight) RETURNS bool IMMUTABLE LANGUAGE sql
    AS 'SELECT $1.grams = $2.grams';
  CREATE OPERATOR lib.<# (LEFTARG = lib.weight, RIGHTARG = lib.weight, FUNCTION = lib.lighter);
  CREATE OPERATOR lib.=# (LEFTARG = lib.weight, RIGHTARG = lib.weight, FUNCTION = lib.equal);
  CREATE OPERATOR CLASS lib.weight_ops DEFAULT FOR TYPE lib.weight USING btree AS
    OPERATOR 1 lib.<#, OPERATOR 3 lib.=#, FUNCTION 1 lib.weigh(lib.weight, lib.weight);
  CREATE DOMAIN lib.net_weight AS lib.weight;
  CREATE TABLE lib.weights (w lib.weight, n lib.net_weight);
  INSERT INTO lib.weights SELECT ROW(i)::lib.weight, ROW(i)::lib.weight FROM generate_series(1, 3) AS i;
  CREATE TABLE lib.lists (w lib.weight[]);
  INSERT INTO lib.lists SELECT ARRAY[ROW(i)::lib.weight] FROM generate_series(1, 3) AS i;
  CREATE VIEW lib.weighing AS SELECT w FROM lib.weights;
  CREATE MATERIALIZED VIEW lib.weighed AS SELECT w FROM lib.weights;
  CREATE FUNCTION lib.weight_of(int) RETURNS lib.weight IMMUTABLE LANGUAGE plpgsql
    AS 'BEGIN RETURN ROW($1); END';
  CREATE FUNCTION lib.order_numbers(int, int) RETURNS int LANGUAGE sql
    AS 'SELECT btint4cmp($1, $2) * public.effect(1)';
  CREATE OPERATOR CLASS lib.number_ops FOR TYPE int USING btree AS
    OPERATOR 1 <, OPERATOR 3 =, FUNCTION 1 lib.order_numbers(int, int);
  CREATE TABLE lib.indexed (a int);
  CREATE INDEX ON lib.indexed (a lib.number_ops);
  INSERT INTO lib.indexed VALUES (1), (2);
  CREATE TYPE lib.number_range AS RANGE (subtype = int, subtype_opclass = lib.number_ops);
  CREATE OPERATOR lib.<% (LEFTARG = int, RIGHTARG = int, FUNCTION = int4lt);
  CREATE OPERATOR CLASS lib.other_ops FOR TYPE int USING btree AS
    OPERATOR 1 lib.<%, OPERATOR 3 =, FUNCTION 1 lib.order_numbers(int, int);
  CREATE TYPE lib.size AS (n int);
  CREATE FUNCTION lib.compare(lib.size, lib.size) RETURNS int IMMUTABLE LANGUAGE sql
    AS 'SELECT btint4cmp($1.n, $2.n)';
  CREATE FUNCTION lib.smaller(lib.size, lib.size) RETURNS bool IMMUTABLE LANGUAGE sql
    AS 'SELECT $1.n < $2.n';
  CREATE FUNCTION lib.same(lib.size, lib.size) RETURNS bool IMMUTABLE LANGUAGE sql
    AS 'SELECT $1.n = $2.n';
  CREATE FUNCTION lib.within(lib.size, lib.size, int, bool, bool) RETURNS bool LANGUAGE sql
    AS 'SELECT public.effect(1) = 1';
  CREATE OPERATOR lib.<@@ (LEFTARG = lib.size, RIGHTARG = lib.size, FUNCTION = lib.smaller);
  CREATE OPERATOR lib.=@@ (LEFTARG = lib.size, RIGHTARG = lib.size, FUNCTION = lib.same);
  CREATE OPERATOR CLASS lib.size_ops DEFAULT FOR TYPE lib.size USING btree AS
    OPERATOR 1 lib.<@@, OPERATOR 3 lib.=@@, FUNCTION 1 lib.compare(lib.size, lib.size),
    FUNCTION 3 (lib.size, int) lib.within(lib.size, lib.size, int, bool, bool);
  CREATE TABLE lib.sizes (s lib.size);
  INSERT INTO lib.sizes SELECT ROW(i)::lib.size FROM generate_series(1, 3) AS i;
  CREATE FUNCTION lib.hash(point) RETURNS int LANGUAGE sql AS 'SELECT public.effect(1)';
  CREATE OPERATOR lib.=~ (LEFTARG = point, RIGHTARG = point, FUNCTION = point_eq, HASHES);
  CREATE OPERATOR CLASS lib.point_ops DEFAULT FOR TYPE point USING hash AS
    OPERATOR 1 lib.=~, FUNCTION 1 lib.hash(point);
  CREATE TABLE lib.places (at point);
  INSERT INTO lib.places VALUES ('(1, 2)'), ('(3, 4)');

  CREATE VIEW lib.plain AS SELECT a, lib.twice(a), upper('x'::text) FROM t WHERE a IN (1, 2);
  CREATE VIEW lib.calling AS SELECT public.effect(a) FROM t;
  CREATE VIEW lib.over AS SELECT count(*) FROM lib.calling;
  CREATE VIEW lib.comparing AS SELECT a OPERATOR(lib.===) 1 AS c FROM t;
  CREATE VIEW lib.casting AS SELECT a::lib.checked FROM t;
  CREATE VIEW lib.converting AS SELECT 'at ' || home::text AS c FROM lib.people;
  CREATE VIEW lib.reloading AS SELECT pg_reload_conf();
  CREATE VIEW lib.setting AS SELECT set_config('work_mem', '1GB', false);
  CREATE VIEW lib.columns AS SELECT x.nextval, x.effect FROM (SELECT 1, 2) AS x (nextval, effect);
  CREATE MATERIALIZED VIEW lib.stored AS SELECT public.effect(a) FROM t WHERE false;

  CREATE EXTENSION citext SCHEMA lib;
  CREATE EXTENSION hstore SCHEMA lib;
  CREATE EXTENSION pg_trgm SCHEMA lib;
  CREATE EXTENSION pg_stat_statements SCHEMA lib;
`

/** Each of them runs `public.effect`. */
const disguises = [
  'SELECT effect(1)',
  'SELECT public.effect(a) FROM t',
  'SELECT (1).effect',
  'SELECT t.effect FROM t',
  'SELECT lib.bad_sum(a) FROM t',
  'SELECT 1 OPERATOR(lib.===) 1',
  'SELECT 1 OPERATOR(lib.===) ANY (ARRAY[1])',
  'SELECT lib.takes_checked(1)',
  'SET search_path = lib; SELECT (1).takes_checked',
  "SELECT '1'::lib.checked",
  'SELECT CAST(1 AS lib.twice_checked)',
  "SELECT '{1}'::lib.checked[]",
  "SELECT '({1})'::lib.composite",
  'SELECT lib.checked(1)',
  'SET search_path = lib; SELECT (1).checked',
  'SELECT * FROM json_to_record(\'{"a": 1}\') AS x (a lib.checked)',
  'SELECT json_populate_record(NULL::lib.rows, \'{"a": {"x": [1]}}\')',
  'SELECT json_populate_record(r, \'{"a": {"x": [1]}}\') FROM lib.rows AS r',
  'SELECT home::text FROM lib.people',
  'SELECT lower(home) FROM lib.people',
  'SELECT * FROM lib.calling',
  'SELECT 1 FROM lib.over',
  'SET search_path = lib; TABLE over',
  'SELECT * FROM lib.comparing',
  'SELECT * FROM lib.casting',
  'SELECT * FROM lib.converting',
  'SELECT upper(1)',
  'SELECT DISTINCT w FROM lib.weights',
  'SELECT w FROM lib.weights GROUP BY w',
  'SELECT w FROM lib.weights ORDER BY 1',
  'SELECT w FROM lib.weights UNION SELECT w FROM lib.weights',
  'SELECT w FROM lib.weights INTERSECT SELECT w FROM lib.weights',
  'SELECT count(DISTINCT w) FROM lib.weights',
  'SELECT array_agg(w ORDER BY w) FROM lib.weights',
  'SELECT rank() OVER (ORDER BY w) FROM lib.weights',
  'SELECT count(*) OVER (PARTITION BY w) FROM lib.weights',
  'SELECT DISTINCT n FROM lib.weights',
  'SELECT DISTINCT weights FROM lib.weights',
  'SELECT DISTINCT w FROM lib.lists',
  'SELECT max(w) FROM lib.lists',
  'SELECT DISTINCT w FROM lib.weighing',
  'SELECT DISTINCT w FROM lib.weighed',
  'SELECT count(*) OVER (ORDER BY s RANGE 1 PRECEDING) FROM lib.sizes',
  'SELECT lib.weight_of(i) FROM generate_series(1, 3) AS i ORDER BY 1',
  'SELECT i FROM generate_series(1, 3) AS i ORDER BY i USING OPERATOR(lib.<%)',
  "SELECT '[1, 3]'::lib.number_range",
  'SET enable_seqscan = off; SELECT * FROM lib.indexed WHERE a = 1',
  'SELECT DISTINCT at FROM lib.places',
] as const

let warden: Warden
let snapshot: CatalogSnapshot

beforeAll(async () => {
  await loadParser()
  warden = await Warden.start(inject('adminUrl'), { schema })
  const { configFile } = warden
  snapshot = parseSnapshot(await operations.snapshot({ configFile, target: 'shop' }), 'printed')
})
afterAll(() => warden.stop())

/** The names of those that are no extension's. */
function names(carriers: readonly SnapshotCarrier[]): string[] {
  return carriers.map((one) => `${one.schema}.${one.name}`).sort()
}

function functionsNamed(name: string): readonly object[] {
  return snapshot.functions
    .filter((one) => one.name === name && one.schema !== 'pg_catalog')
    .map(({ volatile, leastArguments, mostArguments }) => [volatile, leastArguments, mostArguments])
}

describe('the snapshot of a catalog', () => {
  it('knows what functions promise and how many arguments they take', () => {
    expect(functionsNamed('twice')).toEqual([[false, 1, 1]])
    expect(functionsNamed('variadic')).toEqual([[true, 2, undefined]])
    expect(functionsNamed('defaults')).toEqual([[false, 1, 2]])
    expect(functionsNamed('procedure')).toEqual([[true, 1, 1]])
    expect(functionsNamed('effect')).toEqual([
      [true, 1, 1],
      [true, 1, 1],
    ])
  })

  it('takes an aggregate for as volatile as what it is made of', () => {
    expect(functionsNamed('bad_sum')).toEqual([[true, 1, 1]])
    expect(functionsNamed('good_sum')).toEqual([[false, 1, 1]])
  })

  it('takes a function for volatile whose argument has a check that is', () => {
    expect(functionsNamed('takes_checked')).toEqual([[true, 1, 1]])
  })

  it('knows which functions belong to an extension', () => {
    const similarity = snapshot.functions.find(({ name }) => name === 'similarity')
    expect(similarity).toMatchObject({ schema: 'lib', extension: 'pg_trgm', volatile: false })
  })

  it('finds the operators that call volatile functions', () => {
    expect(snapshot.operators[0]).toEqual({
      schema: 'lib',
      name: '===',
      runs: 'lib.compare',
      because: 'it calls function lib.compare',
    })
    // The others are in classes with functions that are, or take values of a type that has such a class.
    expect([...new Set(names(snapshot.operators))]).toEqual([
      'lib.<#',
      'lib.<%',
      'lib.<@@',
      'lib.=#',
      'lib.===',
      'lib.=@@',
      'lib.=~',
    ])
  })

  it('finds the types with user code, and all that hold one of them', () => {
    expect(names(snapshot.types)).toEqual(
      [
        ...['checked', '_checked', 'twice_checked', '_twice_checked', 'compared', '_compared'],
        ...['composite', '_composite', 'rows', '_rows'],
        ...['checked_range', '_checked_range', 'checked_multirange', '_checked_multirange'],
        ...['address', '_address', 'people', '_people'],
        ...['colour', '_colour', 'coloured', '_coloured', 'casting', '_casting'],
        ...['weight', '_weight', 'net_weight', '_net_weight', 'weights', '_weights'],
        ...['lists', '_lists', 'weighing', '_weighing', 'weighed', '_weighed'],
        ...['number_range', '_number_range', 'number_multirange', '_number_multirange'],
        ...['size', '_size', 'sizes', '_sizes', 'places', '_places', 'indexed', '_indexed'],
      ]
        .map((name) => `lib.${name}`)
        .concat('pg_catalog.point', 'pg_catalog._point')
        .sort(),
    )
  })

  it('tells the way from a type to the function', () => {
    expect(snapshot.types.find(({ name }) => name === 'rows')).toMatchObject({
      schema: 'lib',
      name: 'rows',
      runs: 'public.effect',
      because:
        'it is made of type lib.composite: it is made of type lib._checked: ' +
        'it is made of type lib.checked: its check calls function public.effect',
    })
  })

  it('finds the views that call, compare, cast or set, and tables that convert or order by themselves', () => {
    expect(names(snapshot.views)).toEqual(
      [
        ...['calling', 'casting', 'comparing', 'converting', 'over', 'people', 'reloading'],
        ...['setting', 'weights', 'lists', 'weighing', 'weighed', 'sizes', 'places', 'indexed'],
      ]
        .map((name) => `lib.${name}`)
        .sort(),
    )
  })

  it('tells the way from a view to the function', () => {
    expect(snapshot.views.find(({ name }) => name === 'over')).toEqual({
      schema: 'lib',
      name: 'over',
      runs: 'public.effect',
      because: 'its definition reads lib.calling: its definition calls function public.effect',
    })
  })

  it('lists what an unqualified name can mean', () => {
    const listed = new Set(snapshot.relations.map(({ schema, name }) => `${schema}.${name}`))
    expect(listed).toContain('public.t')
    expect(listed).toContain('lib.stored')
    expect([...listed].filter((name) => /^pg_|^information_schema/.test(name))).toEqual([])
  })

  it('is taken of a target that there is', async () => {
    const { configFile } = warden
    await expect(operations.snapshot({ configFile, target: 'shpo' })).rejects.toThrow(
      'there is no target "shpo"',
    )
  })

  it('needs no rights on what it reads', async () => {
    const unprivileged = await warden.asSuperuser(async (client) => {
      await client.query('REVOKE ALL ON SCHEMA lib, public FROM PUBLIC')
      await client.query('CREATE ROLE nobody_special; SET ROLE nobody_special')
      const reader = new SnapshotReader({
        inspect: async (_, work) => {
          await client.query('BEGIN')
          return work(async <Row extends object>(text: string) => {
            const { rows } = await client.query<Row>(text)
            return rows
          })
        },
      })
      const read = await reader.read('shop', AbortSignal.timeout(10_000))
      await client.query('ROLLBACK; RESET ROLE; DROP ROLE nobody_special')
      return read
    })
    expect(unprivileged).toEqual(snapshot)
  })
})

async function codeOf(role: string, text: string): Promise<string | undefined> {
  const client = await warden.connect(role)
  try {
    await client.query(text)
    return undefined
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error
    return error.code
  } finally {
    await client.end()
  }
}

async function locksIn(client: Client): Promise<readonly object[]> {
  const { rows } = await client.query<object>(
    "SELECT objid FROM pg_locks WHERE locktype = 'advisory'",
  )
  return rows
}

describe('read_only, with a snapshot', () => {
  beforeAll(() =>
    vi.waitFor(async () => {
      expect(await codeOf('read_only', 'SELECT lib.twice(1)')).toBeUndefined()
    }, 10_000),
  )

  it.each([
    'SELECT lib.twice(a) FROM t',
    'SELECT lib.defaults(1), lib.good_sum(a) FROM t GROUP BY a',
    'SELECT 1 OPERATOR(lib.====) 1',
    "SELECT '1'::lib.positive",
    'SELECT * FROM lib.plain',
    'SELECT * FROM lib.columns',
    'SELECT * FROM lib.stored',
    'SELECT * FROM lib.coloured',
    'SELECT * FROM lib.rows',
    "SELECT 'a'::lib.citext = 'A'::lib.citext, lib.similarity('a', 'b')",
    "SELECT lib.hstore('a', 'b')",
  ])('may: %s', async (text) => {
    expect(await codeOf('read_only', text)).toBeUndefined()
  })

  it.each(disguises)('may not run it in any disguise: %s', async (text) => {
    const directly = await warden.asSuperuser(async (client) => {
      await client.query(text)
      return locksIn(client)
    })
    expect(directly).toEqual([{ objid: 4711 }])
    expect(await codeOf('read_only', text)).toBe('42501')
    expect(await warden.asSuperuser(locksIn)).toEqual([])
  })

  it.each([
    ['lib.checked', '1'],
    ['lib.twice_checked', '1'],
    ['lib.checked[]', '{1}'],
    ['lib.composite', '({1})'],
    ['lib.rows', '("({1})")'],
    ['lib.checked_range', '[1,3]'],
    ['lib.number_range', '[1,3]'],
  ])('may not run it by a parameter of type %s, which no text shows', async (type, value) => {
    const oid = await warden.asSuperuser(async (client) => {
      const { rows } = await client.query<{ oid: number }>('SELECT $1::regtype::oid AS oid', [type])
      return rows[0]?.oid ?? 0
    })
    const messages: readonly FrontendMessage[] = [
      { type: 'parse', name: '', text: Buffer.from('SELECT $1'), parameterTypes: [oid] },
      {
        type: 'bind',
        portal: '',
        statement: '',
        parameterFormats: [],
        parameters: [Buffer.from(value)],
        resultFormats: [],
      },
      { type: 'sync' },
    ]
    const codes: string[][] = []
    for (const role of ['read_only', 'read_limited_write']) {
      const wire = await WireClient.logIn(warden.port, await warden.login(role))
      wire.says(...messages)
      codes.push([...sqlstates(await wire.hears('readyForQuery'))])
      codes.push((await warden.asSuperuser(locksIn)).map(() => 'locked'))
      wire.close()
    }
    expect(codes).toEqual([['42501'], [], [], ['locked']])
    const statements = await warden.journal('statement')
    expect(statements.filter(({ text }) => text === 'SELECT $1').at(-2)).toMatchObject({
      decision: 'deny',
      rule: 'read_only/functions',
    })
    // The lock goes with its session.
    await expect.poll(() => warden.asSuperuser(locksIn)).toEqual([])
  })

  it.each(['SELECT * FROM lib.reloading', 'SELECT * FROM lib.setting'])(
    'may not call by a view what it may not by name: %s',
    async (text) => {
      expect(await codeOf('read_only', text)).toBe('42501')
    },
  )

  it('knows soon of what somebody makes through pgwarden', async () => {
    expect(
      await codeOf('admin', 'CREATE FUNCTION lib.late() RETURNS int STABLE RETURN 1'),
    ).toBeUndefined()
    await expect
      .poll(() => codeOf('read_only', 'SELECT lib.late()'), { timeout: 5_000 })
      .toBeUndefined()
    await codeOf('admin', 'ALTER FUNCTION lib.late() VOLATILE')
    await expect
      .poll(() => codeOf('read_only', 'SELECT lib.late()'), { timeout: 5_000 })
      .toBe('42501')
  })
})
