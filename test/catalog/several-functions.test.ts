// A role that may call one function of the database may not, by a view, call the others.

import { beforeAll, describe, expect, it } from 'vitest'
import { Definitions } from '../../src/catalog/definitions.ts'
import type { CatalogRows, FunctionRow } from '../../src/catalog/queries.ts'
import { snapshotOf } from '../../src/catalog/snapshot.ts'
import { Catalog } from '../../src/policy/catalog.ts'
import { Policy } from '../../src/policy/policy.ts'
import { predefinedRoles } from '../../src/policy/roles.ts'
import { loadParser } from '../../src/sql/analyse.ts'

beforeAll(() => loadParser())

const nothing: CatalogRows = {
  serverVersion: 180_000,
  functions: [],
  operators: [],
  casts: [],
  checks: [],
  types: [],
  views: [],
  relations: [],
  orders: [],
}
const volatile = (name: string): FunctionRow => {
  const rest = { volatile: true, least: 0, most: 0, extension: null, types: [] }
  return { schema: 'public', name, ...rest }
}
const functions = [volatile('price'), volatile('evil')]
const policy = new Policy(
  [
    ...predefinedRoles,
    { name: 'pricing', includes: ['read_only'], functions: { allow: ['public.price'] } },
  ],
  { maxBytes: 1024 },
)

async function outcome(views: CatalogRows['views'], text: string): Promise<string> {
  const read = await new Definitions().read(views.map(({ definition }) => definition))
  const rows = { ...nothing, functions, views }
  const catalog = Catalog.of(snapshotOf(rows, (definition) => read.get(definition)))
  return policy.judgeText('pricing', text, catalog).decision.outcome
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
})
