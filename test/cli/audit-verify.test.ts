import { describe, expect, it } from 'vitest'
import type { ChainReport, Verdict } from '../../src/audit/verdict.ts'
import type { Operations, VerifyRequest } from '../../src/cli/operations.ts'
import { Failure } from '../../src/errors.ts'
import { pgwarden } from '../support/command-line.ts'

const good: ChainReport = {
  ...{ chain: 'main', chainId: '0123456789abcdef', segments: 2, records: 12, statements: 4 },
  ...{ running: { count: 0, ids: [] }, lost: { count: 0, ids: [] }, problems: [] },
  checkpoints: { count: 3, checked: true },
  tip: { sequence: 12, hash: 'beef' },
  notes: ['it was not closed'],
}
const problem = {
  file: 'main-1.jsonl',
  line: 3,
  kind: 'changed',
  message: 'it was\u001b[2J',
} as const
const broken: ChainReport = { ...good, chain: 'operator', problems: [problem] }

function verifying(chains: readonly ChainReport[], seen: VerifyRequest[] = []) {
  const ok = chains.every(({ problems }) => problems.length === 0)
  const verdict: Verdict = { ok, chains, problems: [] }
  return {
    verifyJournal: async (_, request) => {
      seen.push(request)
      request.onProgress({ index: 0, of: 2 })
      return verdict
    },
  } satisfies Partial<Operations>
}

const terminal = { tty: true, env: { NO_COLOR: '1' } }

describe('audit verify', () => {
  it('shows a table at a terminal, with status 0 where all is well', async () => {
    const shown = await pgwarden(['audit', 'verify', 'd'], verifying([good]), terminal)
    expect(shown.status).toBe(0)
    expect(shown.stdout).toBe(
      [
        'CHAIN  VERDICT  FILES  RECORDS  STATEMENTS  LOST  CHECKPOINTS  LAST',
        'main   ok       2      12       4           0     3            12',
        '',
        'main:',
        '  it was not closed',
        '  the last good record is 12 with hash beef',
        '',
      ].join('\n'),
    )
    expect(shown.stderr).toContain('file 1 of 2')
  })

  it('names what is wrong by file and line, with status 1, and cannot drive the terminal', async () => {
    const operations = verifying([good, broken])
    const { status, stdout } = await pgwarden(['audit', 'verify', 'd'], operations, terminal)
    expect(status).toBe(1)
    expect(stdout).toMatch(/operator +BROKEN/)
    expect(stdout).toContain('changed main-1.jsonl:3: it was\\u{1b}[2J')
  })

  it('colours the verdicts for a person', async () => {
    const operations = verifying([good, broken])
    const { stdout } = await pgwarden(['audit', 'verify', 'd'], operations, { tty: true })
    expect(stdout).toContain('\u001b[31mBROKEN')
    expect(stdout).toContain('\u001b[32mok')
  })

  it('writes all that was found as JSON where nobody looks, and with --json', async () => {
    const piped = await pgwarden(['audit', 'verify', 'd'], verifying([broken]))
    const asked = await pgwarden(['audit', 'verify', '--json', 'd'], verifying([broken]), terminal)
    expect(JSON.parse(piped.stdout)).toEqual({ ok: false, chains: [broken], problems: [] })
    expect(piped.status).toBe(1)
    expect(asked.stdout).toBe(piped.stdout)
  })

  it('names lost statements, twenty of them, and fails for them only when told to be strict', async () => {
    const ids = Array.from({ length: 25 }, (_, at) => `s.${at}`)
    const operations = verifying([{ ...good, lost: { count: 25, ids } }])
    const shown = await pgwarden(['audit', 'verify', 'd'], operations, terminal)
    expect(shown.status).toBe(0)
    expect(shown.stdout).toContain('25 statement(s) lost')
    expect(shown.stdout).toContain('s.19, ...')
    expect(shown.stdout).not.toContain('s.20')
    expect((await pgwarden(['audit', 'verify', '--strict', 'd'], operations)).status).toBe(1)
  })

  it('says that signatures were not checked without a key', async () => {
    const unchecked = { ...good, checkpoints: { count: 3, checked: false } }
    const shown = await pgwarden(['audit', 'verify', 'd'], verifying([unchecked]), terminal)
    expect(shown.stdout).toContain('signatures of the checkpoints were not checked')
    const none = { ...good, checkpoints: { count: 0, checked: false } }
    const bare = await pgwarden(['audit', 'verify', 'd'], verifying([none]), terminal)
    expect(bare.stdout).toContain('there are no checkpoints')
  })

  it('takes several public keys and a file of checkpoints', async () => {
    const seen: VerifyRequest[] = []
    const words = ['--public-key', 'a.pem', '--public-key', 'b.pem', '--checkpoints', 'kept.jsonl']
    await pgwarden(['audit', 'verify', 'd', ...words], verifying([good], seen))
    expect(seen).toMatchObject([
      { publicKeyFiles: ['a.pem', 'b.pem'], checkpointsFile: 'kept.jsonl' },
    ])
  })
})

describe('audit public-key', () => {
  it('prints every key that may have signed', async () => {
    const operations: Partial<Operations> = {
      publicKeys: async ({ configFile }) => [`one of ${configFile}\n`, 'two\n'],
    }
    expect(await pgwarden(['audit', 'public-key', '--config', 'c.yaml'], operations)).toEqual({
      ...{ status: 0, stdout: 'one of c.yaml\ntwo\n', stderr: '' },
    })
  })

  it('says what to do where there is none', async () => {
    const message = 'no checkpoints are configured'
    const operations: Partial<Operations> = {
      publicKeys: () => Promise.reject(new Failure('invalid_parameter', { message })),
    }
    const { status, stderr } = await pgwarden(['audit', 'public-key', '--config', 'c'], operations)
    expect(status).not.toBe(0)
    expect(stderr).toContain(message)
  })
})
