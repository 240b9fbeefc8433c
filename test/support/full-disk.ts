// A disk that fills while a process writes to it, and has room again: a small file system in memory where
// this account may mount one, and a limit on the size of the process's files, which needs nobody's leave.

import { execFile } from 'node:child_process'
import { closeSync, openSync, readdirSync, rmSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

const execute = promisify(execFile)

export interface Disk {
  readonly name: string
  fill(): Promise<void>
  free(): Promise<void>
  /** What was mounted is gone, with all that was on it. */
  remove(): Promise<void>
}

const blockBytes = 4_096

/** In the place of `directory`; undefined where it cannot be had. */
export async function smallFileSystem(directory: string): Promise<Disk | undefined> {
  const options = ['-t', 'tmpfs', '-o', 'size=8m,mode=0700', 'tmpfs', directory]
  try {
    await execute('mount', options)
  } catch {
    return undefined
  }
  const filler = join(directory, 'filler')
  return {
    name: 'a file system without room',
    async fill() {
      const fd = openSync(filler, 'w')
      try {
        for (;;) writeSync(fd, Buffer.alloc(blockBytes))
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error
      } finally {
        closeSync(fd)
      }
    },
    async free() {
      rmSync(filler)
    },
    async remove() {
      await execute('umount', [directory])
    },
  }
}

/** For a process that ignores SIGXFSZ. Undefined where prlimit is not installed. */
export async function fileSizeLimit(pid: number, directory: string): Promise<Disk | undefined> {
  const limit = (bytes: string) => execute('prlimit', ['--pid', String(pid), `--fsize=${bytes}:`])
  try {
    await execute('prlimit', ['--version'])
  } catch {
    return undefined
  }
  return {
    name: 'files that may not grow',
    async fill() {
      const sizes = readdirSync(directory).map((file) => statSync(join(directory, file)).size)
      await limit(String(Math.max(...sizes)))
    },
    async free() {
      await limit('unlimited')
    },
    async remove() {},
  }
}
