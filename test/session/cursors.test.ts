// SQL's cursors and the protocol's portals are one name space: what the one makes, the other can run.

import { beforeAll, describe, expect, it } from 'vitest'
import { loadParser } from '../../src/sql/analyse.ts'
import {
  bind,
  complete,
  execute,
  failed,
  parse,
  ready,
  row,
  Script,
  sql,
  sync,
} from '../support/scripted-session.ts'

beforeAll(loadParser)

const parsed = { type: 'parseComplete' } as const
const bound = { type: 'bindComplete' } as const
const suspended = { type: 'portalSuspended' } as const

/** In a transaction in which this cursor has been declared. */
function declared(declare = 'DECLARE c CURSOR FOR SELECT a FROM t'): Script {
  const script = new Script()
  script.client(sql(`BEGIN; ${declare}`))
  script.upstream(complete('BEGIN'), complete('DECLARE CURSOR'), ready('T'))
  return script
}

describe('a cursor of SQL', () => {
  it('can be run by the protocol, and each run of it is recorded', () => {
    const script = declared()
    expect(script.client(execute('c', 2), sync)).toEqual([execute('c', 2), sync])
    script.upstream(row, row, suspended, ready('T'))
    script.client(execute('c'), sync)
    script.upstream(row, complete('SELECT 1'), ready('T'))
    script.client(execute('c'), sync)
    script.upstream(complete('SELECT 0'), ready('T'))
    expect(script.records('statement').slice(1)).toMatchObject([
      { text: expect.stringContaining('DECLARE c') as unknown, tags: ['SELECT'] },
      { protocol: 'extended', tags: ['SELECT'] },
    ])
    expect(script.records('outcome').slice(1)).toMatchObject([
      { statement: 's1.2', result: 'ok', rows: 3 },
      { statement: 's1.3', result: 'ok', rows: 0 },
    ])
  })

  it('can be run in the same pipeline that declares it', () => {
    const script = new Script()
    const pipeline = [
      sql('BEGIN'),
      ...[parse('DECLARE c CURSOR FOR SELECT 1'), bind(), execute(), execute('c'), sync],
    ]
    expect(script.client(...pipeline)).toEqual(pipeline)
  })

  it.each(['CLOSE c', 'CLOSE ALL', 'DISCARD ALL'])('is gone with %s', (text) => {
    const script = declared()
    script.client(execute('c', 1), sync)
    script.upstream(row, suspended, ready('T'))
    script.client(sql(text))
    const tag = { 'CLOSE c': 'CLOSE CURSOR', 'CLOSE ALL': 'CLOSE CURSOR ALL' }[text] ?? text
    script.upstream(complete(tag), ready('T'))
    expect(script.records('outcome')).toMatchObject([
      {},
      { statement: 's1.2', result: 'suspended', rows: 1 },
      { statement: 's1.3', result: 'ok' },
    ])
    script.client(execute('c'), sync)
    expect(script.upstream(failed('34000'), ready('E'))).toMatchObject([
      { fields: { C: '34000', M: 'portal "c" does not exist' } },
      ready('E'),
    ])
  })

  it('is gone with the protocol’s Close', () => {
    const script = declared()
    script.client({ type: 'close', target: 'portal', name: 'c' }, sync)
    script.upstream({ type: 'closeComplete' }, ready('T'))
    expect(script.client(execute('c'), sync)).not.toEqual([execute('c'), sync])
  })

  it('is gone with its transaction', () => {
    const script = declared()
    script.client(sql('COMMIT'))
    script.upstream(complete('COMMIT'), ready())
    expect(script.client(execute('c'), sync)).not.toEqual([execute('c'), sync])
  })

  it('outlives its transaction WITH HOLD', () => {
    const script = declared('DECLARE c CURSOR WITH HOLD FOR SELECT a FROM t')
    script.client(execute('c', 1), sync)
    script.upstream(row, suspended, ready('T'))
    script.client(sql('COMMIT'))
    script.upstream(complete('COMMIT'), ready())
    expect(script.client(execute('c'), sync)).toEqual([execute('c'), sync])
    script.upstream(row, complete('SELECT 1'), ready())
    expect(script.records('outcome').at(-1)).toMatchObject({ statement: 's1.2', rows: 2 })
    script.client(sql('CLOSE ALL'))
    script.upstream(complete('CLOSE CURSOR ALL'), ready())
    expect(script.client(execute('c'), sync)).not.toEqual([execute('c'), sync])
  })

  it('can be declared by EXECUTE of what Parse has prepared', () => {
    const script = new Script()
    script.client(parse('DECLARE c CURSOR WITH HOLD FOR SELECT a FROM t', 'n'), sync)
    script.upstream(parsed, ready())
    script.client(parse('EXECUTE n', 'm'), sync, sql('EXECUTE m'))
    script.upstream(parsed, ready(), complete('DECLARE CURSOR'), ready())
    expect(script.records('statement').at(-1)).toMatchObject({
      text: 'EXECUTE m',
      runs: [{ text: 'EXECUTE n' }, { text: expect.stringContaining('DECLARE c') as unknown }],
    })
    expect(script.client(execute('c'), sync)).toEqual([execute('c'), sync])
  })

  it('that the server did not make is none', () => {
    const script = new Script()
    script.client(sql('DECLARE c CURSOR FOR SELECT 1'))
    script.upstream(failed('25P01'), ready())
    expect(script.client(execute('c'), sync)).not.toEqual([execute('c'), sync])
  })

  it('that takes the name of a portal which was closed carries its own judgement', () => {
    const script = new Script()
    script.client(sql('BEGIN'), parse('DELETE FROM t RETURNING a', 's'), bind('s', 'c'), sync)
    script.upstream(complete('BEGIN'), ready('T'), parsed, bound, ready('T'))
    script.client(sql('CLOSE c; DECLARE c CURSOR FOR SELECT 1'))
    expect(script.client(execute('c'), sync)).toEqual([])
    script.upstream(complete('CLOSE CURSOR'), complete('DECLARE CURSOR'), ready('T'))
    script.turn()
    expect(script.gotUpstream()).toEqual([execute('c'), sync])
    expect(script.records('statement').at(-1)).toMatchObject({ tags: ['SELECT'] })
    expect(script.records('outcome')).toMatchObject([{}, { result: 'unexecuted' }, {}])
  })
})

