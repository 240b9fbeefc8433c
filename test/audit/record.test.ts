import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { journalCloseRecord, journalOpenRecord } from '../../src/audit/journal-record.ts'
import { clip, quote, textLimit } from '../../src/audit/json.ts'
import {
  cancelRecord,
  loginRecord,
  outcomeRecord,
  proxyStartRecord,
  proxyStopRecord,
  sessionContext,
  sessionEndRecord,
  sessionStartRecord,
  statementRecord,
  tripwireRecord,
} from '../../src/audit/record.ts'
import { Failure } from '../../src/errors.ts'
import type { Decision, Judgement } from '../../src/policy/decision.ts'

const facts = {
  session: 's1',
  principal: 'ada',
  grant: 'g1',
  requestId: undefined,
  role: 'read_only',
  target: 'shop',
  databaseRole: 'pgw_g1_x',
  lease: 'l1',
  client: '127.0.0.1:50000',
  application: 'psql',
}
const context = sessionContext(facts)

function judgement(text: string, tags: readonly string[] = ['SELECT']): Judgement {
  return {
    text,
    analysis: { type: 'parsed', statements: [], secrets: [] },
    decision: { outcome: 'allow', rule: 'read_only/commands', reason: 'SELECT is allowed' },
    tags,
    class: 'READ',
    executes: [],
    runsUserCode: false,
    changesCatalog: false,
    parameterTypes: [],
    catalogVersion: 0,
  }
}

const parse = (fields: string): unknown => JSON.parse(`{${fields}}`)

describe('a record', () => {
  it('of a statement says who, where, what and why, and can be read alone', () => {
    const fields = statementRecord(context, 12, 'simple', judgement('select 1'))
    const { requestId: _, ...session } = facts
    expect(parse(fields)).toEqual({
      type: 'statement',
      id: 's1.12',
      ...session,
      protocol: 'simple',
      text: 'select 1',
      tags: ['SELECT'],
      class: 'READ',
      decision: 'allow',
      rule: 'read_only/commands',
      reason: 'SELECT is allowed',
    })
  })

  it('of a statement names the access request where there was one', () => {
    const requested = sessionContext({ ...facts, requestId: 'r7' })
    expect(parse(statementRecord(requested, 1, 'extended', judgement('')))).toMatchObject({
      requestId: 'r7',
    })
  })

  it('of a statement takes the decision of the moment over the remembered one', () => {
    const ended: Decision = {
      outcome: 'deny',
      rule: 'grant/ended',
      reason: 'the grant has ended',
      failure: new Failure('statement_denied', { message: 'permission denied' }),
    }
    const same = judgement('select 1')
    expect(parse(statementRecord(context, 1, 'extended', same))).toMatchObject({
      decision: 'allow',
    })
    expect(parse(statementRecord(context, 2, 'extended', same, ended))).toMatchObject({
      decision: 'deny',
      rule: 'grant/ended',
      reason: 'the grant has ended',
    })
    expect(parse(statementRecord(context, 3, 'extended', same))).toMatchObject({
      decision: 'allow',
    })
  })

  it('of an outcome joins its statement by id', () => {
    const outcome = { bytes: 120, durationMs: 1.23456, sqlstate: undefined }
    expect(
      parse(outcomeRecord(context, 12, { ...outcome, result: 'ok', command: 'SELECT', rows: 3 })),
    ).toEqual({
      type: 'outcome',
      statement: 's1.12',
      result: 'ok',
      command: 'SELECT',
      rows: 3,
      bytes: 120,
      durationMs: 1.235,
    })
    const failed = { ...outcome, result: 'error', command: undefined, rows: undefined } as const
    expect(parse(outcomeRecord(context, 13, { ...failed, sqlstate: '23505' }))).toEqual({
      type: 'outcome',
      statement: 's1.13',
      result: 'error',
      bytes: 120,
      durationMs: 1.235,
      sqlstate: '23505',
    })
  })

  it('of a refused login has the true reason and a bounded claim', () => {
    const fields = loginRecord({
      result: 'refused',
      reason: 'token spent',
      principal: 'x'.repeat(10_000),
      target: 'shop',
      client: '[::1]:1',
      certificate: undefined,
      tokenId: 'abc',
      session: undefined,
    })
    expect(parse(fields)).toEqual({
      type: 'login',
      result: 'refused',
      reason: 'token spent',
      principal: 'x'.repeat(256),
      target: 'shop',
      client: '[::1]:1',
      token: 'abc',
    })
  })

  it('of a session whose client showed a certificate names it, and none of its letters is unseen', () => {
    const certificate = { subject: 'CN=ada\u202e\u0007,O=Ex\\, Inc', sha256: 'ab12' }
    const fields = sessionStartRecord(context, certificate)
    expect(fields).toContain('\\u202e\\u0007')
    expect(parse(fields)).toMatchObject({ type: 'session.start', certificate })
    const login = { result: 'ok', reason: undefined, principal: 'ada', target: 'shop' } as const
    const where = { client: '[::1]:1', certificate, tokenId: 't', session: 's' }
    expect(parse(loginRecord({ ...login, ...where }))).toMatchObject({ certificate, token: 't' })
  })

  it('of any other type is the inside of a JSON object', () => {
    const end = { reason: 'client closed', statements: 2, durationMs: 5 }
    const recovered = { bytesCut: 5, sha256: 'ab' }
    expect(
      [
        sessionStartRecord(context, undefined),
        sessionEndRecord(context, { ...end, bytesFromClient: 1, bytesToClient: 2 }),
        tripwireRecord(context, { setting: 'x', expected: 'on', got: 'y'.repeat(9_000) }, 7),
        cancelRecord({ result: 'unknown', client: '127.0.0.1:1', session: undefined }),
        journalOpenRecord({ chain: 'main', reason: 'start', previous: 'cd', recovered }),
        journalCloseRecord(),
        proxyStartRecord('0.1.0', 'here'),
        proxyStopRecord('SIGTERM'),
      ].map(parse),
    ).toMatchObject([
      { type: 'session.start', session: 's1' },
      { type: 'session.end', statements: 2, bytesFromClient: 1, bytesToClient: 2 },
      {
        ...{ type: 'session.tripwire', session: 's1', statements: 7 },
        ...{ setting: 'x', expected: 'on', got: 'y'.repeat(256) },
      },
      { type: 'cancel', result: 'unknown' },
      { type: 'journal.open', chain: 'main', previous: 'cd', bytesCut: 5, cutSha256: 'ab' },
      { type: 'journal.close' },
      { type: 'proxy.start', version: '0.1.0' },
      { type: 'proxy.stop', reason: 'SIGTERM' },
    ])
  })
})

