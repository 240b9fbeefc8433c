// How much of a role's statements is recorded, and how safely.

import { beforeAll, describe, expect, it } from 'vitest'
import type { Batch } from '../../src/audit/storage.ts'
import { loadParser } from '../../src/sql/analyse.ts'
import type { FrontendMessage } from '../../src/wire/frontend.ts'
import { encodeFrontend } from '../../src/wire/frontend.ts'
import { parseLine, storageThat } from '../support/memory-journal.ts'
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
const recordsAll = { recording: { parameters: 'full' } } as const

const given = (
  parameters: readonly (Buffer | null)[],
  parameterFormats: readonly number[] = [],
): FrontendMessage => ({ ...bind(), type: 'bind', parameters, parameterFormats, ...names })
const names = { portal: '', statement: '', resultFormats: [] }
const int4 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

describe('values beside a text', () => {
  it('are not recorded unless the role says so', () => {
    const script = new Script()
    script.client(parse('SELECT $1'), given([Buffer.from('x')]), execute(), sync)
    expect(script.records('statement')[0]).not.toHaveProperty('parameters')
  })

  it('are recorded with the types that Parse gave them', () => {
    const script = new Script(recordsAll)
    const text = { ...parse('SELECT $1, $2, $3'), parameterTypes: [23, 25] } as FrontendMessage
    script.client(text, given([int4(-7), null, Buffer.from([1, 255])], [1]), execute(), sync)
    expect(script.records('statement')).toMatchObject([
      {
        parameters: [{ type: 23, value: '-7' }, { type: 25, value: null }, { value: '\\x01ff' }],
      },
    ])
  })

  it('have the types that the server describes to who asks it', () => {
    const script = new Script(recordsAll)
    script.client(
      parse('SELECT $1', 's'),
      { type: 'describe', target: 'statement', name: 's' },
      sync,
    )
    script.upstream(
      parsed,
      { type: 'parameterDescription', typeOids: [23] },
      { type: 'noData' },
      ready(),
    )
    script.client({ ...given([int4(42)], [1]), statement: 's' } as FrontendMessage, execute(), sync)
    expect(script.records('statement')).toMatchObject([{ parameters: [{ type: 23, value: '42' }] }])
  })

  it('are recorded of a denied run too', () => {
    const script = new Script({ ...recordsAll, role: 'read_only' })
    script.client(parse('EXECUTE p'), given([Buffer.from('x')]), execute(), sync)
    expect(script.records('statement')).toMatchObject([
      { decision: 'deny', parameters: [{ value: 'x' }] },
    ])
  })

  it('cannot be hidden by cutting a Bind in pieces', () => {
    const script = new Script(recordsAll)
    script.client(parse('SELECT $1, $2'), sync)
    script.upstream(parsed, ready())
    // The last value is far behind what is read of a Bind that nobody looks into.
    const whole = encodeFrontend(given([Buffer.alloc(100_000, 'x'), Buffer.from('the last')]))
    for (let at = 0; at < whole.length; at += 7_001) {
      script.session.fromClient(whole.subarray(at, at + 7_001))
    }
    script.client(execute(), sync)
    expect(script.records('statement')).toMatchObject([
      { parameters: [{ value: 'x'.repeat(256), bytes: 100_000 }, { value: 'the last' }] },
    ])
  })

  it('of a Bind over the limit of statements are recorded as far as they are read, and counted', () => {
    const script = new Script(recordsAll)
    script.client(parse('SELECT $1, $2'), sync)
    script.upstream(parsed, ready())
    const huge = given([Buffer.alloc(2_000_000, 'x'), Buffer.from('behind it')])
    const bytes = encodeFrontend(huge)
    script.session.fromClient(bytes.subarray(0, 20_000))
    script.session.fromClient(bytes.subarray(20_000))
    expect(script.client(execute(), sync)[0]).toMatchObject({ type: 'bind' })
    expect(script.records('statement')).toMatchObject([
      { parameters: [{ value: 'x'.repeat(256), bytes: 2_000_000 }], parameterCount: 2 },
    ])
  })
})

