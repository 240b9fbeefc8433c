// The ways to the same tables: straight to PostgreSQL, through PgBouncer, through pgwarden, and through a
// pgwarden that records no statements. Each proxy is a process of its own on the loopback, set up as its
// operator would. PgBouncer runs in session mode without authentication: nothing that pgwarden must do
// is asked of it.

import { execFile } from 'node:child_process'
import { chown, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { postgresAccount } from '../src/demo/account.ts'
import { freePort, freePorts } from '../test/support/ports.ts'
import { type BenchDatabase, memberships } from './database.ts'
import type { Connection } from './load.ts'
import { startService } from './service.ts'

export interface Contender {
  readonly name: string
  readonly connection: Connection
  /** Of the proxy; undefined for PostgreSQL itself, which is many processes. */
  readonly pid: number | undefined
}

interface Setting {
  readonly database: BenchDatabase
  readonly scratch: string
  /** Is told how to undo each step. */
  readonly started: (stop: () => Promise<void>) => void
}

const execute = promisify(execFile)
const loopback = '127.0.0.1'
/** We run compiled, two directories below the root. */
const pgwarden = fileURLToPath(new URL('../../dist/main.js', import.meta.url))

export function direct({ direct: connection }: BenchDatabase): Contender {
  return { name: 'direct', connection, pid: undefined }
}

/** e.g. `1.24.1`. */
export async function pgbouncerVersion(program: string): Promise<string> {
  const { stdout } = await execute(program, ['--version'])
  return /[\d.]+/.exec(stdout)?.[0] ?? 'of unknown version'
}

export async function startPgbouncer(program: string, setting: Setting): Promise<Contender> {
  const { database, scratch, started } = setting
  const { host, port, database: name, user, password } = database.direct
  const listenPort = await freePort()
  const users = join(scratch, 'pgbouncer-users.txt')
  const config = join(scratch, 'pgbouncer.ini')
  await writeFile(users, `"${user}" "${password}"\n`, { mode: 0o600 })
  await writeFile(
    config,
    [
      '[databases]',
      `${name} = host=${host} port=${port} dbname=${name} user=${user} password=${password}`,
      '[pgbouncer]',
      `listen_addr = ${loopback}`,
      `listen_port = ${listenPort}`,
      'unix_socket_dir =',
      'auth_type = trust',
      `auth_file = ${users}`,
      'pool_mode = session',
      'default_pool_size = 64',
      'max_client_conn = 200',
      'log_connections = 0',
      'log_disconnections = 0',
      '',
    ].join('\n'),
    { mode: 0o600 },
  )
  // PgBouncer refuses to run as root, as PostgreSQL does.
  const account = await postgresAccount()
  if (account !== undefined) {
    for (const file of [users, config]) await chown(file, account.uid, account.gid)
  }
  const service = await startService(program, [config], {
    port: listenPort,
    ...(account === undefined ? {} : { uid: account.uid, gid: account.gid }),
  })
  started(() => service.stop())
  const connection = { ...database.direct, host: loopback, port: listenPort }
  return { name: 'PgBouncer', connection, pid: service.pid }
}

export interface RunningPgwarden extends Contender {
  readonly pid: number
  readonly httpPort: number
  readonly journalDirectory: string
  stop(): Promise<void>
}

/** What is not as an operator would have it by default. */
export interface Difference {
  readonly name?: string
  /** Settings of the sections, beside the defaults. */
  readonly listen?: Readonly<Record<string, unknown>>
  readonly audit?: Readonly<Record<string, unknown>>
  /** Of Node. */
  readonly words?: readonly string[]
}

const withoutJournal = fileURLToPath(new URL('without-journal.js', import.meta.url))

/** What recording costs: the journal as it is, nothing recorded, and each record on the disk. */
export async function startJournalContenders(setting: Setting): Promise<readonly Contender[]> {
  return [
    await startPgwarden(setting, { name: 'no journal', words: ['--import', withoutJournal] }),
    await startPgwarden(setting, { name: 'journal' }),
    await startPgwarden(setting, {
      name: 'journal, fsync',
      audit: { statements: { fsync: 'batch' } },
    }),
  ]
}

export async function startPgwarden(
  {
    database,
    scratch,
    started,
  }: Pick<Setting, 'scratch' | 'started'> & {
    readonly database: Pick<BenchDatabase, 'admin' | 'storeUrl'>
  },
  { name = 'pgwarden', listen = {}, audit = {}, words = [] }: Difference = {},
): Promise<RunningPgwarden> {
  const { admin, storeUrl } = database
  const [listenPort, httpPort] = await freePorts()
  const own = join(scratch, name)
  await mkdir(own)
  const journalDirectory = join(own, 'journal')
  const configFile = join(own, 'pgwarden.yaml')
  const config = {
    listen: { address: loopback, port: listenPort, ...listen },
    http: { address: loopback, port: httpPort },
    store: { url: storeUrl },
    journal: { directory: journalDirectory },
    audit,
    log: { level: 'warn' },
    targets: {
      [admin.database]: {
        host: admin.host,
        port: admin.port,
        database: admin.database,
        credentials: {
          broker: {
            user: admin.user,
            password: admin.password,
            owned: 'drop',
            creation: { read_limited_write: [`GRANT ${memberships} TO {{name}}`] },
          },
        },
      },
    },
  }
  // JSON is YAML.
  await writeFile(configFile, JSON.stringify(config), { mode: 0o600 })
  const service = await startService(
    process.execPath,
    [...words, pgwarden, 'serve', '--config', configFile],
    { port: listenPort },
  )
  started(() => service.stop())
  const user = 'bench'
  const { stdout } = await execute(process.execPath, [
    ...[pgwarden, 'token', 'issue', '--config', configFile, '--kind', 'reusable'],
    ...['--principal', user, '--target', admin.database, '--role', 'read_limited_write'],
    ...['--for', '24h', '--reason', 'npm run bench'],
  ])
  const password = /\bpassword=(\S+)/.exec(stdout)?.[1]
  if (password === undefined) throw new Error(`no token was issued:\n${stdout}`)
  const connection = { ...admin, host: loopback, port: listenPort, user, password }
  return {
    name,
    connection,
    pid: service.pid,
    httpPort,
    journalDirectory,
    stop: () => service.stop(),
  }
}
