// Whether the journal could be written, found out without touching the chains that are there: another
// process may be writing them. Ignorant of records.

import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { access, open, stat, statfs, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/**
 * Writes a file into the directory, to the disk, and removes it; a directory that is not there yet is
 * looked at where it would be made. Answers how many bytes are free. @throws
 */
export async function probeDirectory(directory: string): Promise<number> {
  const there = await existing(directory)
  if (there === directory) await writeAndRemove(join(directory, `.probe-${randomUUID()}`))
  else await access(there, constants.W_OK | constants.X_OK)
  const { bavail, bsize } = await statfs(there)
  return bavail * bsize
}

/** The directory, or the nearest above it that is there. */
async function existing(directory: string): Promise<string> {
  for (let at = directory; ; at = dirname(at)) {
    const found = await stat(at).catch((error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
      throw error
    })
    if (found?.isDirectory() === true) return at
    if (found !== undefined) throw new Error(`${at} is no directory`)
  }
}

async function writeAndRemove(path: string): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    await file.write('pgwarden doctor\n')
    await file.sync()
  } finally {
    await file.close()
    await unlink(path)
  }
}