describe('FETCH', () => {
  it('is recorded with the text of the cursor that it fetches from', () => {
    const script = declared()
    script.client(sql('FETCH 2 FROM c'))
    expect(script.records('statement').at(-1)).toMatchObject({
      text: 'FETCH 2 FROM c',
      runs: [{ text: expect.stringContaining('SELECT a FROM t') as unknown }],
    })
  })

  it('is recorded with the text of the portal that it fetches from', () => {
    const script = new Script()
    script.client(sql('BEGIN'), parse('DELETE FROM t RETURNING a', 's'), bind('s', 'p'), sync)
    script.upstream(complete('BEGIN'), ready('T'), parsed, bound, ready('T'))
    script.client(sql('FETCH ALL FROM p'))
    expect(script.records('statement').at(-1)).toMatchObject({
      runs: [{ text: 'DELETE FROM t RETURNING a' }],
    })
  })

  it('of a cursor that its own string declares shows it already', () => {
    const script = new Script()
    script.client(sql('BEGIN; DECLARE c CURSOR FOR SELECT 1; FETCH c'))
    expect(script.records('statement')[0]).not.toHaveProperty('runs')
  })

  it('of a cursor that nobody knows is the server’s to refuse', () => {
    const script = new Script()
    expect(script.client(sql('FETCH c'))).toEqual([sql('FETCH c')])
    expect(script.records('statement')[0]).not.toHaveProperty('runs')
  })
})
