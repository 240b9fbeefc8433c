// Real client software, each kind a folder of ./clients with an executable `run`: found here, run here
// with a place to connect to, and its lines read. Ignorant of what it is pointed at and of which result
// is the right one. The contract of such a program is in README.md beside this file.

import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'

/** What every client is asked to show, in the order of the report. */
export const checks = [
  'connect',
  'simple',
  'prepared',
  'binary',
  'batch',
  'transaction',
  'copy_in',
  'copy_out',
  'cursor',
  'notify',
  'cancel',
  'notices',
  'many',
  'errors',
  'large_objects',
] as const

export interface Client {
  readonly name: string
  readonly folder: string
  /** Which server it is meant for: its own release where it refuses newer ones. */
  readonly server: 'current' | 'older'
}

export interface Outcome {
  readonly result: 'ok' | 'failed' | 'unsupported'
  readonly detail: string
}

export type Run =
  | {
      readonly type: 'ran'
      readonly version: string
      /** By check. */
      readonly outcomes: ReadonlyMap<string, Outcome>
      /** What it wrote besides, for whoever looks for the reason of a failure. */
      readonly stderr: string
    }
  | { readonly type: 'not run'; readonly why: string }

/** The status by which `run` says that its client is not installed here. */
const notInstalled = 77
const limitMs = 180_000
const outputLimit = 1024 * 1024

const root = fileURLToPath(new URL('../..', import.meta.url))
const clientsFolder = fileURLToPath(new URL('clients', import.meta.url))

/** Where install.sh puts what it fetches. */
const cache = join(root, '.conformance')

/** For whoever wants to see what was compared. */
const said = join(cache, 'said')

const firstLine = z.strictObject({ client: z.string(), version: z.string() })
const checkLine = z.strictObject({
  check: z.string().regex(/^[a-z_]+$/),
  result: z.enum(['ok', 'failed', 'unsupported']),
  detail: z.string(),
})

/** All clients, or those that `names` lists, in alphabetical order. */
export function findClients(names?: readonly string[]): readonly Client[] {
  return readdirSync(clientsFolder)
    .filter((name) => existsSync(join(clientsFolder, name, 'run')))
    .filter((name) => names === undefined || names.includes(name))
    .sort()
    .map((name) => {
      const folder = join(clientsFolder, name)
      return { name, folder, server: serverOf(folder) }
    })
}

/**
 * Runs all checks of one client. Resolves however it ends; its whole process group with it. What it
 * said is kept in the cache, below the name of the `way`.
 */
export async function runClient(
  client: Client,
  way: string,
  place: Readonly<Record<string, string>>,
): Promise<Run> {
  const { status, stdout, stderr } = await execute(join(client.folder, 'run'), {
    PATH: process.env['PATH'] ?? '',
    HOME: process.env['HOME'] ?? '',
    LANG: 'C.UTF-8',
    CONFORMANCE_CACHE: cache,
    ...place,
  })
  await mkdir(said, { recursive: true })
  await writeFile(join(said, `${client.name}-${way}.jsonl`), stdout)
  if (status === notInstalled) return { type: 'not run', why: stderr.trim() || 'not installed' }
  return readLines(stdout, `ended with ${status}: ${stderr.trim().slice(-2000)}`, stderr)
}

/**
 * What a client said. Checks that it owes and did not speak of have failed, and `ending` is why.
 * Exported to be tested.
 */
export function readLines(stdout: string, ending: string, stderr: string): Run {
  const [first, ...lines] = stdout.split('\n').filter((line) => line !== '')
  const outcomes = new Map<string, Outcome>()
  for (const line of lines) {
    const read = checkLine.safeParse(parseJson(line))
    if (!read.success) {
      outcomes.set('output', { result: 'failed', detail: `no line of a check: ${line}` })
      continue
    }
    const { check, ...outcome } = read.data
    const twice = outcomes.has(check)
    outcomes.set(check, twice ? { result: 'failed', detail: 'reported twice' } : outcome)
  }
  for (const check of checks) {
    if (!outcomes.has(check)) outcomes.set(check, { result: 'failed', detail: ending })
  }
  const version = firstLine.safeParse(parseJson(first ?? ''))
  return {
    type: 'ran',
    version: version.success ? `${version.data.client} ${version.data.version}` : 'unknown',
    outcomes,
    stderr,
  }
}

function serverOf(folder: string): Client['server'] {
  const file = join(folder, 'server')
  if (!existsSync(file)) return 'current'
  const wanted = readFileSync(file, 'utf8').trim()
  if (wanted !== 'older') throw new Error(`${file} asks for a server "${wanted}"`)
  return 'older'
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

async function execute(
  program: string,
  env: Readonly<Record<string, string>>,
): Promise<{ status: number | string; stdout: string; stderr: string }> {
  // In a group of its own, so that whatever it started ends with it.
  const child = spawn(program, [], { env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  const output = { stdout: '', stderr: '' }
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream].setEncoding('utf8').on('data', (text: string) => {
      if (output[stream].length < outputLimit) output[stream] += text
    })
  }
  const endGroup = () => {
    if (child.pid === undefined) return
    try {
      process.kill(-child.pid, 'SIGKILL')
    } catch {
      // Nobody is left in it.
    }
  }
  const timer = setTimeout(endGroup, limitMs)
  try {
    const status = await new Promise<number | string>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code, signal) => resolve(code ?? signal ?? 'no status'))
    })
    return { status, ...output }
  } finally {
    clearTimeout(timer)
    endGroup()
  }
}
