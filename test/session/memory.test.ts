// What a session keeps is about what it says that it keeps.

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { beforeAll, expect, it } from 'vitest'
import { loadParser } from '../../src/sql/analyse.ts'
import { storageThat } from '../support/memory-journal.ts'
import { complete, ready, Script, sql } from '../support/scripted-session.ts'

beforeAll(loadParser)

function heap(): number {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc()')
  return process.memoryUsage().heapUsed
}

it('keeps of a query string that prepares something only what it prepares', {
  timeout: 30_000,
}, () => {
  const script = new Script({ role: 'read_only', storage: storageThat(() => undefined) })
  const before = heap()
  const count = 1_000
  for (let n = 0; n < count; n++) {
    script.client(sql(`PREPARE p${n} AS SELECT 'some text'; SELECT 1 /*${'x'.repeat(60_000)}*/`))
    script.upstream(complete('PREPARE'), complete('SELECT 1'), ready())
  }
  const kept = heap() - before
  expect(script.session.idle).toBe(true)
  // By its own count the session keeps 256 bytes and the text of each.
  expect(kept).toBeLessThan(count * 10_000)
})

it('keeps of a query string that it waits for the answer of about its length', {
  timeout: 60_000,
}, () => {
  const script = new Script({ role: 'read_only', storage: storageThat(() => undefined) })
  const before = heap()
  // As many statements as are read at all; no two strings alike, so that none is remembered.
  const texts = Array.from({ length: 10 }, (_, n) => `${'END;'.repeat(9_999)}/*${n}*/`)
  for (const text of texts) expect(script.client(sql(text))).toEqual([sql(text)])
  const length = texts.join('').length
  const kept = heap() - before
  expect(script.session.idle).toBe(false)
  expect(kept).toBeLessThan(20 * length)
})
