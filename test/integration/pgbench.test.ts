// Load by pgbench, in its three protocols, with every execution in the journal; and the same with the
// proxy killed in the middle: what reached PostgreSQL, as its own log tells, is in the journal.

import { open, stat } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { verifyDirectory } from '../../src/journal/verify.ts'
import { build } from '../support/executable.ts'
import { findPgbench, runProgram } from '../support/psql.ts'
import { Warden } from '../support/warden.ts'

const pgbench = findPgbench() ?? ''
const serverLog = inject('serverLog')
if (pgbench === '') console.warn('NOT RUN: pgbench is not installed, so its tests are not run')

let warden: Warden

beforeAll(async () => {
  if (pgbench === '') return
  await build()
  warden = await Warden.start(inject('adminUrl'), { ownProcess: true })
  const { stderr, status } = await runProgram(pgbench, ['-i', '-q', '-s', '1', warden.target.url])
  if (status !== 0) throw new Error(stderr)
}, 120_000)
afterAll(async () => {
  if (pgbench !== '') await warden.stop()
})

async function load(
  ...words: readonly string[]
): Promise<{ stdout: string; stderr: string; status: number }> {
  const conninfo = await warden.conninfo('read_limited_write')
  return runProgram(pgbench, ['-n', '-c', '16', '-j', '2', ...words, conninfo])
}

/** How many statements of sessions that began after `seen` records are in the journal, by outcome. */
async function executions(seen: number): Promise<{ statements: number; ok: number }> {
  const records = (await warden.journal()).slice(seen)
  return {
    statements: records.filter(({ type }) => type === 'statement').length,
    ok: records.filter(({ type, result }) => type === 'outcome' && result === 'ok').length,
  }
}

describe.runIf(pgbench !== '')('pgbench', () => {
  it.each([
    ['simple', ['-S'], 1],
    ['extended', ['-S'], 1],
    ['prepared', ['-S'], 1],
    ['simple', [], 7],
    ['extended', [], 7],
    ['prepared', [], 7],
  ] as const)(
    '-M %s %j runs without an error, each execution in the journal',
    async (protocol, script, statements) => {
      const transactions = 40
      const before = (await warden.journal()).length
      const { stdout, stderr, status } = await load(
        '-M',
        protocol,
        ...script,
        '-t',
        String(transactions),
      )
      expect(stderr.replace(/^pgbench \(.*\n/m, '')).not.toMatch(/error|abort/i)
      expect(status).toBe(0)
      expect(stdout).toContain(`${16 * transactions}/${16 * transactions}`)
      await sleep(200)
      const { statements: recorded, ok } = await executions(before)
      // pgbench begins by asking for the scale, on a connection of its own.
      expect(recorded).toBeGreaterThanOrEqual(16 * transactions * statements)
      expect(recorded).toBeLessThanOrEqual(16 * transactions * statements + 20)
      expect(ok).toBe(recorded)
      const verified = await verifyDirectory(warden.journalDirectory)
      expect(verified.chains.map(({ problem }) => problem)).toEqual([undefined, undefined])
    },
    60_000,
  )
})

describe.runIf(pgbench !== '' && serverLog !== undefined)('kill -9 of the proxy under load', () => {
  it('loses no statement that reached PostgreSQL', async () => {
    for (const protocol of ['simple', 'prepared']) {
      const logged = (await stat(serverLog ?? '')).size
      const before = (await warden.journal()).length
      const running = load('-M', protocol, '-T', '20')
      // Under way, not still logging in: a busy machine takes its time for 16 logins.
      const deadline = Date.now() + 15_000
      while ((await stat(serverLog ?? '')).size < logged + 600_000 && Date.now() < deadline) {
        await sleep(50)
      }
      warden.run?.process.kill('SIGKILL')
      await warden.run?.ended()
      await running
      await sleep(500)

      const reached = await updatesLogged(serverLog ?? '', logged)
      const recorded = new Map<string, number>()
      for (const record of (await warden.journal()).slice(before)) {
        if (record['type'] !== 'statement') continue
        const text = shape(String(record['text']))
        recorded.set(text, (recorded.get(text) ?? 0) + 1)
      }
      expect([...reached.values()].reduce((sum, count) => sum + count, 0)).toBeGreaterThan(500)
      for (const [text, count] of reached) {
        expect(recorded.get(text) ?? 0, text).toBeGreaterThanOrEqual(count)
      }
      // The next start mends the end of the chain and goes on with it.
      await warden.serve(true)
      expect((await verifyDirectory(warden.journalDirectory)).ok).toBe(true)
    }
  }, 120_000)
})

/** Statements in the server's log since `from`, by shape. In simple protocol the values tell them apart. */
async function updatesLogged(file: string, from: number): Promise<Map<string, number>> {
  const handle = await open(file)
  const counts = new Map<string, number>()
  try {
    const { size } = await handle.stat()
    const bytes = Buffer.alloc(size - from)
    await handle.read(bytes, 0, bytes.length, from)
    for (const match of bytes
      .toString('utf8')
      .matchAll(/(?:statement|execute [^:]*): ((?:UPDATE|INSERT INTO) pgbench_.*)/g)) {
      const text = shape(match[1] ?? '')
      counts.set(text, (counts.get(text) ?? 0) + 1)
    }
  } finally {
    await handle.close()
  }
  return counts
}

/** One line, without the final semicolon. */
function shape(text: string): string {
  return text.replace(/\s+/g, ' ').replace(/;$/, '').trim()
}
