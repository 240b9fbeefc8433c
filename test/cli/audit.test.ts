import { setImmediate } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { auditLine } from '../../src/cli/audit-line.ts'
import type { Operations } from '../../src/cli/operations.ts'
import { pgwarden } from '../support/command-line.ts'
import { ControlPlane, json, key, problem } from '../support/control-plane.ts'

const session = { principal: 'alice', role: 'read_only', target: 'shop', client: '127.0.0.1:5000' }
const time = '2030-01-02T03:04:05.678Z'

const record = (fields: object) => JSON.stringify({ seq: 7, time, ...fields, hash: '0' })
const shown = (line: string, chain = 'main') => auditLine({ chain, line }, (_, text) => text, false)
const plain = (fields: object) => shown(record(fields))

describe('audit tail', () => {
  const line = record({ type: 'journal.close' })
  const tailing = (seen: object[], found = line): Partial<Operations> => ({
    tailJournal: async function* (directory, options) {
      seen.push({ directory, ...options })
      yield { chain: 'main', line: found }
    },
  })

  it('writes JSON with the chain of each record where nobody looks, and with --json', async () => {
    const seen: object[] = []
    const piped = await pgwarden(['audit', 'tail', 'd'], tailing(seen))
    const asked = await pgwarden(['audit', 'tail', '--json', 'd'], tailing(seen), { tty: true })
    const expected = `{"chain":"main",${line.slice(1)}\n`
    expect(piped).toEqual({ status: 0, stdout: expected, stderr: '' })
    expect(asked.stdout).toBe(expected)
    expect(seen[0]).toEqual({ directory: 'd', filter: {}, follow: false, lines: 10 })
  })

  it('leaves nothing out: what is no record is shown as it is', async () => {
    const { stdout } = await pgwarden(['audit', 'tail', 'd'], tailing([], 'half a \u001b[2K li'))
    expect(stdout).toBe('half a \\u{1b}[2K li\n')
  })

  it('cannot drive the terminal with --json either', async () => {
    const text = record({ type: 'login', reason: '\u202egnihtemos\u009b' })
    const { stdout } = await pgwarden(['audit', 'tail', 'd'], tailing([], text))
    expect(stdout).toContain('\\u202egnihtemos\\u009b')
  })

  it('writes a readable line at a terminal', async () => {
    const seen: object[] = []
    const words = ['audit', 'tail', '-f', '-n', '3', '--decision', 'deny', 'd']
    const { stdout } = await pgwarden(words, tailing(seen), { tty: true })
    expect(stdout).toContain('journal closed')
    expect(stdout).not.toContain('{')
    expect(seen).toEqual([{ directory: 'd', filter: { decision: 'deny' }, follow: true, lines: 3 }])
  })
})

describe('audit query', () => {
  const now = Date.UTC(2030, 0, 2, 12)
  const clock = { now: () => now, elapsed: () => 0 }
  const finding = (seen: object[], count = 1): Partial<Operations> => ({
    queryJournal: async function* (directory, { onProgress, ...options }) {
      seen.push({ directory, ...options })
      onProgress({ time: '2030-01-02T03:00:00Z', records: 20_000 })
      for (let i = 0; i < count; i += 1) {
        yield { chain: 'operator', line: record({ type: 'journal.close' }) }
      }
    },
  })
  const query = (words: readonly string[], operations: Partial<Operations>, tty = false) =>
    pgwarden(['audit', 'query', ...words], operations, {
      ...{ tty, outside: { clock }, env: { NO_COLOR: '1' } },
    })

  it('asks for what every option says', async () => {
    const seen: object[] = []
    const words = [
      ...['--principal', 'alice', '--target', 'shop', '--role', 'read_only', '--since', '2h'],
      ...['--until', '2030-01-02T11:00:00+01:00', '--decision', 'deny', '--type', 'statement'],
      ...['--relation', 'shop.orders:write', '--session', 's1', '--grant', 'g1', '--text', 'drop'],
      ...['--fingerprint', 'f1', '--chain', 'main', '--limit', '7', '--whole'],
    ]
    await query([...words, 'd'], finding(seen))
    expect(seen).toEqual([
      {
        directory: 'd',
        limit: 7,
        whole: true,
        filter: {
          ...{ principal: 'alice', target: 'shop', role: 'read_only', decision: 'deny' },
          ...{ since: now - 7_200_000, until: now - 7_200_000, type: 'statement', chain: 'main' },
          ...{ relation: 'shop.orders:write', session: 's1', grantId: 'g1', text: 'drop' },
          fingerprint: 'f1',
        },
      },
    ])
  })

  it('says when there may be more, and how far back it looks to a person only', async () => {
    const { stdout, stderr } = await query(['-n', '2', 'd'], finding([], 2), true)
    expect(stdout).toBe('2030-01-02 03:04:05.678 [operator] journal closed\n'.repeat(2))
    expect(stderr).toContain('2030-01-02T03:00:00Z')
    expect(stderr).toContain('These are the newest 2; there may be more (--limit).')
    expect((await query(['d'], finding([], 2))).stderr).toBe('')
    expect((await query(['d'], finding([], 0))).stderr).toBe('There is no such record.\n')
  })

  it.each([
    ['--since', 'yesterday', 'A time is written like'],
    ['--since', '2030-01-02', 'A time is written like'],
    ['--relation', 'orders:drop', 'It is written like'],
    ['--decision', 'perhaps', 'Allowed choices are allow, deny'],
    ['--whole', undefined, '--whole needs the directory'],
  ])('refuses %s %s with what would do', async (option, value, says) => {
    const { status, stderr } = await query([option, ...(value === undefined ? [] : [value])], {})
    expect(status).toBe(2)
    expect(stderr).toContain(says)
  })
})

