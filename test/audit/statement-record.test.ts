import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { clip, quote, quoteWithin } from '../../src/audit/json.ts'
import type { Parameter } from '../../src/audit/parameters-record.ts'
import { sessionContext } from '../../src/audit/record.ts'
import { recordedText } from '../../src/audit/recorded-text.ts'
import type { Recording } from '../../src/audit/recording.ts'
import {
  outcomeRecord,
  type Statement,
  statementRecord,
  textLimit,
} from '../../src/audit/statement-record.ts'
import { Failure } from '../../src/errors.ts'
import type { Decision } from '../../src/policy/decision.ts'
import { judgementOf } from '../support/judgement.ts'
import { parseLine } from '../support/memory-journal.ts'

const facts = {
  session: 's1',
  principal: 'ada',
  groups: ['developers'],
  grant: 'g1',
  requestId: undefined,
  requestReason: 'incident "7"',
  role: 'read_only',
  target: 'shop',
  databaseRole: 'pgw_g1_x',
  lease: 'l1',
  client: '127.0.0.1:50000',
  application: 'psql',
  tls: 'TLSv1.3',
}
const context = sessionContext(facts)

function statementOf(text: string, change: Partial<Statement> = {}): Statement {
  const judgement = change.judgement ?? judgementOf(text)
  return {
    number: 12,
    protocol: 'simple',
    judgement,
    decision: judgement.decision,
    transaction: 'idle',
    bytesIn: 14,
    parameters: undefined,
    repeats: undefined,
    runs: [],
    ...change,
  }
}

const made = (statement: Statement, mode: Recording['text'] = 'full', of = context) =>
  statementRecord(of, mode, statement)
const record = (...of: Parameters<typeof made>) => parseLine(`{${made(...of).fields}}`)

describe('the record of a statement', () => {
  it('says who, where, what and why, and can be read alone', () => {
    const { requestId: _, ...session } = facts
    expect(record(statementOf('select 1'))).toEqual({
      type: 'statement',
      id: 's1.12',
      ...session,
      protocol: 'simple',
      transaction: 'idle',
      bytesIn: 14,
      text: 'select 1',
      fingerprint: '09be28d39835a169',
      tags: ['SELECT'],
      class: 'READ',
      decision: 'allow',
      rule: 'read_only/commands',
      reason: 'SELECT is allowed',
    })
  })

  it('takes the decision of the moment over the remembered one', () => {
    const ended: Decision = {
      outcome: 'deny',
      rule: 'grant/ended',
      reason: 'the grant has ended',
      failure: new Failure('statement_denied', { message: 'permission denied' }),
    }
    const same = statementOf('select 1')
    expect(record(same)).toMatchObject({ decision: 'allow' })
    expect(record({ ...same, decision: ended })).toMatchObject({
      ...{ decision: 'deny', rule: 'grant/ended', reason: 'the grant has ended' },
    })
    expect(record(same)).toMatchObject({ decision: 'allow' })
  })

  it('names each relation once for each thing that is done to it, also by what EXECUTE runs', () => {
    const read = { schema: 'hr', name: 'people', access: 'read' } as const
    const write = { schema: undefined, name: 'orders', access: 'write' } as const
    const judgement = judgementOf('...', { relations: [read, write, read] })
    const relations = [
      { name: 'hr.people', access: 'read' },
      { name: 'orders', access: 'write' },
    ]
    expect(record(statementOf('', { judgement }))).toMatchObject({ relations })
    const runs = [{ judgement, repeats: undefined }]
    const executed = record(statementOf('execute p', { runs }))
    expect(executed).toMatchObject({ relations, runs: [{ text: '...' }] })
  })

  it('has at most 64 relations and says how many there were', () => {
    const many = Array.from({ length: 100 }, (_, at) => ({
      ...{ schema: undefined, name: `t${at}`, access: 'read' as const },
    }))
    const of = record(statementOf('', { judgement: judgementOf('', { relations: many }) }))
    expect(of['relations']).toHaveLength(64)
    expect(of).toMatchObject({ relationCount: 100 })
  })

  it('of a hundred thousand statements has 64 tags', () => {
    const tags = Array.from({ length: 100_000 }, () => 'BEGIN')
    const of = record(statementOf('', { judgement: judgementOf('begin', { tags }) }))
    expect(of['tags']).toHaveLength(64)
    expect(of).toMatchObject({ tagCount: 100_000 })
  })

  it('of what runs four hundred prepared statements has all of them, the rest beside it', () => {
    const runs = Array.from({ length: 400 }, (_, at) => ({
      judgement: judgementOf(`select ${at} ${'x'.repeat(100)}`),
      repeats: undefined,
    }))
    const { fields, overflow } = made(statementOf('execute ...', { runs }))
    const of = parseLine(`{${fields}}`)
    expect(of).toMatchObject({ runCount: 400 })
    const list = overflow.find(({ sha256 }) => sha256 === of['runsSha256'])
    expect(JSON.parse(list?.text ?? '')).toEqual(
      runs.map(({ judgement }) => ({
        text: judgement.text,
        fingerprint: recordedText(judgement, 'full').fingerprint,
      })),
    )
  })
})

