// One writer for each chain: a lock file that names the process which holds it. A process that died
// leaves its file behind; it is known by its start time, because numbers come back, and in a container
// every process is number 1. Where /proc does not tell the start time, the number has to do.
// Format of /proc/<pid>/stat: proc(5).

import {
  closeSync,
  linkSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { Failure } from '../errors.ts'

export interface ChainLock {
  release(): void
}

interface Holder {
  readonly pid: number
  readonly started: string | undefined
  /** What it locked, by device and inode. */
  readonly directory: string | undefined
}

/** Takes the lock, over from a dead process if need be. Throws a Failure that names a living one. */
export function lockChain(directory: string, chain: string): ChainLock {
  const path = lockPath(directory, chain)
  const mine = JSON.stringify({
    pid: process.pid,
    started: processStart(process.pid),
    directory: identityOf(directory),
  })
  // Another process may take or release the lock between two of these steps.
  for (let attempt = 0; attempt < 3; attempt += 1) {
    if (createLock(path, mine)) return { release: () => releaseLock(path, mine) }
    const text = readIfThere(path)
    if (text === undefined) continue
    const holder = parseHolder(text)
    if (holder !== undefined && isAlive(holder)) throw heldBy(holder, directory, path)
    setAside(path, text)
  }
  throw new Failure('invalid_configuration', {
    message: `the audit journal's lock ${path} keeps changing hands`,
    hint: 'Several processes are started with one journal directory; give each its own.',
  })
}

/**
 * Whether a living process writes the chain, here: the lock in a copy of the directory is of the original.
 * Processes of other containers are not seen.
 */
export function isHeld(directory: string, chain: string): boolean {
  const text = readIfThere(lockPath(directory, chain))
  const holder = text === undefined ? undefined : parseHolder(text)
  if (holder === undefined || !isAlive(holder)) return false
  return holder.directory === undefined || holder.directory === identityOf(directory)
}

function identityOf(directory: string): string {
  const { dev, ino } = statSync(directory, { bigint: true })
  return `${dev}:${ino}`
}

function lockPath(directory: string, chain: string): string {
  return join(directory, `${chain}.lock`)
}

function createLock(path: string, text: string): boolean {
  let fd: number
  try {
    fd = openSync(path, 'wx', 0o600)
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false
    throw error
  }
  try {
    writeSync(fd, text)
    return true
  } catch (error) {
    unlinkSync(path)
    throw error
  } finally {
    closeSync(fd)
  }
}

function releaseLock(path: string, mine: string): void {
  if (readIfThere(path) === mine) unlinkSync(path)
}

/** Moves a dead process's lock away, and only that: somebody may have replaced it in the meantime. */
function setAside(path: string, judged: string): void {
  const aside = `${path}.${process.pid}`
  try {
    renameSync(path, aside)
    if (readFileSync(aside, 'utf8') !== judged) linkSync(aside, path)
    unlinkSync(aside)
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error
  }
}

function parseHolder(text: string): Holder | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // Its writer died before it had written it.
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  if (!('pid' in value) || typeof value.pid !== 'number' || value.pid < 1) return undefined
  const started =
    'started' in value && typeof value.started === 'string' ? value.started : undefined
  const directory =
    'directory' in value && typeof value.directory === 'string' ? value.directory : undefined
  return { pid: value.pid, started, directory }
}

function isAlive(holder: Holder): boolean {
  const started = processStart(holder.pid)
  if (started !== undefined) return started === holder.started
  if (holder.pid === process.pid) return false
  try {
    process.kill(holder.pid, 0)
    return true
  } catch (error) {
    // EPERM: it is there and belongs to somebody else.
    return !hasCode(error, 'ESRCH')
  }
}

/** When the process was started, in a form that no other process shares; undefined if unknown. */
function processStart(pid: number): string | undefined {
  const stat = readIfThere(`/proc/${pid}/stat`)
  const boot = readIfThere('/proc/sys/kernel/random/boot_id')
  if (stat === undefined || boot === undefined) return undefined
  // The command's name, in parentheses, may hold anything; the fields behind it are numbers.
  const ticks = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  return ticks === undefined ? undefined : `${boot.trim()}/${ticks}`
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    // ESRCH: the process ended while its entry was read.
    if (hasCode(error, 'ENOENT') || hasCode(error, 'ESRCH')) return undefined
    throw error
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}

function heldBy(holder: Holder, directory: string, path: string): Failure {
  return new Failure('invalid_configuration', {
    message: `process ${holder.pid} is already writing the audit journal in ${directory}`,
    detail: 'Two writers would break the hash chain.',
    hint: `Stop that process, or give this one another journal directory. If process ${holder.pid} is certainly not a pgwarden, remove ${path}.`,
  })
}