describe('the audit of a server', () => {
  const event = (seq: number, more: object = {}) => ({
    ...{ chain: 'main', seq, time, type: 'journal.close' },
    ...more,
  })
  const env = { PGWARDEN_URL: 'https://warden.test', PGWARDEN_API_KEY: key }
  /** A server whose streams say these things, one stream after the other. */
  const server = (streams: readonly string[], pages: readonly object[] = []) => {
    const plane = new ControlPlane()
    const left = [...streams]
    const pagesLeft = [...pages]
    plane.instead = ({ path }) => {
      if (path === 'audit/events') return json(200, pagesLeft.shift() ?? { items: [] })
      const text = left.shift()
      return text === undefined ? problem(403, 'forbidden', 'no more') : new Response(text)
    }
    return plane
  }
  const at = (plane: ControlPlane, words: readonly string[]) =>
    pgwarden(
      ['audit', ...words, '--json'],
      {},
      {
        env: { ...env, XDG_CONFIG_HOME: '/nowhere' },
        outside: { fetch: plane.fetch, pause: () => setImmediate() },
      },
    )
  const numbers = (stdout: string) =>
    stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => Number(/"seq":(\d+)/.exec(line)?.[1]))

  it('is searched page by page, past pages on which there is nothing', async () => {
    const plane = server(
      [],
      [{ items: [event(9)], next: 'a' }, { items: [], next: 'b' }, { items: [event(2), event(1)] }],
    )
    const { stdout, status } = await at(plane, ['query', '--relation', 'orders', '--since', '2h'])
    expect(status).toBe(0)
    expect(numbers(stdout)).toEqual([9, 2, 1])
    const { since, ...others } = plane.asked[2]?.query ?? {}
    expect(others).toEqual({ relation: 'orders', cursor: 'b', limit: '99' })
    expect(since).toMatch(/^\d{4}-.*Z$/)
  })

  it('is followed from the last records on, each once, and again where it broke off', async () => {
    const said = (seq: number) => `id: main:${seq}\ndata: ${JSON.stringify(event(seq))}\n\n`
    const streams = [
      `id: main:4\n\n: still here\n\n${said(5)}${said(6)}`,
      `${said(7)}event: dropped\ndata: {"reason":"you read too slowly"}\n\n`,
    ]
    const plane = server(streams, [{ items: [event(5), event(4), event(3)] }])
    const { stdout, stderr, status } = await at(plane, ['tail', '-f', '-n', '3'])
    expect(numbers(stdout)).toEqual([3, 4, 5, 6, 7])
    const streamed = plane.asked.filter(({ path }) => path === 'audit/stream')
    expect(streamed.map(({ headers }) => headers.get('last-event-id'))).toEqual([
      null,
      'main:6',
      'main:7',
    ])
    // What the server will not do another time either ends it.
    expect(status).toBe(1)
    expect(stderr).toContain('no more')
  })

  it('is not waited for where it is not there at all', async () => {
    const plane = server([])
    plane.instead = () => Promise.reject(new TypeError('fetch failed'))
    const { status, stderr } = await at(plane, ['tail', '-f'])
    expect(status).toBe(1)
    expect(stderr).toContain('cannot be asked')
    expect(plane.asked).toHaveLength(1)
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
    const written = plain({ type: 'statement', ...session, text, decision: 'allow' })
    expect(written).toContain('\\u{1b}[2K\\u{7}\\u{9b}1A -- \\u{202e}gnihtemos\\u{200b}')
    expect(written).not.toMatch(/[\p{Cc}\p{Cf}]/u)
  })

  const grant = { grant: 'g1', ...session }
  const by = { by: 'bob', via: 'oidc', change: 3 }
  it.each([
    [
      { type: 'request.created', ...by, ...session, seconds: 5400, reason: 'order 12' },
      'alice read_only@shop asked for 1 h 30 m, because: order 12',
    ],
    [
      { type: 'request.approved', ...by, ...grant, requestId: 'r1', endsAt: 'T', comment: 'ok' },
      'bob approves request r1 of alice read_only@shop until T, grant g1, saying: ok',
    ],
    [
      { type: 'grant.revoked', ...by, ...grant, reason: 'lost' },
      'bob revokes grant g1 of alice read_only@shop, because: lost',
    ],
    [
      { type: 'login.locked', principal: 'alice', client: '10.0.0.1', failures: 5, until: 'T' },
      'alice from 10.0.0.1 locked out until T, after 5 failed logins',
    ],
    [
      { type: 'audit.read', by: 'carol', how: 'query', filter: '{"role":"x"}' },
      'carol reads the audit (query): {"role":"x"}',
    ],
    [
      {
        ...{ type: 'api.call', by: 'carol', method: 'GET', route: '/api/v1/grants/:id' },
        ...{ status: 404, ids: { id: 'g9' }, client: '10.0.0.1' },
      },
      'carol GET /api/v1/grants/:id (g9) 404, from 10.0.0.1',
    ],
    [
      { type: 'change.undone', change: 3, of: 'grant.revoked', result: 'undone' },
      'change 3 (grant.revoked) was not made',
    ],
    [
      { type: 'journal.checkpoint', of: { seq: 41, hash: 'x' }, signature: 's' },
      'checkpoint signed, of record 41',
    ],
    [{ type: 'journal.lost', records: 4 }, '4 records LOST while the journal could not be written'],
  ])('says in words what the control plane and the journal did: %j', (fields, words) => {
    expect(plain(fields)).toBe(`03:04:05.678 ${words}`)
  })

  it.each(['{"type":"novelty","x":1}', 'half a li', '[]', '{"type":7}'])(
    'is shown as it is when it is not understood: %s',
    (line) => {
      expect(shown(line)).toBe(line)
    },
  )
})
