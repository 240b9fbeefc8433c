// Load by PostgreSQL's own pgbench. Its own count of transactions is taken, and latencies from its
// log, of which it writes a sample only: a line for each would slow it down.
// PostgreSQL documentation: "pgbench", "Per-Transaction Logging".

import { execFile } from 'node:child_process'
import { readdir, readFile, rm } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type Connection, type Generator, type Load, type Measurement, quantile } from './load.ts'

const execute = promisify(execFile)
const logPrefix = 'pgbench-latency'
/** How much longer than asked a run may take, for connecting and for a machine that stutters. */
const graceMs = 30_000

export class Pgbench implements Generator {
  readonly name: string
  readonly #program: string
  readonly #scratch: string
  readonly #signal: AbortSignal

  private constructor(name: string, program: string, scratch: string, signal: AbortSignal) {
    this.name = name
    this.#program = program
    this.#scratch = scratch
    this.#signal = signal
  }

  /** `scratch` is a directory for its logs. */
  static async open(program: string, scratch: string, signal: AbortSignal): Promise<Pgbench> {
    const { stdout } = await execute(program, ['--version'])
    const version = /[\d.]+/.exec(stdout)?.[0] ?? 'of unknown version'
    return new Pgbench(`pgbench ${version}`, program, scratch, signal)
  }

  async run(load: Load, connection: Connection, seconds: number): Promise<Measurement> {
    // Half of the cores are left to the other end.
    const threads = Math.max(1, Math.min(load.clients, Math.floor(availableParallelism() / 2), 4))
    const { stdout } = await execute(
      this.#program,
      [
        ...['--no-vacuum', '--protocol', load.protocol],
        ...(load.script === 'SELECT' ? ['--select-only'] : []),
        ...['--client', String(load.clients), '--jobs', String(threads), '--time', String(seconds)],
        ...['--log', '--sampling-rate', '0.2', '--log-prefix', logPrefix],
        ...['--host', connection.host, '--port', String(connection.port)],
        ...['--username', connection.user, connection.database],
      ],
      {
        cwd: this.#scratch,
        env: {
          ...process.env,
          LC_ALL: 'C',
          PGPASSWORD: connection.password,
          PGSSLMODE: 'disable',
          PGGSSENCMODE: 'disable',
        },
        timeout: seconds * 1000 + graceMs,
        signal: this.#signal,
      },
    )
    return { ...parseSummary(stdout), ...(await this.#latencies()) }
  }

  async #latencies(): Promise<{ readonly p50Us: number; readonly p99Us: number }> {
    const names = (await readdir(this.#scratch)).filter((name) => name.startsWith(logPrefix))
    const logs = await Promise.all(
      names.map(async (name) => {
        const path = join(this.#scratch, name)
        const text = await readFile(path, 'utf8')
        await rm(path)
        return text
      }),
    )
    const latencies = parseLatencies(logs.join(''))
    return { p50Us: quantile(latencies, 0.5), p99Us: quantile(latencies, 0.99) }
  }
}

/** @throws Error when a transaction failed: a rate that counts failures means nothing. */
export function parseSummary(text: string): {
  readonly transactions: number
  readonly tps: number
} {
  const transactions = /^number of transactions actually processed: (\d+)/m.exec(text)?.[1]
  const tps = /^tps = ([\d.]+) \(without initial connection time\)/m.exec(text)?.[1]
  const failed = /^number of failed transactions: (\d+)/m.exec(text)?.[1] ?? '0'
  if (transactions === undefined || tps === undefined || failed !== '0') {
    throw new Error(`pgbench did not finish as it should:\n${text}`)
  }
  return { transactions: Number(transactions), tps: Number(tps) }
}

/** Microseconds: the third column of the log. */
export function parseLatencies(log: string): readonly number[] {
  return Array.from(log.matchAll(/^\d+ \d+ (\d+) /gm), (match) => Number(match[1]))
}
