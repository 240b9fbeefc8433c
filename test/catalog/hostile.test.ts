// A catalog that somebody with DDL has made to be costly: reading it must not hold up the sessions.

import { performance } from 'node:perf_hooks'
import { beforeAll, describe, expect, it } from 'vitest'
import { Definitions } from '../../src/catalog/definitions.ts'
import type { TypeRow, ViewRow } from '../../src/catalog/queries.ts'
import { snapshotOf } from '../../src/catalog/snapshot.ts'
import { loadParser } from '../../src/sql/analyse.ts'
import { emptyRows } from '../support/catalogs.ts'

/** The longest time in which nobody else had a turn. */
async function longestStall(work: () => unknown): Promise<number> {
  let last = performance.now()
  let longest = 0
  const look = (): void => {
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
  }
  const ticks = setInterval(look, 1)
  await work()
  look()
  clearInterval(ticks)
  return longest
}

beforeAll(() => loadParser())

describe('reading a catalog', () => {
  it('lets the sessions have their turn while it reads the longest of definitions', async () => {
    const columns = Array.from({ length: 50_000 }, (_, n) => `(t.a + ${n}) AS c${n}`)
    const text = `SELECT ${columns.join(', ')} FROM public.t`
    expect(text.length).toBeLessThan(1024 * 1024 + 400_000)
    const stall = await longestStall(() => new Definitions().read([text.slice(0, 1_000_000)]))
    const valid = `SELECT ${columns.slice(0, 40_000).join(', ')} FROM public.t`
    const stallOfValid = await longestStall(() => new Definitions().read([valid]))
    expect(Math.max(stall, stallOfValid)).toBeLessThan(100)
  })

  it('takes no longer for views that were replaced to read the next one', async () => {
    const count = 3_000
    // CREATE OR REPLACE VIEW makes the older view read the newer one; only the newest runs code.
    const views = Array.from({ length: count }, (_, n): ViewRow => {
      const definition =
        n === count - 1 ? 'SELECT public.f(1)' : `SELECT v.a FROM public.v${n + 1} v`
      return { schema: 'public', name: `v${n}`, definition }
    })
    const read = await new Definitions().read(views.map(({ definition }) => definition))
    const stall = await longestStall(() => {
      const found = snapshotOf({ ...emptyRows, views }, (text) => read.get(text))
      expect(found.views).toHaveLength(count)
    })
    expect(stall).toBeLessThan(500)
  })

  it('takes no longer for domains whose checks need each other', async () => {
    const count = 150
    const relations = Array.from({ length: 50_000 }, (_, n) => ({ schema: 's', name: `t${n}` }))
    const oid = (n: number): number => 20_000 + n
    const types = Array.from({ length: count }, (_, n): TypeRow => {
      return { type: oid(n), schema: 'public', name: `d${n}`, parts: [23], columns: null }
    })
    const checks = types.map(({ type }, n) => ({
      domain: type,
      condition: n === 0 ? 'public.f(VALUE)' : `((VALUE)::public.d${n - 1} > 0)`,
    }))
    const texts = checks.map(({ condition }) => `SELECT WHERE ${condition}`)
    const read = await new Definitions().read(texts)
    const stall = await longestStall(() => {
      const found = snapshotOf({ ...emptyRows, relations, types, checks }, (t) => read.get(t))
      expect(found.types).toHaveLength(count)
    })
    expect(stall).toBeLessThan(500)
  })
})