describe('text in a record', () => {
  it('is one line of valid JSON and valid UTF-8 whatever the client sent', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.array(fc.nat(0xffff)), (text, units) => {
        const wild = text + String.fromCharCode(...units)
        const claimed = sessionContext({ ...facts, application: wild, session: wild })
        const line = statementRecord(claimed, 1, 'simple', judgement(wild))
        expect(Buffer.from(line).toString()).toBe(line)
        expect(line).not.toMatch(/[\p{Cc}\u2028\u2029]/u)
        const kept = Buffer.from(wild).toString()
        expect(parse(line)).toMatchObject({ text: kept, application: kept, id: `${kept}.1` })
      }),
    )
  })

  it('cannot act on the terminal of whoever reads it', () => {
    const tricks = '\u001b[2J\u009b2J\u007f\u202eevil\u2066\u200b\u{e0041}'
    expect(quote(tricks)).toMatch(/^[\x20-\x7e]*$/)
    expect(JSON.parse(quote(tricks))).toBe(tricks)
  })

  it('is cut beyond 1 MiB, and says how long the whole was and what it hashes to', () => {
    const long = `select '${'é'.repeat(600_000)}'`
    const record = parse(statementRecord(context, 1, 'simple', judgement(long)))
    const kept = clip(long, textLimit)
    expect(Buffer.byteLength(kept)).toBeLessThanOrEqual(textLimit)
    expect(Buffer.byteLength(kept)).toBeGreaterThan(textLimit - 4)
    expect(record).toMatchObject({
      text: kept,
      textBytes: Buffer.byteLength(long),
      textSha256: createHash('sha256').update(long).digest('hex'),
    })
  })

  it('is cut between characters', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.nat(40), (text, limit) => {
        const kept = clip(text, limit)
        expect(text.startsWith(kept)).toBe(true)
        expect(Buffer.byteLength(kept)).toBeLessThanOrEqual(limit)
        expect(Buffer.byteLength(kept)).toBeGreaterThan(
          Math.min(limit, Buffer.byteLength(text)) - 4,
        )
      }),
    )
  })

  it('of exactly 1 MiB is kept whole', () => {
    const record = parse(statementRecord(context, 1, 'simple', judgement('x'.repeat(textLimit))))
    expect(record).not.toHaveProperty('textBytes')
  })

  it('of a hundred thousand statements does not make a hundred thousand tags', () => {
    const tags = Array.from({ length: 100_000 }, () => 'BEGIN')
    const fields = statementRecord(context, 1, 'simple', judgement('begin', tags))
    expect(fields.length).toBeLessThan(2000)
    expect(parse(fields)).toMatchObject({ tagCount: 100_000 })
  })
})
