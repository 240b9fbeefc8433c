// A text of very many statements, and what each mention of it costs everybody else.

import { performance } from 'node:perf_hooks'
import { beforeAll, describe, expect, it } from 'vitest'
import { loadParser } from '../../src/sql/analyse.ts'
import {
  bind,
  complete,
  failed,
  parse,
  ready,
  Script,
  sql,
  sync,
} from '../support/scripted-session.ts'

beforeAll(loadParser)

describe('a prepared text of very many statements', () => {
  it('does not hold up the others when a pipeline binds it often', () => {
    const script = new Script({ role: 'read_only' })
    // As many as are read at all.
    const text = parse('END;'.repeat(10_000), 's')
    expect(script.client(text)).toEqual([text])
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
  /** p0 is a SELECT, and each of the others executes the one before it. */
  function chained(length: number): Script {
    const script = new Script({ role: 'read_only' })
    for (let n = 0; n < length; n++) {
      script.client(parse(n === 0 ? 'SELECT 1' : `EXECUTE p${n - 1}`, `p${n}`), sync)
      script.upstream({ type: 'parseComplete' }, ready())
    }
    return script
  }

  it('does not hold up the others when a query string begins it often', { timeout: 60_000 }, () => {
    const script = chained(5_000)
    const text = `EXECUTE p4999;`.repeat(4_000)
    expect(text.length).toBeLessThan(64 * 1024)
    const startedAt = performance.now()
    script.client(sql(text))
    expect(performance.now() - startedAt).toBeLessThan(1_000)
  })

  it('does not hold up the others when it is begun at each of its links', {
    timeout: 60_000,
  }, () => {
    const script = chained(5_000)
    const links = Array.from({ length: 3_000 }, (_, n) => `EXECUTE p${n}`)
    const startedAt = performance.now()
    script.client(sql(links.join(';')))
    expect(performance.now() - startedAt).toBeLessThan(1_000)
  })

  it('runs as long as somebody may want it, and is denied beyond', () => {
    const script = chained(17)
    const text = sql('EXECUTE p15')
    expect(script.client(text)).toEqual([text])
    expect(script.upstream(complete('SELECT 1'), ready())).toHaveLength(2)
    expect(script.client(sql('EXECUTE p16'))).not.toContainEqual(sql('EXECUTE p16'))
    expect(script.upstream(failed('42601'), ready())).toMatchObject([
      { fields: { C: '54001' } },
      {},
    ])
    expect(script.records('statement').at(-1)).toMatchObject({
      decision: 'deny',
      rule: 'read_only/prepared',
    })
  })

  it('that comes back to its beginning is the server’s to fail', () => {
    const script = new Script({ role: 'read_only' })
    script.client(parse('EXECUTE b', 'a'), parse('EXECUTE a', 'b'), sync)
    script.upstream({ type: 'parseComplete' }, { type: 'parseComplete' }, ready())
    expect(script.client(sql('EXECUTE a'))).toEqual([sql('EXECUTE a')])
    expect(script.upstream(failed('54001'), ready())).toEqual([failed('54001'), ready()])
  })
})
