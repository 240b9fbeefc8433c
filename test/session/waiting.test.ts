// Names whose meaning is open, and long texts, together: what waits is judged once and by what it is.
import { beforeAll, describe, expect, it } from 'vitest'
import { analyse, loadParser } from '../../src/sql/analyse.ts'
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
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('a long text that names what is not certain yet', () => {
  it('is analysed once', async () => {
    let analysed = 0
    const script = new Script({
      role: 'read_limited_write',
      analyseAside: (text) => {
        analysed++
        return Promise.resolve(analyse(text, { maxBytes: 1024 * 1024 }))
      },
    })
    script.client(sql('PREPARE p AS SELECT 1'))
    script.upstream(complete('PREPARE'), ready())
    const long = sql(`EXECUTE p /*${'x'.repeat(70_000)}*/`)
    script.client(sql('DEALLOCATE p'), sql('PREPARE p AS DELETE FROM t'), long)
    await turn()
    script.upstream(complete('DEALLOCATE'), ready(), complete('PREPARE'), ready())
    await turn()
    await turn()
    script.turn()
    expect(script.gotUpstream().at(-1)).toEqual(long)
    expect(script.records('statement').at(-1)).toMatchObject({
      runs: [{ text: 'PREPARE p AS DELETE FROM t' }],
    })
    expect(analysed).toBe(1)
  })
})

describe('a cursor', () => {
  it('redeclared after ROLLBACK TO means the new one', () => {
    const script = new Script({ role: 'read_limited_write' })
    script.client(
      sql(
        'BEGIN; SAVEPOINT a; DECLARE c CURSOR FOR SELECT 1; ROLLBACK TO a; DECLARE c CURSOR FOR SELECT 2',
      ),
    )
    script.upstream(
      complete('BEGIN'),
      complete('SAVEPOINT'),
      complete('DECLARE CURSOR'),
      complete('ROLLBACK'),
      complete('DECLARE CURSOR'),
      ready('T'),
    )
    script.client(sql('FETCH c'))
    expect(script.records('statement').at(-1)).toMatchObject({
      runs: [{ text: expect.stringContaining('SELECT 2') as unknown }],
    })
  })

  it('is what the failed second DECLARE did not replace', () => {
    const script = new Script({ role: 'read_limited_write' })
    script.client(sql('BEGIN; SAVEPOINT a; DECLARE c CURSOR FOR SELECT 1'))
    script.upstream(
      complete('BEGIN'),
      complete('SAVEPOINT'),
      complete('DECLARE CURSOR'),
      ready('T'),
    )
    script.client(sql('DECLARE c CURSOR FOR SELECT 2'))
    script.upstream(failed('42P03'), ready('E'))
    script.client(sql('ROLLBACK TO a'), sql('FETCH c'))
    expect(script.records('statement').at(-1)).toMatchObject({
      runs: [{ text: expect.stringContaining('SELECT 1') as unknown }],
    })
  })

  it('that a string declares twice is the second: what is fetched is recorded', () => {
    const script = new Script({ role: 'read_limited_write' })
    script.client(
      sql('BEGIN; DECLARE c CURSOR FOR SELECT 1; CLOSE c; DECLARE c CURSOR FOR SELECT 2'),
    )
    script.upstream(
      complete('BEGIN'),
      complete('DECLARE CURSOR'),
      complete('CLOSE CURSOR'),
      complete('DECLARE CURSOR'),
      ready('T'),
    )
    script.client(sql('FETCH c'))
    expect(script.records('statement').at(-1)).toMatchObject({
      runs: [{ text: expect.stringContaining('SELECT 2') as unknown }],
    })
  })

  it('closed in the string and fetched from is the earlier one no more', () => {
    const script = new Script({ role: 'read_limited_write' })
    script.client(parse('SELECT 1', 's'), bind('s', 'c'), execute('c', 1), sync)
    script.upstream(parsed, bound, row, { type: 'portalSuspended' }, ready('I'))
    script.client(sql('FETCH c'))
    expect(script.records('statement').at(-1)).not.toHaveProperty('runs')
  })
})

describe('a prepared statement', () => {
  it('that an EXECUTE in the same string as PREPARE runs is the one of before it', () => {
    const script = new Script({ role: 'read_limited_write' })
    script.client(parse('DELETE FROM t', 'p'), sync)
    script.upstream(parsed, ready())
    script.client(sql('EXECUTE p; DEALLOCATE p; PREPARE p AS SELECT 1; EXECUTE p'))
    expect(script.records('statement').at(-1)).toMatchObject({ runs: [{ text: 'DELETE FROM t' }] })
  })

  it('that a string deallocates and executes is still what runs if DEALLOCATE is not reached', () => {
    const script = new Script({ role: 'read_limited_write' })
    script.client(parse('DELETE FROM t', 'p'), sync)
    script.upstream(parsed, ready())
    script.client(sql('PREPARE p AS SELECT 1; EXECUTE p'))
    script.upstream(failed('42P05'), ready())
    script.client(sql('EXECUTE p'))
    expect(script.records('statement').at(-1)).toMatchObject({ runs: [{ text: 'DELETE FROM t' }] })
  })
  it('that is named by an EXECUTE inside EXPLAIN, and then declares a cursor, is recorded at FETCH', () => {
    const script = new Script({ role: 'read_limited_write' })
    script.client(parse('DELETE FROM t RETURNING a', 'p'), sync)
    script.upstream(parsed, ready())
    script.client(parse('CREATE TABLE x AS EXECUTE p', 'q'), sync)
    expect(script.records('statement').at(-1)).toMatchObject({ decision: 'deny' })
  })
})
