// A text of very many statements, and what each mention of it costs everybody else.

import { performance } from 'node:perf_hooks'
import { beforeAll, describe, expect, it } from 'vitest'
import { loadParser } from '../../src/sql/analyse.ts'
import { bind, failed, parse, ready, Script, sql, sync } from '../support/scripted-session.ts'

beforeAll(loadParser)

describe('a prepared text of very many statements', () => {
  it('does not hold up the others when a pipeline binds it often', {
    timeout: 60_000,
  }, async () => {
    const script = new Script({ role: 'read_only' })
    script.client(parse('END;'.repeat(250_000), 's'))
    await new Promise((resolve) => setTimeout(resolve, 5_000))
    expect(script.gotUpstream()).toHaveLength(1)
    // As many as one chunk of 64 KB brings.
    const binds = Array.from({ length: 4_000 }, () => bind('s'))
    const startedAt = performance.now()
    script.sends(...binds, sync)
    script.turn()
    script.upstream(failed('42601'))
    expect(performance.now() - startedAt).toBeLessThan(1_000)
  })
})

describe('a chain of EXECUTEs', () => {
  it('does not hold up the others when a query string begins it often', { timeout: 60_000 }, () => {
    const script = new Script({ role: 'read_only' })
    const length = 5_000
    for (let n = 0; n < length; n++) {
      script.client(parse(n === 0 ? 'SELECT 1' : `EXECUTE p${n - 1}`, `p${n}`), sync)
      script.upstream({ type: 'parseComplete' }, ready())
    }
    const text = `EXECUTE p${length - 1};`.repeat(4_000)
    expect(text.length).toBeLessThan(64 * 1024)
    const startedAt = performance.now()
    script.client(sql(text))
    expect(performance.now() - startedAt).toBeLessThan(1_000)
  })
})
