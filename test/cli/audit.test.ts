import { describe, expect, it } from 'vitest'
import { auditLine } from '../../src/cli/audit-line.ts'
import type { ChainReport, Operations } from '../../src/cli/operations.ts'
import { pgwarden } from '../support/command-line.ts'

const session = { principal: 'alice', role: 'read_only', target: 'shop', client: '127.0.0.1:5000' }
const time = '2030-01-02T03:04:05.678Z'

const record = (fields: object) => JSON.stringify({ seq: 7, time, ...fields, hash: '0' })
const plain = (fields: object) => auditLine(record(fields), (_, text) => text)

describe('audit verify', () => {
  const verifying = (chains: readonly ChainReport[]): Partial<Operations> => ({
    verifyJournal: async (_, onProgress) => {
      onProgress({ index: 0, of: 1 })
      return { ok: chains.every(({ problem }) => problem === undefined), chains }
    },
  })
  const good: ChainReport = {
    ...{ chain: 'a', records: 12, tip: { sequence: 12, hash: 'beef' } },
    ...{ problem: undefined, notes: ['it was not closed'] },
  }

  it('says how far the chain is good, with status 0', async () => {
    expect(await pgwarden(['audit', 'verify', 'd'], verifying([good]))).toEqual({
      status: 0,
      stdout: 'a: ok, 12 records are good, the last is 12 with hash beef\n  it was not closed\n',
      stderr: '',
    })
  })

  it('names the line where a chain breaks, with status 1', async () => {
    const problem = { file: 'a-1.ndjson', line: 3, message: 'the record was changed' }
    const broken = { ...good, chain: 'b', problem }
    const { status, stdout } = await pgwarden(['audit', 'verify', 'd'], verifying([broken, good]))
    expect(status).toBe(1)
    expect(stdout).toContain('b: BROKEN a-1.ndjson:3: the record was changed; 12 records')
    expect(stdout).toContain('a: ok, 12 records')
  })
})

describe('audit tail', () => {
  const line = record({ type: 'journal.close' })
  const tailing = (seen: object[]): Partial<Operations> => ({
    tailJournal: async function* (directory, options) {
      seen.push({ directory, ...options })
      yield line
    },
  })

  it('passes the records on as they are where nobody looks, and with --json', async () => {
    const seen: object[] = []
    const piped = await pgwarden(['audit', 'tail', 'd'], tailing(seen))
    const asked = await pgwarden(['audit', 'tail', '--json', 'd'], tailing(seen), { tty: true })
    expect(piped).toEqual({ status: 0, stdout: `${line}\n`, stderr: '' })
    expect(asked.stdout).toBe(`${line}\n`)
    expect(seen[0]).toEqual({ directory: 'd', follow: false, lines: 10 })
  })

  it('writes a readable line at a terminal', async () => {
    const seen: object[] = []
    const shown = await pgwarden(['audit', 'tail', '-f', '-n', '3', 'd'], tailing(seen), {
      tty: true,
    })
    expect(shown.stdout).toContain('journal closed')
    expect(shown.stdout).not.toContain('{')
    expect(seen).toEqual([{ directory: 'd', follow: true, lines: 3 }])
  })
})

describe('a record on a terminal', () => {
  it('shows who ran what, on one line', () => {
    const text = 'select 1,\n       2'
    expect(plain({ type: 'statement', ...session, text, decision: 'allow', rule: 'r' })).toBe(
      '03:04:05.678 alice read_only@shop allow select 1, 2',
    )
  })

  it('shows a denial with rule and reason', () => {
    const denial = { decision: 'deny', rule: 'read_only/commands', reason: 'DELETE' }
    expect(plain({ type: 'statement', ...session, text: 'delete from t', ...denial })).toBe(
      '03:04:05.678 alice read_only@shop DENY  delete from t  [read_only/commands: DELETE]',
    )
  })

  it('shows how it ended', () => {
    const result = { result: 'ok', command: 'SELECT', rows: 2, durationMs: 1.5, bytes: 10 }
    expect(plain({ type: 'outcome', statement: 's1.4', ...result })).toBe(
      '03:04:05.678   -> s1.4 ok SELECT 2 rows 1.5 ms',
    )
  })

  it('shows what was changed behind the policy’s back', () => {
    const change = { setting: 'standard_conforming_strings', expected: 'on', got: 'off' }
    expect(plain({ type: 'session.tripwire', ...session, ...change, statements: 3 })).toBe(
      '03:04:05.678 alice read_only@shop TRIPWIRE standard_conforming_strings is off, not on: something got round the policy',
    )
  })

  it('shows what becomes of leases, above all one that may be in force still', () => {
    const lease = { lease: 'l1', engine: 'vault-dynamic', databaseRole: 'v-x', ...session }
    expect(plain({ type: 'lease.issue', ...lease })).toBe(
      '03:04:05.678 alice read_only@shop lease issued: v-x by vault-dynamic',
    )
    const revoked = { type: 'lease.revoke', result: 'unconfirmed', reason: 'grant_over', ...lease }
    expect(plain(revoked)).toBe(
      '03:04:05.678 alice read_only@shop lease revoked, unconfirmed: v-x by vault-dynamic, because: grant_over',
    )
    const problem = { type: 'lease.problem', attempts: 3, ...lease, databaseRole: undefined }
    expect(plain(problem)).toBe(
      '03:04:05.678 alice read_only@shop LEASE NOT KNOWN TO BE REVOKED: lease l1 by vault-dynamic, 3 attempts',
    )
  })

  it('shows the true reason of a refused login', () => {
    const login = { type: 'login', result: 'refused', reason: 'token is spent', ...session }
    expect(plain(login)).toBe(
      '03:04:05.678 alice on shop login refused: token is spent, from 127.0.0.1:5000',
    )
  })

  it('cannot drive the terminal or hide what ran', () => {
    const text = 'select 1 \u001b[2K\u0007\u009b1A -- \u202egnihtemos\u200b'
    const shown = plain({ type: 'statement', ...session, text, decision: 'allow' })
    expect(shown).toContain('\\u{1b}[2K\\u{7}\\u{9b}1A -- \\u{202e}gnihtemos\\u{200b}')
    expect(shown).not.toMatch(/[\p{Cc}\p{Cf}]/u)
  })

  it.each(['{"type":"novelty","x":1}', 'half a li', '[]', '{"type":7}'])(
    'is shown as it is when it is not understood: %s',
    (line) => {
      expect(auditLine(line, (_, text) => text)).toBe(line)
    },
  )
})
