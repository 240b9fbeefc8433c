import { beforeAll, describe, expect, it } from 'vitest'
import { loadParser } from '../../src/sql/analyse.ts'
import { encodeFrontend, type FunctionCall } from '../../src/wire/frontend.ts'
import {
  bind,
  execute,
  failed,
  parse,
  ready,
  Script,
  sql,
  sync,
} from '../support/scripted-session.ts'

beforeAll(loadParser)

const int4 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}
/** As libpq's PQfn sends it. */
const call = (oid: number, ...args: readonly Buffer[]): FunctionCall => ({
  type: 'functionCall',
  oid,
  argumentFormats: [1],
  arguments: args,
  resultFormat: 1,
})
const [readMode, writeMode] = [0x40000, 0x20000]
const open = (mode: number): FunctionCall => call(952, int4(16400), int4(mode))
const answered = { type: 'functionCallResponse', value: int4(0) } as const
/** What stands in the place of a denied one. */
const impossible = { type: 'functionCall', oid: 0, arguments: [] }

describe('a FunctionCall of a large-object function', () => {
  it('is recorded as the SQL that it stands for before it goes, and has its outcome', () => {
    const script = new Script()
    const create = call(957, int4(-1))
    expect(script.client(create)).toEqual([create])
    expect(script.unrecorded).toBe(false)
    expect(script.session.idle).toBe(false)
    expect(script.upstream(answered, ready())).toEqual([answered, ready()])
    expect(script.session.idle).toBe(true)
    expect(script.records('statement', 'outcome')).toMatchObject([
      {
        protocol: 'functionCall',
        text: 'SELECT pg_catalog.lo_creat($1)',
        tags: ['SELECT'],
        decision: 'allow',
      },
      { result: 'ok' },
    ])
  })

  it('is denied to a role that may not run that SQL, in its place, and the session goes on', () => {
    const script = new Script({ role: 'read_only' })
    expect(script.client(call(957, int4(-1)), sql('SELECT 1'))).toMatchObject([
      impossible,
      sql('SELECT 1'),
    ])
    expect(script.upstream(failed('42883'), ready('E'))).toMatchObject([
      { fields: { C: '42501', M: expect.stringContaining('lo_creat') as unknown } },
      ready('E'),
    ])
    expect(script.records('statement')).toMatchObject([
      { decision: 'deny', text: 'SELECT pg_catalog.lo_creat($1)' },
      { decision: 'allow' },
    ])
  })

  it('lets a reading role open for reading, and for nothing else', () => {
    const script = new Script({ role: 'read_only' })
    expect(script.client(open(readMode))).toEqual([open(readMode)])
    for (const mode of [writeMode, readMode | writeMode, readMode + 1, 0, -1]) {
      expect(script.client(open(mode))).toMatchObject([impossible])
    }
  })

  it('takes no mode from arguments that the server may read otherwise', () => {
    const script = new Script({ role: 'read_only' })
    const bytes = [int4(16400), int4(readMode)] as const
    const misleading: readonly FunctionCall[] = [
      { ...open(readMode), argumentFormats: [] },
      { ...open(readMode), argumentFormats: [1, 0] },
      { ...open(readMode), argumentFormats: [0] },
      { ...open(readMode), arguments: [bytes[0], Buffer.from('262144')] },
      { ...open(readMode), arguments: [bytes[0], null] },
      { ...open(readMode), arguments: [bytes[0]] },
      { ...open(readMode), arguments: [bytes[0], Buffer.alloc(8)] },
      { ...open(readMode), arguments: [Buffer.alloc(100), bytes[1]] },
    ]
    for (const message of misleading) expect(script.client(message)).toMatchObject([impossible])
  })

  it('streams what it writes, of which only the head is looked at', () => {
    const script = new Script()
    const frame = encodeFrontend(call(955, int4(0), Buffer.alloc(1_000_000, 'x')))
    script.session.fromClient(frame.subarray(0, 70))
    script.turn()
    for (let at = 70; at < frame.length; at += 65_536) {
      script.session.fromClient(frame.subarray(at, at + 65_536))
    }
    // Compared as bytes: to compare a million of them one by one takes seconds.
    expect(Buffer.concat(script.gotUpstream().map(encodeFrontend)).equals(frame)).toBe(true)
    expect(script.records('statement')).toHaveLength(1)
  })

  it('that is denied is dropped to its last byte', () => {
    const script = new Script({ role: 'read_only' })
    const write = call(955, int4(0), Buffer.alloc(100_000))
    expect(script.client(write, sync)).toMatchObject([impossible, sync])
  })

  it('behind an error in its pipeline is skipped like everything up to Sync', () => {
    const script = new Script()
    script.client(parse('SELECT 1/0'), bind(), execute(), call(958, int4(0)), sync)
    const answer = script.upstream(
      { type: 'parseComplete' },
      { type: 'bindComplete' },
      failed('22012'),
      ready(),
    )
    expect(answer.at(-1)).toEqual(ready())
    expect(script.session.idle).toBe(true)
    expect(script.records('outcome')).toMatchObject([{ result: 'error' }, { result: 'skipped' }])
  })

  it('ends the Sync group: the settings have been reported to who reads what comes behind', () => {
    const script = new Script({ role: 'admin' })
    const text = sql("SELECT E'\\n'")
    script.client(parse('DO $$ BEGIN END $$'), bind(), execute(), call(958, int4(0)), text)
    expect(script.gotUpstream()).not.toContainEqual(text)
    script.upstream({ type: 'parseComplete' }, { type: 'bindComplete' })
    script.upstream({ type: 'commandComplete', tag: 'DO' }, answered, ready())
    script.turn()
    expect(script.gotUpstream()).toEqual([text])
  })

  it('leaves the unnamed statement alone, as PostgreSQL does', () => {
    const script = new Script()
    script.client(parse('SELECT 1'), sync)
    script.upstream({ type: 'parseComplete' }, ready())
    script.client(call(958, int4(0)))
    script.upstream(answered, ready())
    expect(script.client(bind(), sync)).toEqual([bind(), sync])
  })

  it('counts what it reads', () => {
    const script = new Script()
    script.client(call(954, int4(0), int4(1000)))
    script.upstream({ type: 'functionCallResponse', value: Buffer.alloc(1000) }, ready())
    expect(script.records('outcome')).toMatchObject([{ bytes: 1009 }])
  })
})

it('a FunctionCall of any other function is denied to every role', () => {
  const script = new Script({ role: 'admin' })
  const setConfig = call(2078, Buffer.from('role'), Buffer.from('x'), Buffer.from('f'))
  expect(script.client(setConfig)).toMatchObject([impossible])
  expect(script.upstream(failed('42883'), ready())).toMatchObject([
    { fields: { C: '42501', D: expect.stringContaining('OID 2078') as unknown } },
    ready(),
  ])
  expect(script.records('statement')).toMatchObject([{ decision: 'deny', text: '' }])
})
