// What is left after kill -9, time and again and under load: PostgreSQL's own log says what reached it, and
// all of that is in the journal. JOURNAL_KILLS tells how often; a few times by default.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { verifyDirectory } from '../../src/journal/verify.ts'
import { eventually } from '../support/eventually.ts'
import { build } from '../support/executable.ts'
import { findPgbench, runProgram } from '../support/psql.ts'
import { logSize, statementKey, statementsLogged } from '../support/server-log.ts'
import { type JournalRecord, Warden } from '../support/warden.ts'

const kills = Number(process.env['JOURNAL_KILLS'] ?? 5)
const protocols = ['simple', 'extended', 'prepared'] as const
const clients = 8
/** Of the server's log: more than logging in writes. */
const underWay = 150_000

const pgbench = findPgbench() ?? ''
const serverLog = inject('serverLog') ?? ''
const possible = pgbench !== '' && serverLog !== ''
if (!possible) console.warn('NOT RUN: kill -9 under load needs pgbench and the embedded server')

/** The value tells one transaction's statements from every other's, as text or as parameter. */
const script = `\\set n random(1, 1000000000000000)
BEGIN;
INSERT INTO kept VALUES (:n);
SELECT count(*) FROM kept WHERE n = :n;
UPDATE kept SET n = n WHERE n = :n;
END;
`

let warden: Warden

beforeAll(async () => {
  if (!possible) return
  await build()
  warden = await Warden.start(inject('adminUrl'), {
    ownProcess: true,
    schema: 'create table kept (n bigint); create index on kept (n)',
    sections: ['audit: { statements: { parameters: full } }'],
  })
  await writeFile(join(warden.directory, 'load.sql'), script)
}, 120_000)
afterAll(() => (possible ? warden.stop() : undefined))

describe.runIf(possible)(`killed ${kills} times under load`, () => {
  it(
    'the journal has every statement that reached PostgreSQL, and names those whose end is lost',
    async () => {
      const from = await logSize(serverLog)
      for (let kill = 0; kill < kills; kill++) {
        await killUnderLoad(protocols[kill % protocols.length] ?? 'simple')
        await warden.serve(true)
      }
      await warden.halt()

      const reached = await statementsLogged(serverLog, warden.target.name, from)
      const records = await warden.journal('statement', 'outcome')
      const recorded = counted(records)
      expect(sum(reached)).toBeGreaterThan(kills * clients * 5)
      const missing = [...reached].filter(([key, count]) => (recorded.get(key) ?? 0) < count)
      expect(missing).toEqual([])

      const { chains, ok } = await verifyDirectory(warden.journalDirectory)
      expect(ok).toBe(true)
      const lost = chains.find(({ chain }) => chain === 'main')?.lost.ids ?? []
      expect([...lost].sort()).toEqual(withoutOutcome(records))
      expect(lost.length).toBeGreaterThan(0)
      console.info(`${kills} kills: ${sum(reached)} statements, ${lost.length} without an outcome`)
    },
    20_000 + kills * 10_000,
  )
})

async function killUnderLoad(protocol: (typeof protocols)[number]): Promise<void> {
  const before = await logSize(serverLog)
  const conninfo = await warden.conninfo('read_limited_write')
  const load = runProgram(pgbench, [
    ...['-n', '-c', String(clients), '-j', '2', '-T', '30', '-M', protocol],
    ...['-f', join(warden.directory, 'load.sql'), conninfo],
  ])
  await eventually(async () => (await logSize(serverLog)) > before + underWay, 20_000)
  // Anywhere between two writes of the journal.
  await sleep(Math.random() * 50)
  warden.run?.process.kill('SIGKILL')
  await warden.run?.ended()
  await load
  // What it had been sent PostgreSQL still runs.
  await warden.asSuperuser((superuser) =>
    eventually(async () => {
      const { rowCount } = await superuser.query(
        "select from pg_stat_activity where datname = current_database() and usename like 'pgw\\_%'",
      )
      return rowCount === 0
    }),
  )
}

function counted(records: readonly JournalRecord[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const { type, text, parameters } of records) {
    if (type !== 'statement') continue
    const values = (parameters ?? []) as readonly { readonly value: string | null }[]
    const key = statementKey(
      String(text),
      values.map(({ value }) => value),
    )
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  return counts
}

function withoutOutcome(records: readonly JournalRecord[]): readonly string[] {
  const open = new Set<string>()
  for (const { type, id, statement, decision } of records) {
    if (type === 'statement' && decision === 'allow') open.add(String(id))
    if (type === 'outcome') open.delete(String(statement))
  }
  return [...open].sort()
}

function sum(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((total, count) => total + count, 0)
}
