// What the policy remembers stays within what it was given.

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { beforeAll, expect, it } from 'vitest'
import { Catalog } from '../../src/policy/catalog.ts'
import { Policy } from '../../src/policy/policy.ts'
import { predefinedRoles } from '../../src/policy/roles.ts'
import { loadParser } from '../../src/sql/analyse.ts'

beforeAll(() => loadParser())

function heap(): number {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc()')
  return process.memoryUsage().heapUsed
}

it('keeps texts of many small statements within its memory', { timeout: 60_000 }, () => {
  const lookups = { hits: 0, misses: 0 }
  const policy = new Policy(predefinedRoles, {
    maxBytes: 1024 * 1024,
    cacheBytes: 8 * 1024 * 1024,
    lookups,
  })
  const catalog = Catalog.unread()
  const before = heap()
  for (let n = 0; n < 60; n++) {
    const text = Buffer.from(`${'END;'.repeat(4_000)}--${n}`)
    policy.judge('read_only', text, catalog)
    policy.judge('read_only', text, catalog)
  }
  const kept = heap() - before
  // Something has to hold the policy until here.
  expect(policy.roles()).not.toHaveLength(0)
  expect(lookups.misses).toBeGreaterThan(0)
  expect(kept).toBeLessThan(48 * 1024 * 1024)
})
