import { describe, expect, it } from 'vitest'
import { journalCloseRecord, journalOpenRecord } from '../../src/audit/journal-record.ts'
import {
  cancelRecord,
  loginRecord,
  proxyStartRecord,
  proxyStopRecord,
  sessionContext,
  sessionEndRecord,
  sessionStartRecord,
  tripwireRecord,
} from '../../src/audit/record.ts'

const facts = {
  session: 's1',
  principal: 'ada',
  groups: undefined,
  grant: 'g1',
  requestId: undefined,
  requestReason: 'test',
  role: 'read_only',
  target: 'shop',
  databaseRole: 'pgw_g1_x',
  lease: 'l1',
  client: '127.0.0.1:50000',
  application: 'psql',
  tls: false as const,
}
const context = sessionContext(facts)

const parse = (fields: string): unknown => JSON.parse(`{${fields}}`)

describe('a record', () => {
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

  it('of a session says who the principal is, and why it has the access', () => {
    const groups = Array.from({ length: 20 }, (_, at) => `team-${at}`)
    const session = sessionContext({ ...facts, groups, requestId: 'r7', tls: 'TLSv1.3' })
    expect(parse(sessionStartRecord(session, undefined))).toEqual({
      ...facts,
      type: 'session.start',
      groups: groups.slice(0, 16),
      groupCount: 20,
      requestId: 'r7',
      tls: 'TLSv1.3',
    })
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
        proxyStartRecord('0.1.0', 'here', 'cf'),
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
      { type: 'proxy.start', version: '0.1.0', configuration: 'cf' },
      { type: 'proxy.stop', reason: 'SIGTERM' },
    ])
  })
})
