// `npm run bench`: transactions per second of PostgreSQL, PgBouncer and pgwarden in one run (or of pgwarden
// with and without its journal), on one machine, taking turns, so that what else the machine does hits all of them alike. Everything is on
// the loopback, and everything that was started is stopped, also on Ctrl-C. docs/performance.md.

import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, cpus, release, tmpdir, type } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { findPgbench, findPgbouncer } from '../test/support/psql.ts'
import {
  type Contender,
  direct,
  pgbouncerVersion,
  startJournalContenders,
  startPgbouncer,
  startPgwarden,
} from './contenders.ts'
import { cpuMicroseconds } from './cpu.ts'
import { prepareDatabase } from './database.ts'
import { decisionReport, measureDecisions } from './decisions.ts'
import { DriverLoad } from './driver.ts'
import type { Generator, Load } from './load.ts'
import { type Options, parseOptions, usage } from './options.ts'
import { Pgbench } from './pgbench.ts'
import { amongJournals, amongProxies, loadName, report, type Sample } from './report.ts'

const protocols = ['simple', 'extended', 'prepared'] as const
const loads: readonly Load[] = [
  ...[1, 16].flatMap((clients) =>
    protocols.map((protocol) => ({ script: 'SELECT', protocol, clients }) as const),
  ),
  { script: 'TPC-B', protocol: 'simple', clients: 16 },
]

/** After a measurement: sessions end, outcomes are written, and it still belongs to that measurement. */
const settleMs = 50
const calibrationLogins = 100
/** pgbench counts connecting too, and a proxy that has just started takes its time for 16 clients. */
const warmUpSeconds = 3

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2))
  if (options === undefined) {
    process.stdout.write(usage)
    return 0
  }
  const stopping = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => stopping.abort())
  }
  try {
    await bench(options, stopping.signal)
    return 0
  } catch (error) {
    if (!stopping.signal.aborted) throw error
    say('Stopped.')
    return 130
  }
}

async function bench(options: Options, signal: AbortSignal): Promise<void> {
  const stops: (() => Promise<unknown>)[] = []
  const started = (stop: () => Promise<unknown>): void => {
    stops.push(stop)
  }
  try {
    const scratch = await mkdtemp(join(tmpdir(), 'pgwarden-bench-'))
    started(() => rm(scratch, { recursive: true, force: true }))
    // The account that runs PostgreSQL and PgBouncer in place of root passes through.
    await chmod(scratch, 0o711)

    say('Judging statements, without a database')
    const decisions = await measureDecisions()

    say('Starting PostgreSQL and filling its tables')
    const database = await prepareDatabase(scratch, started)
    const pgbouncer = findPgbouncer()
    if (pgbouncer === undefined) say('PgBouncer is not installed: measuring without it')
    const pgbench = findPgbench()
    if (pgbench === undefined) say('pgbench is not installed: a loop with the pg driver stands in')
    const generator =
      pgbench === undefined ? new DriverLoad(signal) : await Pgbench.open(pgbench, scratch, signal)

    const setting = { database, scratch, started }
    const contenders = options.journal
      ? await startJournalContenders(setting)
      : [
          direct(database),
          ...(pgbouncer === undefined ? [] : [await startPgbouncer(pgbouncer, setting)]),
          await startPgwarden(setting),
        ]
    const environment = [
      `${cpus()[0]?.model.trim() ?? 'unknown CPU'}, ${availableParallelism()} cores, ${type()} ${release()}`,
      `Node.js ${process.versions.node}`,
      `PostgreSQL ${database.version}${database.embedded ? ' (embedded, durability off)' : ''}`,
      `PgBouncer ${pgbouncer === undefined ? 'not installed' : await pgbouncerVersion(pgbouncer)}`,
      `load by ${generator.name}`,
    ]
    const { samples, loginCpu } = await measure(contenders, generator, options, signal)

    const { seconds, rounds } = options
    process.stdout.write(
      `\n${environment.join('; ')}.\nMedians of ${rounds} x ${seconds} s.\n\n${report(samples, options.journal ? amongJournals : amongProxies)}`,
    )
    for (const [name, cpuUs] of loginCpu) {
      process.stdout.write(`\nCPU of a login through ${name}: ${(cpuUs / 1000).toFixed(1)} ms`)
    }
    process.stdout.write(`\n\n${decisionReport(decisions)}\n`)
    if (options.json !== undefined) {
      const loginCpuUs = Object.fromEntries(loginCpu)
      const all = { environment, seconds, rounds, loginCpuUs, samples, decisions }
      await writeFile(options.json, `${JSON.stringify(all, null, 2)}\n`)
    }
  } finally {
    for (const stop of stops.reverse()) {
      await stop().catch((error: unknown) => say(`While stopping: ${String(error)}`))
    }
  }
}

async function measure(
  contenders: readonly Contender[],
  generator: Generator,
  { seconds, rounds }: Options,
  signal: AbortSignal,
): Promise<{
  readonly samples: readonly Sample[]
  readonly loginCpu: ReadonlyMap<string, number>
}> {
  say('Warming up')
  const loginCpu = new Map<string, number>()
  for (const contender of contenders) {
    for (const load of loads.filter(({ script, clients }) => script === 'SELECT' && clients > 1)) {
      await generator.run(load, contender.connection, warmUpSeconds)
    }
    const cost = await cpuOfLogin(contender, signal)
    if (cost !== undefined) loginCpu.set(contender.name, cost)
  }
  const samples: Sample[] = []
  for (let round = 1; round <= rounds; round++) {
    for (const load of loads) {
      const rates: string[] = []
      for (const { name, connection, pid } of contenders) {
        const { result, cpuUs } = await withCpu(pid, () => generator.run(load, connection, seconds))
        // pgbench asks for the scale first, on a connection of its own.
        const logins = (load.clients + 1) * (loginCpu.get(name) ?? 0)
        samples.push({
          ...result,
          load,
          contender: name,
          cpuUs: cpuUs === undefined ? undefined : (cpuUs - logins) / result.transactions,
        })
        rates.push(`${name} ${Math.round(result.tps)}`)
      }
      say(`Round ${round} of ${rounds}, ${loadName(load)}: ${rates.join(', ')} tps`)
    }
  }
  return { samples, loginCpu }
}

/** So that the price of connecting, paid once, is not charged to the transactions of a short run. */
async function cpuOfLogin(
  { connection, pid }: Contender,
  signal: AbortSignal,
): Promise<number | undefined> {
  const { cpuUs } = await withCpu(pid, async () => {
    for (let login = 0; login < calibrationLogins; login++) {
      signal.throwIfAborted()
      const client = new Client(connection)
      await client.connect()
      await client.end()
    }
  })
  return cpuUs === undefined ? undefined : cpuUs / calibrationLogins
}

async function withCpu<T>(
  pid: number | undefined,
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly cpuUs: number | undefined }> {
  if (pid === undefined) return { result: await work(), cpuUs: undefined }
  const before = await cpuMicroseconds(pid)
  const result = await work()
  await sleep(settleMs)
  const after = await cpuMicroseconds(pid)
  const known = before !== undefined && after !== undefined
  return { result, cpuUs: known ? after - before : undefined }
}

function say(line: string): void {
  process.stderr.write(`${line}\n`)
}

process.exitCode = await main().catch((error: unknown) => {
  say(error instanceof Error ? error.message : String(error))
  return 1
})
