// Which operating system account runs PostgreSQL, and which directories it may enter. PostgreSQL
// refuses to run as root, so root (a container, a fresh virtual machine) lends it the account
// `postgres`, made if missing; everybody else runs it as themselves. Ignorant of PostgreSQL itself.
// PostgreSQL documentation: "The PostgreSQL User Account".

import { execFile } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { promisify } from 'node:util'
import { Failure } from '../errors.ts'

const execute = promisify(execFile)
const name = 'postgres'

export interface Account {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

/** The account to run PostgreSQL as; undefined when it is simply the one we run as. */
export async function postgresAccount(): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined
  const known = await lookUp()
  if (known !== undefined) return known
  try {
    await execute('groupadd', ['--system', '--force', name])
    await execute('useradd', [
      ...['--system', '--gid', name, '--no-create-home', '--shell', '/usr/sbin/nologin', name],
    ])
  } catch (cause) {
    throw cannotCreate(cause)
  }
  const created = await lookUp()
  if (created === undefined) throw cannotCreate(undefined)
  return created
}

async function lookUp(): Promise<Account | undefined> {
  try {
    const [user, group] = await Promise.all([
      execute('id', ['-u', name]),
      execute('id', ['-g', name]),
    ])
    return { name, uid: Number(user.stdout), gid: Number(group.stdout) }
  } catch {
    return undefined
  }
}

function cannotCreate(cause: unknown): Failure {
  return new Failure(
    'invalid_configuration',
    {
      message: `PostgreSQL refuses to run as root, and the account "${name}" could not be created`,
      hint: `Create it ("useradd --system ${name}"), or run this command as an ordinary user.`,
    },
    { cause },
  )
}

/**
 * The first directory on the way to `path` that `account` may not enter, such as /root; undefined
 * when the way is open, or `path` does not exist.
 */
export async function closedDirectory(
  path: string,
  account: Account | undefined,
): Promise<string | undefined> {
  if (account === undefined) return undefined
  const way: string[] = []
  for (let at = resolve(path); at !== dirname(at); at = dirname(at)) way.unshift(at)
  for (const at of way) {
    const entry = await stat(at).catch(() => undefined)
    if (entry === undefined) return undefined
    const shift = entry.uid === account.uid ? 6 : entry.gid === account.gid ? 3 : 0
    if (entry.isDirectory() && ((entry.mode >> shift) & 1) === 0) return at
  }
  return undefined
}