describe('the values in a record', () => {
  const text = (value: string, type?: number): Parameter => ({
    ...{ type, value, bytes: value.length, cut: false },
  })
  const given = (first: readonly Parameter[], count = first.length) =>
    record(statementOf('select $1', { parameters: { count, first } }))

  it('have the types that are known', () => {
    const none = { type: 25, value: null, bytes: 0, cut: false }
    expect(given([text('1', 23), none, text('x')])).toMatchObject({
      parameters: [{ type: 23, value: '1' }, { type: 25, value: null }, { value: 'x' }],
    })
  })

  it('are 256 bytes each, and the length of the whole is said', () => {
    expect(given([text('é'.repeat(500)), text('\u0001'.repeat(100))])).toMatchObject({
      parameters: [
        { value: 'é'.repeat(128), bytes: 500 },
        { value: '\u0001'.repeat(42), bytes: 100 },
      ],
    })
  })

  it('are at most 64, in 8 KiB, and their number is said', () => {
    const few = given(
      Array.from({ length: 64 }, () => text('1')),
      65_535,
    )
    expect(few['parameters']).toHaveLength(64)
    expect(few).toMatchObject({ parameterCount: 65_535 })
    const large = given(Array.from({ length: 64 }, () => text('x'.repeat(256))))
    expect(JSON.stringify(large['parameters']).length).toBeLessThan(8_200)
    expect(large).toMatchObject({ parameterCount: 64 })
  })

  it('of a message too large to be looked into are said not to be there', () => {
    const unread = record(statementOf('select $1', { parameters: 'unread' }))
    expect(unread).toMatchObject({ parameters: 'unread' })
  })
})

describe('the record of an outcome', () => {
  const timed = { durationMs: 1.23456, policyMs: 0.1, auditMs: 0.2, upstreamMs: 1.0345678 }
  const outcome = {
    ...{ ...timed, bytesIn: 0, bytes: 120, sqlstate: undefined, message: undefined },
  }

  it('joins its statement by id and says where the time went', () => {
    const done = { ...outcome, result: 'ok', command: 'SELECT', rows: 3 } as const
    expect(parseLine(`{${outcomeRecord(context, 12, done)}}`)).toEqual({
      ...{ type: 'outcome', statement: 's1.12', result: 'ok', command: 'SELECT', rows: 3 },
      ...{ bytes: 120, durationMs: 1.235, policyMs: 0.1, auditMs: 0.2, upstreamMs: 1.035 },
    })
  })

  it('of a failure has what the server said', () => {
    const failed = {
      ...{ ...outcome, result: 'error' as const, command: undefined, rows: undefined },
      ...{ sqlstate: '23505', message: `duplicate ${'é'.repeat(1000)}` },
      ...{ auditMs: undefined, upstreamMs: undefined, bytesIn: 9 },
    }
    expect(parseLine(`{${outcomeRecord(context, 13, failed)}}`)).toEqual({
      ...{ type: 'outcome', statement: 's1.13', result: 'error', bytesIn: 9, bytes: 120 },
      ...{ durationMs: 1.235, policyMs: 0.1, sqlstate: '23505' },
      message: `duplicate ${'é'.repeat(507)}`,
    })
  })
})

describe('text in a record', () => {
  it('is one line of valid JSON and valid UTF-8 whatever the client sent', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.array(fc.nat(0xffff)), (text, units) => {
        const wild = text + String.fromCharCode(...units)
        const claimed = sessionContext({ ...facts, application: wild })
        const { fields } = made(statementOf(wild), 'full', claimed)
        expect(Buffer.from(fields).toString()).toBe(fields)
        expect(fields).not.toMatch(/[\p{Cc}\u2028\u2029]/u)
        const kept = Buffer.from(wild).toString()
        expect(parseLine(`{${fields}}`)).toMatchObject({ text: kept, application: kept })
      }),
    )
  })

  it('cannot act on the terminal of whoever reads it', () => {
    const tricks = '\u001b[2J\u009b2J\u007f\u202eevil\u2066\u200b\u{e0041}'
    expect(quote(tricks)).toMatch(/^[\x20-\x7e]*$/)
    expect(JSON.parse(quote(tricks))).toBe(tricks)
  })

  it('is cut beyond 16 KiB, says what the whole was, and the whole goes beside the record', () => {
    const long = `select '${'é'.repeat(600_000)}'`
    const { fields, overflow } = made(statementOf(long))
    const sha256 = createHash('sha256').update(long).digest('hex')
    expect(parseLine(`{${fields}}`)).toMatchObject({
      text: clip(long, textLimit),
      textBytes: Buffer.byteLength(long),
      textSha256: sha256,
    })
    expect(overflow).toEqual([{ text: long, sha256 }])
  })

  it('of exactly 16 KiB is kept whole', () => {
    const { fields, overflow } = made(statementOf('x'.repeat(textLimit)))
    expect(parseLine(`{${fields}}`)).not.toHaveProperty('textBytes')
    expect(overflow).toEqual([])
  })

  it('that stands in an earlier record is not written again', () => {
    const same = statementOf('x'.repeat(40_000))
    const again = made({ ...same, number: 13, repeats: 12 })
    expect(parseLine(`{${again.fields}}`)).toMatchObject({
      ...{ text: 'x'.repeat(1024), textBytes: 40_000, textIn: 's1.12' },
    })
    expect(again.overflow).toEqual([])
  })

  it('is cut between characters, and after its escapes have been counted', () => {
    const units = fc.constantFrom('a', '\u0001', 'é', '\u202e', '\u{e0041}', '"', '\ud800', '🙂')
    fc.assert(
      fc.property(fc.array(units, { maxLength: 60 }), fc.nat(100), (characters, limit) => {
        const text = characters.join('')
        const quoted = quoteWithin(text, limit)
        expect(Buffer.byteLength(quoted) - 2).toBeLessThanOrEqual(limit)
        const whole = Buffer.from(text).toString()
        expect(whole.startsWith(String(JSON.parse(quoted)))).toBe(true)
        if (Buffer.byteLength(quote(text)) - 2 <= limit) expect(JSON.parse(quoted)).toBe(whole)
      }),
    )
  })
})
