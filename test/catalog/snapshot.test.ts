import { beforeAll, describe, expect, it } from 'vitest'
import { checking, Definitions } from '../../src/catalog/definitions.ts'
import type { CatalogRows, FunctionRow, TypeRow, ViewRow } from '../../src/catalog/queries.ts'
import { snapshotOf } from '../../src/catalog/snapshot.ts'
import type { CatalogSnapshot } from '../../src/policy/catalog.ts'
import { loadParser } from '../../src/sql/analyse.ts'
import { emptyRows } from '../support/catalogs.ts'

async function snapshotFrom(rows: Partial<CatalogRows>): Promise<CatalogSnapshot> {
  const all = { ...emptyRows, ...rows }
  const read = await new Definitions().read([
    ...all.views.map(({ definition }) => definition),
    ...all.checks.map(({ condition }) => checking(condition)),
  ])
  return snapshotOf(all, (text) => read.get(text))
}

function userFunction(name: string, more: Partial<FunctionRow> = {}): FunctionRow {
  const defaults = { schema: 'public', volatile: true, least: 1, most: 1, extension: null }
  return { ...defaults, types: [], plain: true, sets: [], calls: [], writes: false, name, ...more }
}

function view(name: string, definition: string, schema = 'public'): ViewRow {
  return { schema, name, definition }
}

function type(oid: number, name: string, ...parts: readonly number[]): TypeRow {
  return { type: oid, schema: 'public', name, parts, columns: null }
}

const int4 = 23
const [d, e, arrayOfD, row] = [20_001, 20_002, 20_003, 20_004]

beforeAll(() => loadParser())

describe('a view', () => {
  it.each([
    ['SELECT public.f(t.a) FROM public.t', 'public.f', 'its definition calls function public.f'],
    ['SELECT pg_reload_conf()', 'pg_catalog.pg_reload_conf', 'calls function'],
    ["SELECT nextval('s'::regclass)", 'pg_catalog.nextval', 'calls function'],
    ["SELECT set_config('work_mem', '1GB', false)", 'pg_catalog.set_config', 'changes settings'],
    ['SELECT public.unheard_of(1)', 'public.unheard_of', 'calls function public.unheard_of'],
    ['SELECT pg_unheard_of(1)', 'pg_catalog.pg_unheard_of', 'calls function'],
    ['SELECT t.a FROM public.t FOR UPDATE', 'unknown', 'its definition does SELECT FOR UPDATE'],
    ['SELECT something that no parser reads', 'unknown', 'its definition cannot be read'],
    ['', 'unknown', 'its definition cannot be read'],
  ])('counts when it runs %s', async (definition, runs, because) => {
    const functions = [userFunction('f')]
    const { views } = await snapshotFrom({ functions, views: [view('v', definition)] })
    expect(views.map((found) => [found.name, found.runs])).toEqual([['v', runs]])
    expect(views[0]?.because).toContain(because)
  })

  it.each([
    'SELECT t.a, upper(t.b) FROM public.t WHERE t.a IN (1, 2)',
    'SELECT public.stable(1)',
    'SELECT t.f, t.nextval FROM public.t',
    'SELECT * FROM public.pg_stat_statements(true)',
    'VALUES (1), (2)',
    'WITH RECURSIVE x AS (SELECT 1 AS a UNION ALL SELECT x.a + 1 FROM x) SELECT x.a FROM x',
    'SELECT random(), clock_timestamp()',
    // Its own function of this name would be qualified.
    'SELECT lower(t.b) FROM public.t',
  ])('does not count when it runs %s', async (definition) => {
    const functions = [
      userFunction('f'),
      userFunction('lower'),
      userFunction('stable', { volatile: false }),
      userFunction('pg_stat_statements', { extension: 'pg_stat_statements' }),
    ]
    const { views } = await snapshotFrom({ functions, views: [view('v', definition)] })
    expect(views).toEqual([])
  })

  it("counts with a function that only has the name of an extension's", async () => {
    const functions = [userFunction('pg_stat_statements')]
    const views = [view('v', 'SELECT public.pg_stat_statements(true)')]
    expect((await snapshotFrom({ functions, views })).views).toHaveLength(1)
  })

  it('counts over a view that does, in whatever order they were made', async () => {
    const functions = [userFunction('f')]
    const views = [
      view('c', 'SELECT 1 FROM public.b'),
      view('b', 'SELECT 1 FROM public.a'),
      view('a', 'SELECT public.f(1)'),
      view('other', 'SELECT 1 FROM elsewhere.a'),
    ]
    const snapshot = await snapshotFrom({ functions, views })
    expect(snapshot.views.map(({ name }) => name).sort()).toEqual(['a', 'b', 'c'])
    expect(snapshot.views.find(({ name }) => name === 'c')?.because).toBe(
      'its definition reads public.b: its definition reads public.a: its definition calls function public.f',
    )
  })

  it('is not taken for another one by the dots in its name', async () => {
    const views = [
      view('b.c', 'SELECT pg_reload_conf()', 'a'),
      view('c', 'SELECT pg_reload_conf()', 'a.b'),
    ]
    expect((await snapshotFrom({ views })).views).toHaveLength(2)
  })
})

