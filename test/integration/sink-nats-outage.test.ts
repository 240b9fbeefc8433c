// NATS is stopped under load, once frozen and once killed, and comes back: every record arrives in order,
// and no statement is slower for it. OUTAGE_SECONDS tells how long; a few by default. Compared is what was
// measured in the same run, as a ratio.

import { open, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { build } from '../support/executable.ts'
import { segmentsOf } from '../support/journal-files.ts'
import { NatsServer } from '../support/nats-server.ts'
import { findNatsServer, findPgbench, runProgram } from '../support/psql.ts'
import { withoutDoubles } from '../support/shipments.ts'
import { Warden } from '../support/warden.ts'

const outageMs = Number(process.env['OUTAGE_SECONDS'] ?? 3) * 1_000
/** Transactions a second: what two cores do with something to spare, so that a delay is nobody's queue. */
const rate = 200
/** Below it a p99 is the scheduler's, and no ratio says anything. */
const noiseMs = 20

const pgbench = findPgbench() ?? ''
const program = findNatsServer() ?? ''
const possible = pgbench !== '' && program !== ''
if (!possible) console.warn('NOT RUN: stopping NATS under load needs pgbench and nats-server')

let nats: NatsServer
let warden: Warden

beforeAll(async () => {
  if (!possible) return
  await build()
  nats = await NatsServer.start(program)
  warden = await Warden.start(inject('adminUrl'), {
    ownProcess: true,
    sections: ['audit:', '  sinks:', `    - nats: { servers: '${nats.address}', tls: off }`],
  })
  await runProgram(pgbench, ['-i', '-q', '-s', '1', warden.target.url])
}, 180_000)
afterAll(async () => {
  if (!possible) return
  await warden.stop()
  await nats.stop()
})

interface Phase {
  readonly name: string
  readonly fromMs: number
  readonly toMs: number
}

describe.runIf(possible)('NATS is stopped under load and comes back', () => {
  it(
    'every record arrives, in order, and no statement was slowed',
    async () => {
      const seconds = Math.ceil((outageMs * 3.5 + 12_000) / 1_000)
      const load = pgbenchFor(seconds)
      const phases: Phase[] = []
      const phase = async (name: string, work: () => Promise<unknown>): Promise<void> => {
        const fromMs = Date.now()
        await work()
        phases.push({ name, fromMs, toMs: Date.now() })
      }
      // The backlog is gone in a moment; what comes right after counts as well, to have enough of it.
      const drained = () => Promise.all([eventually(arrived, 60_000), sleep(outageMs / 2)])
      const idle = await lastWritten()
      await eventually(async () => (await lastWritten()) > idle + rate)
      await eventually(arrived)
      await phase('healthy', () => sleep(outageMs))
      nats.process.pause()
      await phase('stopped', () => sleep(outageMs / 2))
      nats.process.resume()
      await phase('draining', drained)
      await nats.process.kill()
      await phase('stopped', () => sleep(outageMs))
      await nats.process.start()
      await phase('draining', drained)
      const latencies = await load
      await warden.halt()

      for (const chain of ['main', 'operator']) await expectAll(chain)

      const p99 = ['healthy', 'stopped', 'draining'].map((name) => {
        const its = phases.filter((one) => one.name === name)
        const own = latencies.filter(({ atMs }) =>
          its.some(({ fromMs, toMs }) => atMs >= fromMs && atMs < toMs),
        )
        return { name, count: own.length, ms: quantile(own.map(({ ms }) => ms)) }
      })
      for (const { name, count, ms } of p99) {
        console.info(`${name}: p99 ${ms.toFixed(2)} ms of ${count} transactions`)
      }
      const healthy = Math.max(p99[0]?.ms ?? 0, noiseMs)
      for (const { name, ms } of p99) expect(ms / healthy, name).toBeLessThan(3)
    },
    // All that was stored is read one by one.
    outageMs * 10 + 150_000,
  )
})

/** Whether the stream has what the journal had a moment ago. */
async function arrived(): Promise<boolean> {
  const written = await lastWritten()
  return nats.asManager(async (manager) => {
    const last = await manager.streams
      .getMessage('pgwarden', { last_by_subj: 'pgwarden.audit.main.>' })
      .catch(() => null)
    return Number(last?.header.get('Nats-Msg-Id').split('-')[1] ?? 0) >= written
  })
}

/** By the end of the newest file: to read it all would be in the load's way. */
async function lastWritten(): Promise<number> {
  const names = (await readdir(warden.journalDirectory)).filter((name) =>
    /^main-\d+\.jsonl$/.test(name),
  )
  const file = await open(join(warden.journalDirectory, names.sort().at(-1) ?? ''))
  try {
    const { size } = await file.stat()
    const { buffer, bytesRead } = await file.read({ position: Math.max(0, size - 128 * 1024) })
    const [, sequence] = /.*"seq":(\d+),"v"/s.exec(buffer.toString('utf8', 0, bytesRead)) ?? []
    return Number(sequence)
  } finally {
    await file.close()
  }
}

async function expectAll(chain: string): Promise<void> {
  const written = segmentsOf(warden.journalDirectory)
    .filter(({ file }) => file.startsWith(`${chain}-`))
    .flatMap(({ lines }) => lines.map(String))
  const stored = (await nats.stored('pgwarden'))
    .filter(({ subject }) => subject.startsWith(`pgwarden.audit.${chain}.`))
    .map(({ text }) => text)
  expect(written.length).toBeGreaterThan(0)
  expect(withoutDoubles(stored)).toEqual(written)
}

/** Resolves with how long each transaction took, and when it ended. */
async function pgbenchFor(
  seconds: number,
): Promise<readonly { readonly atMs: number; readonly ms: number }[]> {
  const conninfo = await warden.conninfo('read_limited_write')
  const prefix = join(warden.directory, 'latencies')
  const { status, stderr } = await runProgram(pgbench, [
    ...['-n', '-S', '-c', '4', '-j', '1', '-R', String(rate), '-T', String(seconds)],
    ...['-l', `--log-prefix=${prefix}`, conninfo],
  ])
  expect(status, stderr).toBe(0)
  const files = (await readdir(warden.directory)).filter((name) => name.startsWith('latencies'))
  const texts = await Promise.all(
    files.map((name) => readFile(join(warden.directory, name), 'utf8')),
  )
  return texts
    .flatMap((text) => text.trim().split('\n'))
    .map((line) => {
      const [, , us = 0, , epoch = 0, epochUs = 0, lateUs = 0] = line.split(' ').map(Number)
      // How late the load itself was is not the statement's.
      return { atMs: epoch * 1_000 + epochUs / 1_000, ms: (us - lateUs) / 1_000 }
    })
}

function quantile(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other)
  return sorted[Math.floor(sorted.length * 0.99)] ?? 0
}