describe('an outcome', () => {
  it('says where the time went', () => {
    const script = new Script()
    script.sends(sql('SELECT 1'))
    script.now += 3
    script.turn()
    script.now += 40
    script.upstream(row, complete('SELECT 1'), ready())
    expect(script.records('outcome')).toMatchObject([
      { policyMs: 0, auditMs: 3, upstreamMs: 40, durationMs: 43 },
    ])
  })

  it('counts what a COPY brought in', () => {
    const script = new Script()
    script.client(sql('COPY t FROM STDIN'))
    script.upstream({ type: 'copyInResponse', format: 0, columnFormats: [0] })
    const data = { type: 'copyData', data: Buffer.from('1\n') } as const
    script.client(data, data, { type: 'copyDone' })
    script.upstream(complete('COPY 2'), ready())
    expect(script.records('outcome')).toMatchObject([{ bytesIn: 14, rows: 2 }])
  })

  it('of a failure has the message of the server', () => {
    const script = new Script()
    script.client(sql('SELECT 1/0'))
    script.upstream(failed('22012'), ready())
    expect(script.records('outcome')).toMatchObject([
      { sqlstate: '22012', message: 'the server says no' },
    ])
  })

  it('has no message that can quote a value which is not recorded', () => {
    const message = (sqlstate: string, recording: ConstructorParameters<typeof Script>[0]) => {
      const script = new Script(recording)
      script.client(parse('SELECT $1'), given([Buffer.from('x')]), execute(), sync)
      script.upstream(parsed, bound, failed(sqlstate), ready())
      return script.records('outcome')[0]?.['message']
    }
    expect(message('22P02', {})).toBeUndefined()
    expect(message('42P01', {})).toBe('the server says no')
    expect(message('22P02', recordsAll)).toBe('the server says no')
    expect(message('42P01', { recording: { text: 'fingerprint' } })).toBeUndefined()
  })
})

describe('a statement', () => {
  it('has no message that can quote what an unknown prepared statement was given', () => {
    const script = new Script({ role: 'admin' })
    script.client(sql("EXECUTE made_by_a_function('x77777')"))
    script.upstream(failed('22P02'), ready())
    expect(script.records('statement')[0]).toMatchObject({ text: 'EXECUTE made_by_a_function($1)' })
    const [outcome] = script.records('outcome')
    expect(outcome).toMatchObject({ sqlstate: '22P02' })
    expect(outcome).not.toHaveProperty('message')
  })

  it('is a line of JSON whatever count the server claims', () => {
    const script = new Script()
    script.client(sql('SELECT 1'))
    script.upstream(row, complete(`SELECT ${'9'.repeat(400)}`), ready())
    expect(script.records('outcome')).toMatchObject([{ result: 'ok', rows: 1 }])
  })

  it('says how far the transaction is that it is sent in', () => {
    const script = new Script()
    const statuses = ['T', 'E', 'I'] as const
    for (const status of statuses) {
      script.client(sql('SELECT 1'))
      script.upstream(complete('SELECT 1'), ready(status))
    }
    expect(script.records('statement')).toMatchObject([
      { transaction: 'idle', bytesIn: 14 },
      { transaction: 'open' },
      { transaction: 'failed' },
    ])
  })

  it('of a role that asks for it is on the disk before it is forwarded, and others are not', async () => {
    const sent = async (fsync: 'os' | 'batch') => {
      const batches: boolean[] = []
      const storage = storageThat(({ durable }) => void batches.push(durable))
      const script = new Script({ recording: { fsync }, storage })
      script.sends(sql('SELECT 1'))
      script.turn()
      const atOnce = script.gotUpstream().length
      await new Promise(setImmediate)
      return { batches, atOnce, later: script.gotUpstream().length }
    }
    expect(await sent('batch')).toEqual({ batches: [true], atOnce: 0, later: 1 })
    expect(await sent('os')).toEqual({ batches: [false], atOnce: 1, later: 0 })
  })

  it('that is too long for a record goes beside it whole, once', () => {
    const texts: string[] = []
    const lines: string[] = []
    const storage = storageThat(({ bytes, length, overflow }: Batch) => {
      texts.push(...overflow.map(({ text }) => text))
      lines.push(...bytes.toString('utf8', 0, length).trimEnd().split('\n'))
    })
    const script = new Script({ storage })
    const long = `SELECT '${'é'.repeat(20_000)}'`
    script.client(parse(long, 's'), sync)
    script.upstream(parsed, ready())
    for (let times = 0; times < 3; times++) {
      script.client(bind('s'), execute(), sync)
      script.upstream(bound, complete('SELECT 1'), ready())
    }
    expect(texts).toEqual([long])
    expect(Math.max(...lines.map((line) => Buffer.byteLength(line)))).toBeLessThan(20_000)
    expect(parseLine(lines[0] ?? '')).toMatchObject({ textBytes: Buffer.byteLength(long) })
  })
})