describe('an operator', () => {
  const behind = { functionSchema: 'public', functionName: 'f' }
  const operator = { schema: 'public', name: '=', volatile: true, types: [int4], ...behind }

  it('counts by its function, and in the views that imply it', async () => {
    const functions = [userFunction('f')]
    const views = [view('v', 'SELECT 1 FROM public.t JOIN public.u USING (a)')]
    const snapshot = await snapshotFrom({ functions, operators: [operator], views })
    expect(snapshot.operators).toEqual([
      { schema: 'public', name: '=', runs: 'public.f', because: 'it calls function public.f' },
    ])
    expect(snapshot.views[0]?.because).toBe(
      'its definition uses operator public.=: it calls function public.f',
    )
  })

  it('does not count when its function is not volatile', async () => {
    const functions = [userFunction('f', { volatile: false })]
    const operators = [{ ...operator, volatile: false }]
    expect((await snapshotFrom({ functions, operators })).operators).toEqual([])
  })
})

describe('a type', () => {
  const functions = [userFunction('f')]
  const checks = [{ domain: d, condition: 'public.f(VALUE) > 0' }]

  it('counts by its check, and so does what is made of it', async () => {
    const types = [
      type(d, 'd', int4),
      type(arrayOfD, '_d', d),
      type(e, 'e', arrayOfD),
      { ...type(row, 't', e), columns: 'relation' as const },
    ]
    const snapshot = await snapshotFrom({ functions, checks, types })
    expect(snapshot.types.map(({ name }) => name)).toEqual(['d', '_d', 'e', 't'])
    expect(snapshot.types[2]).toEqual({
      oid: e,
      schema: 'public',
      name: 'e',
      runs: 'public.f',
      because:
        'it is made of type public._d: it is made of type public.d: its check calls function public.f',
    })
    // A row that is only read is not checked again.
    expect(snapshot.views).toEqual([])
  })

  it('does not count when its check computes', async () => {
    const harmless = [{ domain: d, condition: "VALUE ~ '^[a-z]+$'::text" }]
    const snapshot = await snapshotFrom({
      functions,
      checks: harmless,
      types: [type(d, 'd', int4)],
    })
    expect(snapshot.types).toEqual([])
  })

  it('counts by a check that uses another type or an operator on it', async () => {
    const operators = [
      {
        schema: 'public',
        name: '@@@',
        volatile: false,
        types: [d],
        functionSchema: 'pg_catalog',
        functionName: 'int4eq',
      },
    ]
    const both = [...checks, { domain: e, condition: 'VALUE OPERATOR(public.@@@) 1' }]
    const types = [type(d, 'd', int4), type(e, 'e', int4)]
    const snapshot = await snapshotFrom({ functions, operators, checks: both, types })
    expect(snapshot.operators.map(({ name }) => name)).toEqual(['@@@'])
    expect(snapshot.types.map(({ name }) => name)).toEqual(['d', 'e'])
  })

  it('can be called by its name, and makes the functions volatile that take it', async () => {
    const more = [...functions, userFunction('takes_d', { volatile: false, types: [d, int4] })]
    const types = [type(d, 'd', int4)]
    const snapshot = await snapshotFrom({ functions: more, checks, types })
    expect(snapshot.functions.map(({ name, volatile }) => [name, volatile])).toEqual([
      ['f', true],
      ['takes_d', true],
      ['d', true],
    ])
  })
})

