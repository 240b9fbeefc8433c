// The life of the postgres process: started, awaited, guarded against our own death, stopped.
// Ignorant of where its data directory comes from.
// PostgreSQL documentation: "Shutting Down the Server", "Database File Layout" (postmaster.pid).

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Account } from './account.ts'
import type { Binaries } from './binaries.ts'
import { explainFailedStart } from './explain.ts'

const startLimitMs = 30_000
const stopLimitMs = 10_000
const pollMs = 20

export interface Place {
  readonly binaries: Binaries
  readonly account: Account | undefined
  /** Ours; the account can enter it. */
  readonly directory: string
  /** The data directory within it. */
  readonly data: string
}

export interface ServerProcess {
  /** Resolves when it is gone; may be called again. */
  stop(): Promise<void>
}

/** How each of PostgreSQL's programs is run. */
export function processOptions({ account, directory }: Place) {
  return {
    ...(account === undefined ? {} : { uid: account.uid, gid: account.gid }),
    // Not our own: it may lie where the account cannot go.
    cwd: directory,
    // English messages, for explain.ts.
    env: { ...process.env, LC_ALL: 'C' },
    // A process group of its own: Ctrl-C in a terminal goes to the whole group, and PostgreSQL has
    // to outlive the sessions that we are still closing.
    detached: true,
  } as const
}

/** Resolves when the server accepts connections; rejects with the reason in a sentence. */
export async function launch(
  place: Place,
  logFile: string,
  settings: Readonly<Record<string, string>>,
): Promise<ServerProcess> {
  const all = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    fsync: 'off',
    full_page_writes: 'off',
    synchronous_commit: 'off',
    log_line_prefix: '%m [%p] %q%u@%d ',
    ...settings,
  }
  const options = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  // The server writes into the file itself, so that its log is whole even when we are killed.
  const log = await open(logFile, 'w', 0o600)
  const server = spawn(place.binaries.postgres, ['-D', place.data, ...options], {
    ...processOptions(place),
    stdio: ['ignore', log.fd, log.fd],
  })
  const ended = new Promise<void>((resolve) => server.once('exit', () => resolve()))
  await once(server, 'spawn').finally(() => log.close())
  guard(server, ended, place)
  try {
    await ready(server, place.data)
  } catch (cause) {
    await stop(server, ended)
    throw explainFailedStart(await readFile(logFile, 'utf8'), cause)
  }
  return { stop: () => stop(server, ended) }
}

/**
 * Stops the server when we die without a chance to (kill -9, a second Ctrl-C). A shell waits at the
 * end of a pipe that only we hold open; the kernel closes it whatever becomes of us.
 */
function guard(server: ChildProcess, ended: Promise<void>, place: Place): void {
  const watcher = spawn('/bin/sh', ['-c', 'read -r _; kill -INT "$1"', 'sh', String(server.pid)], {
    ...processOptions(place),
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  // Without a shell the server is merely unguarded: the next start finds it by its lock file.
  watcher.on('error', () => {})
  // Once the server has ended, its number may be given to another process.
  void ended.then(() => watcher.kill('SIGKILL'))
}

/** As pg_ctl does: the eighth line of the lock file says `ready` when connections are accepted. */
async function ready(server: ChildProcess, data: string): Promise<void> {
  for (let waited = 0; waited < startLimitMs; waited += pollMs) {
    if (server.exitCode !== null || server.signalCode !== null) throw new Error('the server ended')
    const lock = await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => '')
    const lines = lock.split('\n')
    if (lines[0] === String(server.pid) && lines[7]?.trim() === 'ready') return
    await sleep(pollMs)
  }
  throw new Error(`the server was not ready within ${startLimitMs} ms`)
}

async function stop(server: ChildProcess, ended: Promise<void>): Promise<void> {
  // SIGINT is PostgreSQL's "fast" shutdown: it ends the sessions. SIGQUIT is the "immediate" one.
  server.kill('SIGINT')
  const escalation = setTimeout(() => server.kill('SIGQUIT'), stopLimitMs)
  await ended
  clearTimeout(escalation)
}
