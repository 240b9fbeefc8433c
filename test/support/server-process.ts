// A server in a process of the test's own, which can be paused, killed and started again at the same
// place. Ignorant of what it serves.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { open, readFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

export interface ServerTerms {
  readonly program: string
  readonly words: readonly string[]
  /** It is up when it takes connections here. */
  readonly port: number
  readonly logFile: string
}

export class ServerProcess {
  readonly #terms: ServerTerms
  #child: ChildProcess | undefined

  constructor(terms: ServerTerms) {
    this.#terms = terms
  }

  async start(): Promise<void> {
    const { program, words, port, logFile } = this.#terms
    const log = await open(logFile, 'a')
    const child = spawn(program, words, { stdio: ['ignore', log.fd, log.fd] })
    await log.close()
    this.#child = child
    // Not left behind by a test that is ended.
    const end = (): boolean => child.kill('SIGKILL')
    process.once('exit', end)
    child.once('exit', () => process.removeListener('exit', end))
    for (let tries = 0; !(await takesConnections(port)); tries++) {
      if (child.exitCode !== null || tries > 1_200) {
        throw new Error(`${program} does not serve: ${await readFile(logFile, 'utf8')}`)
      }
      await sleep(50)
    }
  }

  /** Connections to it hang from now on, and no new one is answered. */
  pause(): void {
    this.#child?.kill('SIGSTOP')
  }

  resume(): void {
    this.#child?.kill('SIGCONT')
  }

  /** Has it read its configuration again. */
  reload(): void {
    this.#child?.kill('SIGHUP')
  }

  /** Without a warning. */
  async kill(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
}

async function takesConnections(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
