// A PostgreSQL server of our own in a directory: initialised at the first start, started, stopped.
// Used by the demo and by the integration tests; ignorant of both. It listens on 127.0.0.1 only and
// asks for a password. Durability is off: what it holds can be made again.
// PostgreSQL documentation: chapter "Server Setup and Operation".

import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmod, chown, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Failure } from '../errors.ts'
import { Secret } from '../secret.ts'
import { type Account, closedDirectory, postgresAccount } from './account.ts'
import { findBinaries } from './binaries.ts'
import { alreadyRuns, explainFailedStart, otherVersion } from './explain.ts'
import { launch, type Place, processOptions } from './server-process.ts'

const user = 'postgres'
const predecessorLimitMs = 5_000

export interface EmbeddedPostgresOptions {
  /** Ours alone; made if missing. Holds `data/`, `server.log` and `superuser-password`. */
  readonly directory: string
  /** A free one is chosen when absent. */
  readonly port?: number
  /** Server settings over our own, e.g. `{ log_statement: 'all' }`. */
  readonly settings?: Readonly<Record<string, string>>
}

export interface EmbeddedPostgres {
  readonly port: number
  readonly user: string
  readonly password: Secret
  /** Mode 0600; holds the password and nothing else. */
  readonly passwordFile: string
  /** What the server writes, since its last start. */
  readonly logFile: string
  /** A connection string of the superuser for one database. */
  url(database: string): Secret
  /** Ends every session and the server. Resolves when it is gone; may be called again. */
  stop(): Promise<void>
}

export async function startEmbeddedPostgres(
  options: EmbeddedPostgresOptions,
): Promise<EmbeddedPostgres> {
  const { directory } = options
  const account = await postgresAccount()
  await prepareDirectory(directory, account)
  const binaries = await findBinaries(account, directory)
  const data = join(directory, 'data')
  const passwordFile = join(directory, 'superuser-password')
  const logFile = join(directory, 'server.log')

  const version = await readIfThere(join(data, 'PG_VERSION'))
  if (version === undefined) {
    await initialise({ binaries, account, directory, data, passwordFile })
  } else if (version.trim() !== binaries.major) {
    throw new Failure('invalid_configuration', otherVersion(version.trim()))
  }
  const password = new Secret((await readFile(passwordFile, 'utf8')).trim())
  await awaitPredecessor(directory)

  const port = options.port ?? (await freePort())
  const server = await launch({ binaries, account, directory, data }, logFile, {
    port: String(port),
    ...options.settings,
  })
  return {
    port,
    user,
    password,
    passwordFile,
    logFile,
    url: (database) =>
      new Secret(`postgres://${user}:${password.reveal()}@127.0.0.1:${port}/${database}`),
    stop: () => server.stop(),
  }
}

async function prepareDirectory(directory: string, account: Account | undefined): Promise<void> {
  if (account === undefined) {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    return
  }
  // Before anything is made, and again after: the umask may have closed what was made.
  await assertOpen(dirname(directory), account)
  // The account may pass through to what it owns, and see nothing else.
  await mkdir(directory, { recursive: true, mode: 0o711 })
  await chmod(directory, 0o711)
  await assertOpen(directory, account)
}

async function assertOpen(directory: string, account: Account): Promise<void> {
  const closed = await closedDirectory(directory, account)
  if (closed === undefined) return
  throw new Failure('invalid_configuration', {
    message: `the account "${account.name}", which runs PostgreSQL in place of root, may not enter ${closed}`,
    hint: 'Choose a directory that it can reach with --data, for example one below /var/lib.',
  })
}

async function initialise(place: Place & { readonly passwordFile: string }): Promise<void> {
  const { binaries, account, data, passwordFile } = place
  // Made beside its place and renamed when complete: an interrupted initdb leaves nothing to start.
  const fresh = `${data}.new`
  await rm(fresh, { recursive: true, force: true })
  await mkdir(fresh, { mode: 0o700 })
  await writeFile(passwordFile, `${randomBytes(24).toString('hex')}\n`, { mode: 0o600 })
  if (account !== undefined) {
    for (const path of [fresh, passwordFile]) await chown(path, account.uid, account.gid)
  }
  const initdb = spawn(
    binaries.initdb,
    [
      `--pgdata=${fresh}`,
      `--username=${user}`,
      `--pwfile=${passwordFile}`,
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      // The same order of text on every machine, whatever locales it has.
      ...['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'],
      ...['--no-sync', '--no-instructions'],
    ],
    { ...processOptions(place), stdio: ['ignore', 'pipe', 'pipe'] },
  )
  let output = ''
  for (const stream of [initdb.stdout, initdb.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  }
  const status = await new Promise((resolve, reject) => {
    initdb.once('error', reject).once('close', resolve)
  })
  if (status !== 0) throw explainFailedStart(output)
  await rename(fresh, data)
}

/**
 * A server may still be there: one that is being stopped because its parent was killed, or one of
 * another demo. The first is waited for, the second is not ours to stop. @throws Failure
 */
export async function awaitPredecessor(directory: string): Promise<void> {
  const lock = join(directory, 'data', 'postmaster.pid')
  for (let waited = 0; ; waited += 100) {
    const pid = await lockHolder(lock)
    if (pid === undefined) return
    if (!(await isServer(pid))) {
      // Left by a server that was killed. PostgreSQL would refuse to start where the number has
      // meanwhile gone to an unrelated process.
      await rm(lock, { force: true })
      return
    }
    if (waited >= predecessorLimitMs) throw new Failure('invalid_configuration', alreadyRuns(pid))
    await sleep(100)
  }
}

async function readIfThere(file: string): Promise<string | undefined> {
  return readFile(file, 'utf8').catch((error: unknown) => {
    // Any other refusal is no reason to take the directory for a new one.
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  })
}

async function lockHolder(lock: string): Promise<number | undefined> {
  const text = await readFile(lock, 'utf8').catch(() => '')
  const pid = Number.parseInt(text, 10)
  return Number.isNaN(pid) ? undefined : pid
}

async function isServer(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EPERM')) return false
  }
  // Where there is no /proc, a living process is taken for the server.
  const command = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => 'postgres')
  return command.trim() === 'postgres'
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const address = probe.address()
  probe.close()
  await once(probe, 'close')
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port')
  return address.port
}
