import { beforeAll, describe, expect, it } from 'vitest'
import { loadParser } from '../../src/sql/analyse.ts'
import { complete, failed, ready, row, Script, sql, sync } from '../support/scripted-session.ts'

beforeAll(loadParser)

const copyIn = { type: 'copyInResponse', format: 0, columnFormats: [0] } as const
const data = { type: 'copyData', data: Buffer.from('1\n') } as const
const done = { type: 'copyDone' } as const

describe('COPY in the middle of a query string', () => {
  const text = sql('SELECT 1; COPY t FROM STDIN; SELECT 2')

  it('is one statement with the others, whose rows are counted together', () => {
    const script = new Script()
    script.client(text)
    script.upstream(row, complete('SELECT 1'), copyIn)
    expect(script.client(data, data, done)).toEqual([data, data, done])
    script.upstream(complete('COPY 2'), row, complete('SELECT 1'), ready())
    expect(script.session.idle).toBe(true)
    expect(script.records('statement')).toHaveLength(1)
    expect(script.records('outcome')).toMatchObject([{ result: 'ok', rows: 4 }])
  })

  it('that fails in its data ends the string, and data still on its way does no harm', () => {
    const script = new Script()
    script.client(text)
    script.upstream(row, complete('SELECT 1'), copyIn)
    script.client(data)
    script.upstream(failed('22P02'), ready())
    expect(script.client(data, done, sql('SELECT 3'))).toEqual([data, done, sql('SELECT 3')])
    expect(script.records('outcome')).toMatchObject([{ result: 'error', sqlstate: '22P02' }])
    script.upstream(row, complete('SELECT 1'), ready())
    expect(script.session.idle).toBe(true)
  })

  it('that the client gives up has the server’s error', () => {
    const script = new Script()
    script.client(text)
    script.upstream(row, complete('SELECT 1'), copyIn)
    const fail = { type: 'copyFail', message: 'gave up' } as const
    expect(script.client(data, fail)).toEqual([data, fail])
    expect(script.upstream(failed('57014'), ready())).toEqual([failed('57014'), ready()])
    expect(script.records('outcome')).toMatchObject([{ result: 'error', sqlstate: '57014' }])
  })
})

describe('Syncs in the middle of a COPY', () => {
  const syncs = (count: number): readonly (typeof sync)[] =>
    Array.from({ length: count }, () => sync)

  it('go out when it has failed without them', () => {
    const script = new Script()
    script.client(sql('COPY t FROM STDIN'))
    script.upstream(copyIn)
    expect(script.client(...syncs(1000))).toEqual([])
    script.upstream(failed('57014'), ready())
    expect(script.gotUpstream()).toEqual(syncs(1000))
  })

  it('end the session when there is no end of them: they would all go out at once', () => {
    const script = new Script()
    script.client(sql('COPY t FROM STDIN'))
    script.upstream(copyIn)
    expect(() => script.client(...syncs(1001))).toThrow(
      expect.objectContaining({ sqlstate: '08P01', severity: 'FATAL' }),
    )
  })
})

it('a COPY in both directions, which no session asks for, ends with a sentence', () => {
  const script = new Script({ role: 'admin' })
  script.client(sql('SELECT 1'))
  const both = { type: 'copyBothResponse', format: 0, columnFormats: [] } as const
  expect(() => script.upstream(both)).toThrow(
    expect.objectContaining({
      sqlstate: '08006',
      severity: 'FATAL',
      message: 'the target database sent a message that does not belong in a session',
    }),
  )
  expect(script.gotClient()).toEqual([])
})
