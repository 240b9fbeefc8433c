// Load by pgbench, in its three protocols, with every execution in the journal.

import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { verifyDirectory } from '../../src/journal/verify.ts'
import { build } from '../support/executable.ts'
import { findPgbench, runProgram } from '../support/psql.ts'
import { Warden } from '../support/warden.ts'

const pgbench = findPgbench() ?? ''
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
      expect(verified.chains.map(({ problems }) => problems)).toEqual([[], []])
    },
    60_000,
  )
})
