// PostgreSQL's own programs, PgBouncer, HAProxy, nats-server, rsyslogd and Prometheus, where this machine has
// them.

import { execFile } from 'node:child_process'
import { accessSync, constants, readdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

/** Where Debian keeps the programs that belong to a server's version. */
const debian = '/usr/lib/postgresql'
/** Where servers are kept, and only root looks. */
const adminFolders = ['/usr/sbin', '/usr/local/sbin']

/** Its full path; undefined where it is not installed. */
export function findPsql(): string | undefined {
  return find('psql')
}

export function findPgbench(): string | undefined {
  return find('pgbench')
}

export function findPgDump(): string | undefined {
  return find('pg_dump')
}

export function findPgbouncer(): string | undefined {
  return find('pgbouncer')
}

export function findHaproxy(): string | undefined {
  return find('haproxy')
}

export function findNatsServer(): string | undefined {
  return find('nats-server')
}

export function findRsyslogd(): string | undefined {
  return find('rsyslogd')
}

export function findPrometheus(): string | undefined {
  return find('prometheus')
}

export function findPromtool(): string | undefined {
  return find('promtool')
}

/** Runs a program with `input` on its standard input, and lets it fail. */
export async function runProgram(
  program: string,
  words: readonly string[],
  options: { readonly env?: Readonly<Record<string, string>>; readonly input?: string } = {},
): Promise<{ readonly stdout: string; readonly stderr: string; readonly status: number }> {
  const run = promisify(execFile)(program, words, {
    env: { ...process.env, ...options.env },
    maxBuffer: 256 * 1024 * 1024,
  })
  // One that leaves early does not hear it all.
  run.child.stdin?.on('error', () => undefined).end(options.input ?? '')
  try {
    return { ...(await run), status: 0 }
  } catch (error) {
    if (error instanceof Error && 'stdout' in error && 'stderr' in error && 'code' in error) {
      const { stdout, stderr, code } = error
      return { stdout: String(stdout), stderr: String(stderr), status: Number(code) }
    }
    throw error
  }
}

function find(program: string): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '')
  return [...folders, ...adminFolders, ...versionFolders()]
    .map((folder) => join(folder, program))
    .find(isExecutable)
}

function versionFolders(): string[] {
  try {
    return readdirSync(debian).map((version) => join(debian, version, 'bin'))
  } catch {
    return []
  }
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}
