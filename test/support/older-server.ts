// PostgreSQL 15, the oldest release that pgwarden speaks with, where the distribution's package of it
// is installed. A throw-away server on a port of its own; ignorant of what is asked of it.

import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type Account, postgresAccount } from '../../src/demo/account.ts'
import type { Binaries } from '../../src/demo/binaries.ts'
import { launch, type Place, processOptions } from '../../src/demo/server-process.ts'
import { freePort } from './ports.ts'

const programs = '/usr/lib/postgresql/15/bin'
const user = 'postgres'

export interface OlderServer {
  /** Connection string of the superuser. */
  readonly adminUrl: string
  /** Ends the server and removes all that it held. */
  stop(): Promise<void>
}

export function olderServerIsInstalled(): boolean {
  return existsSync(join(programs, 'initdb')) && existsSync(join(programs, 'postgres'))
}

/** `settings` over its own, e.g. `{ ssl: 'on' }`. */
export async function startOlderServer(
  settings: Readonly<Record<string, string>> = {},
): Promise<OlderServer> {
  const account = await postgresAccount()
  const directory = await mkdtemp(join(tmpdir(), 'pgwarden-older-'))
  const place: Place = {
    binaries: olderBinaries(),
    account,
    directory,
    data: join(directory, 'data'),
  }
  const remove = (): Promise<void> => rm(directory, { recursive: true, force: true })
  try {
    const password = await initialise(place)
    const port = await freePort()
    const server = await launch(place, join(directory, 'server.log'), {
      port: String(port),
      ...settings,
    })
    return {
      adminUrl: `postgres://${user}:${password}@127.0.0.1:${port}/postgres`,
      stop: () => server.stop().then(remove),
    }
  } catch (error) {
    await remove()
    throw error
  }
}

function olderBinaries(): Binaries {
  return { initdb: join(programs, 'initdb'), postgres: join(programs, 'postgres'), major: '15' }
}

/** Makes the data directory; returns the superuser's password. */
async function initialise(place: Place): Promise<string> {
  const password = randomBytes(24).toString('hex')
  const passwordFile = join(place.directory, 'password')
  await mkdir(place.data, { mode: 0o700 })
  await writeFile(passwordFile, password, { mode: 0o600 })
  await chmod(place.directory, 0o711)
  if (place.account !== undefined) await own(place.account, [place.data, passwordFile])
  const words = [
    ...[`--pgdata=${place.data}`, `--username=${user}`, `--pwfile=${passwordFile}`],
    ...['--auth=scram-sha-256', '--encoding=UTF8', '--locale=C', '--no-sync', '--no-instructions'],
  ]
  await promisify(execFile)(place.binaries.initdb, words, processOptions(place))
  return password
}

async function own(account: Account, paths: readonly string[]): Promise<void> {
  for (const path of paths) await chown(path, account.uid, account.gid)
}
