// The program as its users run it: built into dist/, in a process of its own.

import { type ChildProcessByStdio, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const root = fileURLToPath(new URL('../..', import.meta.url))

const settings = ['tsconfig.json', 'tsconfig.build.json', 'package-lock.json']
/** Written last when a build has succeeded. */
const mark = join(root, 'dist', '.built')

/** Brings dist/ up to date. The compiler takes seconds to say that it is already, a look at the files none. */
export async function build(): Promise<void> {
  const builtAt = await stat(mark).then(
    ({ mtimeMs }) => mtimeMs,
    () => 0,
  )
  if ((await lastChange()) < builtAt) return
  const began = new Date()
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  await promisify(execFile)(process.execPath, [compiler, '-p', 'tsconfig.build.json'], {
    cwd: root,
  })
  await writeFile(mark, '')
  // What was changed meanwhile is not in it.
  await utimes(mark, began, began)
}

/** Of a source, or of a folder that lost one. */
async function lastChange(): Promise<number> {
  const below = await readdir(join(root, 'src'), { recursive: true })
  const paths = [...settings, 'src', ...below.map((name) => join('src', name))]
  const all = await Promise.all(paths.map((path) => stat(join(root, path))))
  return Math.max(...all.map(({ mtimeMs }) => mtimeMs))
}

/** `node dist/main.js`, as it is or unable to make any file larger than `$0` until the limit is moved. */
const limited = 'trap \'\' XFSZ; ulimit -S -f $0; exec "$@"'

export interface RunOptions {
  /** In blocks of 512 bytes. */
  readonly largestFile?: number | undefined
  /** Beside the environment of the tests. */
  readonly env?: Readonly<Record<string, string>>
}

/** A run of `node dist/main.js ...words`. */
export class Run {
  readonly process: ChildProcessByStdio<null, Readable, Readable>
  stdout = ''
  stderr = ''
  readonly #ended: Promise<unknown>

  constructor(words: readonly string[], { largestFile, env }: RunOptions = {}) {
    const program = [process.execPath, join(root, 'dist', 'main.js'), ...words]
    const limits = largestFile === undefined ? [] : ['sh', '-c', limited, String(largestFile)]
    const [command = '', ...rest] = [...limits, ...program]
    this.process = spawn(command, rest, {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.process.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text
    })
    this.process.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text
    })
    this.#ended = once(this.process, 'close')
  }

  /** Resolves when stdout contains `text`; rejects when the process ends first. */
  async prints(text: string, limitMs = 30_000): Promise<void> {
    for (let waited = 0; !this.stdout.includes(text); waited += 20) {
      if (this.process.exitCode !== null || waited > limitMs) {
        throw new Error(`it never printed "${text}", but:\n${this.stdout}\n${this.stderr}`)
      }
      await sleep(20)
    }
  }

  /** The exit status, once it has ended; the signal's name where one killed it. */
  async ended(): Promise<number | string | null> {
    await this.#ended
    return this.process.exitCode ?? this.process.signalCode
  }
}