describe('a cast', () => {
  const functions = [userFunction('f')]
  const types = [type(d, 'd'), { ...type(row, 't', d), columns: 'relation' as const }]
  const behind = { functionSchema: 'public', functionName: 'f' }

  it('counts where its type is named, and in tables that hold what it converts', async () => {
    const casts = [{ source: d, target: 25, implicit: false, ...behind }]
    const snapshot = await snapshotFrom({ functions, casts, types })
    expect(snapshot.types.map(({ name }) => name)).toEqual(['d', 't'])
    expect(snapshot.views).toEqual([
      {
        schema: 'public',
        name: 't',
        runs: 'public.f',
        because: 'it is made of type public.d: a cast of it calls function public.f',
      },
    ])
  })

  it.each([
    { implicit: false, tables: [] },
    { implicit: true, tables: ['t'] },
  ])('to a type counts in tables that have it when it needs no word: $implicit', async (row) => {
    const casts = [{ source: 25, target: d, implicit: row.implicit, ...behind }]
    const snapshot = await snapshotFrom({ functions, casts, types })
    expect(snapshot.views.map(({ name }) => name)).toEqual(row.tables)
  })
})

describe('the order of a type', () => {
  const functions = [userFunction('f')]
  const types = [type(d, 'd'), { ...type(row, 't', d), columns: 'relation' as const }]
  const orders = [{ type: d, functionSchema: 'public', functionName: 'f' }]

  it('counts where the type is named, and in tables and views that show its values', async () => {
    const views = [view('v', 'SELECT 1 FROM (SELECT DISTINCT t.a FROM public.t) AS q')]
    const snapshot = await snapshotFrom({ functions, orders, types, views })
    expect(snapshot.types.map(({ oid }) => oid)).toEqual([d, row])
    expect(snapshot.views).toEqual([
      {
        schema: 'public',
        name: 't',
        runs: 'public.f',
        because: 'it is made of type public.d: to compare its values calls function public.f',
      },
      {
        schema: 'public',
        name: 'v',
        runs: 'public.f',
        because:
          'its definition reads public.t: it is made of type public.d: ' +
          'to compare its values calls function public.f',
      },
    ])
  })

  it('does not count by a function of an extension that is known to be harmless', async () => {
    const known = [userFunction('pg_stat_statements', { extension: 'pg_stat_statements' })]
    const harmless = [{ type: d, functionSchema: 'public', functionName: 'pg_stat_statements' }]
    const snapshot = await snapshotFrom({ functions: known, orders: harmless, types })
    expect([...snapshot.types, ...snapshot.views]).toEqual([])
  })
})

describe('what is read of definitions', () => {
  it('lets others have their turn, however many there are', async () => {
    let turns = 0
    const count = setInterval(() => {
      turns += 1
    }, 0)
    await new Definitions().read(
      Array.from({ length: 2_000 }, (_, i) => `SELECT ${i} AS a, upper('${'x'.repeat(200)}')`),
    )
    clearInterval(count)
    expect(turns).toBeGreaterThan(5)
  })
})
