// `npm run soak`: thousands of idle and some hundred busy clients on one pgwarden for ten minutes, many
// of which read slowly or vanish. It must hold no more at the end than at the beginning, nothing once
// all are gone, and an outcome for each statement. Everything that was started is stopped, also on
// Ctrl-C.

import { execFile } from 'node:child_process'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs, promisify } from 'node:util'
import { Client } from 'pg'
import { startEmbeddedPostgres } from '../src/demo/embedded.ts'
import { verifyDirectory } from '../src/journal/verify.ts'
import { freshDatabase } from '../test/support/databases.ts'
import { type RunningPgwarden, startPgwarden } from './contenders.ts'
import { SoakClient } from './soak-client.ts'
import { runBusy, soakSchema, type Tally } from './soak-loads.ts'
import { trends, trendTable, type Vitals } from './soak-verdict.ts'

const usage = `npm run soak -- [options]

  --minutes N   how long (default 10)
  --idle N      connections that do nothing (default 2000)
  --busy N      clients that work, read slowly, vanish or cancel (default 200)
  --help        this text

With the defaults PostgreSQL needs some 15 GB of memory for its processes.
`

const sampleEveryMs = 5_000
/** Logins at once while the idle ones are opened. */
const openingAtOnce = 16
/** After the last client is gone. */
const settleLimitMs = 60_000
/** Descriptors that may come and go by themselves: the log, the store's pool, a scrape. */
const descriptorSlack = 12

interface Options {
  readonly minutes: number
  readonly idle: number
  readonly busy: number
}

interface Soaked {
  readonly proxy: RunningPgwarden
  readonly admin: Client
}

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2))
  if (options === undefined) {
    process.stdout.write(usage)
    return 0
  }
  await assertDescriptors(options)
  const stopping = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => stopping.abort())
  }
  const stops: (() => Promise<unknown>)[] = []
  try {
    const soaked = await prepare(options, (stop) => stops.push(stop))
    const complaints = await soak(soaked, options, stopping.signal)
    for (const complaint of complaints) say(`FAILED: ${complaint}`)
    if (complaints.length === 0) say('Steady: nothing grew, nothing was left, the books balance.')
    return complaints.length === 0 ? 0 : 1
  } finally {
    for (const stop of stops.reverse()) {
      await stop().catch((error: unknown) => say(`While stopping: ${String(error)}`))
    }
  }
}

async function prepare(
  { idle, busy }: Options,
  started: (stop: () => Promise<unknown>) => void,
): Promise<Soaked> {
  say('Starting PostgreSQL and pgwarden')
  const scratch = await mkdtemp(join(tmpdir(), 'pgwarden-soak-'))
  started(() => rm(scratch, { recursive: true, force: true }))
  await chmod(scratch, 0o711)
  // Backends of clients that have just vanished are still there when the next ones come.
  const connections = idle + busy * 2 + 100
  const server = await startEmbeddedPostgres({
    directory: join(scratch, 'postgres'),
    settings: { max_connections: String(connections), shared_buffers: '64MB' },
  })
  started(() => server.stop())
  const adminUrl = server.url('postgres').reveal()
  const store = await freshDatabase(adminUrl, 'soak_store')
  const target = await freshDatabase(adminUrl, 'soak')
  const admin = new Client({ connectionString: target.url })
  await admin.connect()
  started(() => admin.end())
  await admin.query(soakSchema)
  const proxy = await startPgwarden(
    {
      database: {
        admin: {
          host: '127.0.0.1',
          port: server.port,
          database: target.name,
          user: server.user,
          password: server.password.reveal(),
        },
        storeUrl: store.url,
      },
      scratch,
      started,
    },
    { listen: { maxConnections: connections } },
  )
  return { proxy, admin }
}

/** What is wrong; empty when nothing is. */
async function soak(
  soaked: Soaked,
  { minutes, idle, busy }: Options,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { proxy } = soaked
  // One of each kind of thing that is made once and kept.
  ;(await SoakClient.logIn(proxy.connection)).close()
  await sleep(1_000)
  const before = await look(soaked)

  say(`Opening ${idle} idle connections`)
  const held = await openIdle(proxy, idle, signal)
  const stopping = new AbortController()
  const tally: Tally = { rounds: 0, vanished: 0, failures: 0, firstFailure: undefined }
  const working = runBusy(proxy.connection, busy, stopping.signal, tally)
  const samples: Vitals[] = []
  const until = Date.now() + minutes * 60_000
  try {
    while (Date.now() < until && !signal.aborted) {
      await sleep(sampleEveryMs, undefined, { signal }).catch(() => undefined)
      const vitals = await look(soaked)
      samples.push(vitals)
      say(describe(vitals, tally))
    }
  } finally {
    stopping.abort()
    for (const client of held) client.close()
    await working
  }

  say('All clients have gone')
  const rows = trends(samples)
  process.stdout.write(`\n${trendTable(rows)}\n\n`)
  const complaints = rows.filter(({ grew }) => grew).map(({ of }) => `${of} grew`)
  if (rows.length === 0) complaints.push('it was too short to say anything')
  if (tally.failures > 0) {
    complaints.push(`${tally.failures} clients failed, the first: ${tally.firstFailure ?? '?'}`)
  }
  return [...complaints, ...(await whatIsLeft(soaked, before)), ...(await booksOf(proxy))]
}

