// The demo's data directory: where it is by default, how it is told from one that is not ours, and
// how it is removed. Ignorant of what lies in it. A file marks it as ours, so that `--reset` given
// the wrong path removes nothing.

import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { Failure } from '../errors.ts'

const marker = 'pgwarden-demo'
const markerText = 'Made by "pgwarden demo"; "pgwarden demo --reset" removes this directory.\n'

/** One place a person, so that a demo goes on where it ended. */
export function defaultDirectory(env: Readonly<Record<string, string | undefined>>): string {
  // PostgreSQL does not run as root, and what runs it in its place cannot look into /root.
  if (process.getuid?.() === 0) return '/var/lib/pgwarden-demo'
  return join(env['XDG_DATA_HOME'] || join(homedir(), '.local', 'share'), 'pgwarden-demo')
}

/** Its absolute path, once it exists and is known to be ours. @throws Failure when it is not. */
export async function claimDirectory(path: string): Promise<string> {
  const directory = resolve(path)
  await usable(directory, async () => {
    if (await foreign(directory)) {
      throw new Failure('invalid_configuration', {
        message: `${directory} holds files that the demo did not make`,
        hint: 'Choose a directory that is new or empty with --data.',
      })
    }
    await mkdir(directory, { recursive: true, mode: process.getuid?.() === 0 ? 0o711 : 0o700 })
    await writeFile(join(directory, marker), markerText)
  })
  return directory
}

/** Removes what an earlier demo left. @throws Failure when somebody else made it. */
export async function removeDirectory(path: string): Promise<void> {
  const directory = resolve(path)
  await usable(directory, async () => {
    if (await foreign(directory)) {
      throw new Failure('invalid_configuration', {
        message: `${directory} is not removed: the demo did not make it`,
        hint: `A directory of the demo's holds a file named ${marker}. Remove this one yourself if you are sure.`,
      })
    }
    await rm(directory, { recursive: true, force: true })
  })
}

async function foreign(directory: string): Promise<boolean> {
  const names = await readdir(directory).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return []
    throw error
  })
  if (names.length === 0) return false
  const text = await readFile(join(directory, marker), 'utf8').catch(() => '')
  return text !== markerText
}

/** The operating system's refusals, in words. */
async function usable(directory: string, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (cause) {
    const refusal = refusals.get(codeOf(cause))
    if (refusal === undefined) throw cause
    const hint = 'Choose another directory with --data.'
    const message = `the directory ${directory} cannot be used: ${refusal}`
    throw new Failure('invalid_configuration', { message, hint }, { cause })
  }
}

const refusals: ReadonlyMap<unknown, string> = new Map([
  ['EACCES', 'this account may not write there'],
  ['EPERM', 'this account may not write there'],
  ['EROFS', 'the file system is read-only'],
  ['ENOSPC', 'no space is left'],
  ['ENOTDIR', 'a file stands in its way'],
  ['EEXIST', 'a file stands in its way'],
])

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
