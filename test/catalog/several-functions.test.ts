// A role that may call one function of the database may not, by a view, call the others.

import { beforeAll, describe, expect, it } from 'vitest'
import { Definitions } from '../../src/catalog/definitions.ts'
import type { CatalogRows, FunctionRow } from '../../src/catalog/queries.ts'
import { snapshotOf } from '../../src/catalog/snapshot.ts'
import { Catalog } from '../../src/policy/catalog.ts'
import { Policy } from '../../src/policy/policy.ts'
import { predefinedRoles } from '../../src/policy/roles.ts'
import { loadParser } from '../../src/sql/analyse.ts'
import { emptyRows } from '../support/catalogs.ts'

beforeAll(() => loadParser())

const volatile = (name: string): FunctionRow => {
  const rest = { volatile: true, least: 0, most: 0, extension: null, types: [] }
  return { schema: 'public', name, plain: true, sets: [], calls: [], writes: false, ...rest }
}
const functions = [volatile('price'), volatile('evil')]
const policy = new Policy(
  [
    ...predefinedRoles,
    { name: 'pricing', includes: ['read_only'], functions: { allow: ['public.price'] } },
  ],
  { maxBytes: 1024 },
)

async function decision(
  views: CatalogRows['views'],
  text: string,
  more: Partial<CatalogRows> = {},
) {
  const read = await new Definitions().read(views.map(({ definition }) => definition))
  const rows = { ...emptyRows, functions, views, ...more }
  const catalog = Catalog.of(snapshotOf(rows, (definition) => read.get(definition)))
  return policy.judgeText('pricing', text, catalog).decision
}

async function outcome(
  views: CatalogRows['views'],
  text: string,
  more: Partial<CatalogRows> = {},
): Promise<string> {
  return (await decision(views, text, more)).outcome
}

describe('a role that may call price() of the two', () => {
  it('reads a view that calls it alone', async () => {
    const definition = 'SELECT public.price() AS price'
    const views = [{ schema: 'public', name: 'v', definition }]
    expect(await outcome(views, 'SELECT * FROM v')).toBe('allow')
  })

  it('cannot read a view that calls evil() behind it', async () => {
    const definition = 'SELECT public.price() AS price, public.evil() AS evil'
    const views = [{ schema: 'public', name: 'v', definition }]
    expect(await outcome(views, 'SELECT * FROM v')).toBe('deny')
  })

  it('cannot read what may be another view of the same name', async () => {
    const views = [
      { schema: 'public', name: 'v', definition: 'SELECT public.price() AS price' },
      { schema: 'other', name: 'v', definition: 'SELECT public.evil() AS price' },
    ]
    expect(await outcome(views, 'SELECT * FROM v')).toBe('deny')
  })

  it('hears of evil(), and by which views it was reached', async () => {
    const views = [
      { schema: 'public', name: 'v', definition: 'SELECT w.price FROM public.w' },
      { schema: 'public', name: 'w', definition: 'SELECT public.price(), public.evil()' },
    ]
    expect(await decision(views, 'SELECT * FROM w')).toMatchObject({
      reason:
        'relation w, which runs function public.evil: its definition calls function public.evil',
    })
    expect(await decision(views, 'SELECT * FROM v')).toMatchObject({
      reason:
        'relation v, which runs function public.evil: ' +
        'its definition reads public.w: its definition calls function public.evil',
    })
  })

  it('cannot use an operator that calls evil() for other operands', async () => {
    const operators = ['price', 'evil'].map((functionName) => {
      const rest = { volatile: true, types: [23], functionSchema: 'public', functionName }
      return { schema: 'public', name: '===', ...rest }
    })
    const text = 'SELECT 1 === 1'
    expect(await outcome([], text, { operators: operators.slice(0, 1) })).toBe('allow')
    expect(await outcome([], text, { operators })).toBe('deny')
  })

  it('cannot use a type that another cast converts by evil()', async () => {
    const types = [{ type: 20_001, schema: 'public', name: 'd', parts: [23], columns: null }]
    const casts = ['price', 'evil'].map((functionName) => {
      return { source: 20_001, target: 23, implicit: false, functionSchema: 'public', functionName }
    })
    const text = 'SELECT a::d FROM t'
    expect(await outcome([], text, { types, casts: casts.slice(0, 1) })).toBe('allow')
    expect(await outcome([], text, { types, casts })).toBe('deny')
  })

  it('cannot read a view that calls so many that nobody counts them', async () => {
    const calls = Array.from({ length: 60 }, (_, n) => `public.f${n}()`)
    const definition = `SELECT ${calls.join(', ')}`
    const allow = Array.from({ length: 60 }, (_, n) => `public.f${n}`)
    const lavish = new Policy(
      [...predefinedRoles, { name: 'lavish', includes: ['read_only'], functions: { allow } }],
      { maxBytes: 1024 },
    )
    const read = await new Definitions().read([definition])
    const views = [{ schema: 'public', name: 'v', definition }]
    const catalog = Catalog.of(snapshotOf({ ...emptyRows, views }, (text) => read.get(text)))
    expect(lavish.judgeText('lavish', 'SELECT * FROM v', catalog).decision).toMatchObject({
      outcome: 'deny',
      reason: expect.stringContaining('it runs more than 50 functions') as unknown,
    })
  })
})