async function openIdle(
  proxy: RunningPgwarden,
  count: number,
  signal: AbortSignal,
): Promise<readonly SoakClient[]> {
  const open: SoakClient[] = []
  let begun = 0
  const opener = async (): Promise<void> => {
    while (begun < count && !signal.aborted) {
      begun++
      open.push(await SoakClient.logIn(proxy.connection))
    }
  }
  await Promise.all(Array.from({ length: openingAtOnce }, opener))
  return open
}

async function whatIsLeft(soaked: Soaked, before: Vitals): Promise<readonly string[]> {
  const deadline = Date.now() + settleLimitMs
  for (;;) {
    const { sessions, backends, descriptors } = await look(soaked)
    const leaked = descriptors - before.descriptors
    if (sessions === 0 && backends === 0 && leaked <= descriptorSlack) return []
    if (Date.now() > deadline) {
      return [`left behind: ${sessions} sessions, ${backends} backends, ${leaked} descriptors`]
    }
    await sleep(500)
  }
}

async function booksOf(proxy: RunningPgwarden): Promise<readonly string[]> {
  await proxy.stop()
  const { ok, chains } = await verifyDirectory(proxy.journalDirectory)
  const unfinished = chains.flatMap(({ running, lost }) => [...running.ids, ...lost.ids])
  const statements = chains.reduce((sum, chain) => sum + chain.statements, 0)
  say(`The journal has ${statements} statements`)
  return [
    ...(ok ? [] : ['the journal does not verify']),
    ...(unfinished.length === 0 ? [] : [`${unfinished.length} statements have no outcome`]),
  ]
}

async function look({ proxy, admin }: Soaked): Promise<Vitals> {
  const answer = await fetch(`http://127.0.0.1:${proxy.httpPort}/metrics`)
  const text = await answer.text()
  const value = (name: string): number =>
    [...text.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (\\S+)$`, 'gm'))].reduce(
      (sum, [, each]) => sum + Number(each),
      0,
    )
  const { rows } = await admin.query<{ count: number }>(
    `select count(*)::int from pg_stat_activity
     where usename like 'pgw\\_%' and backend_type = 'client backend'`,
  )
  return {
    rss: value('process_resident_memory_bytes'),
    heap: value('nodejs_heap_size_used_bytes'),
    external: value('nodejs_external_memory_bytes'),
    descriptors: value('process_open_fds'),
    sessions: value('pgwarden_sessions'),
    backends: rows[0]?.count ?? 0,
  }
}

function describe(vitals: Vitals, { rounds, vanished, failures }: Tally): string {
  const mebibytes = (bytes: number): string => `${Math.round(bytes / 1024 / 1024)} MiB`
  return (
    `rss ${mebibytes(vitals.rss)}, heap ${mebibytes(vitals.heap)}, external ${mebibytes(vitals.external)}, ` +
    `${vitals.descriptors} descriptors, ${vitals.sessions} sessions, ${vitals.backends} backends; ` +
    `${rounds} rounds, ${vanished} vanished, ${failures} failures`
  )
}

/** Undefined when help is asked for. */
function parseOptions(words: readonly string[]): Options | undefined {
  const { values } = parseArgs({
    args: [...words],
    options: {
      minutes: { type: 'string', default: '10' },
      idle: { type: 'string', default: '2000' },
      busy: { type: 'string', default: '200' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return undefined
  const number = (option: string, text: string): number => {
    if (/^\d{1,5}(\.\d+)?$/.test(text)) return Number(text)
    throw new Error(`${option} takes a number, not "${text}"`)
  }
  return {
    minutes: number('--minutes', values.minutes),
    idle: number('--idle', values.idle),
    busy: number('--busy', values.busy),
  }
}

/** Each session is two descriptors of the proxy's, and a cancel one more. */
async function assertDescriptors({ idle, busy }: Options): Promise<void> {
  const needed = idle * 2 + busy * 8 + 200
  const { stdout } = await promisify(execFile)('sh', ['-c', 'ulimit -n'])
  const limit = stdout.trim()
  if (limit === 'unlimited' || Number(limit) >= needed) return
  throw new Error(
    `this needs ${needed} file descriptors and may have ${limit}: ulimit -n ${needed}`,
  )
}

function say(line: string): void {
  process.stderr.write(`${line}\n`)
}

process.exitCode = await main().catch((error: unknown) => {
  say(error instanceof Error ? error.message : String(error))
  return 1
})
