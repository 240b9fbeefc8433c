// A real HAProxy in a process of the test's own, with sections that the test writes.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ServerProcess } from './server-process.ts'

export class Haproxy {
  readonly #process: ServerProcess
  readonly #directory: string

  private constructor(process: ServerProcess, directory: string) {
    this.#process = process
    this.#directory = directory
  }

  /** `sections`: what follows `defaults`. It is up when it takes connections on `port`. */
  static async start(program: string, port: number, sections: string): Promise<Haproxy> {
    const directory = await mkdtemp(join(tmpdir(), 'pgwarden-haproxy-'))
    const file = join(directory, 'haproxy.cfg')
    await writeFile(file, `${defaults}${sections}`)
    const logFile = join(directory, 'haproxy.log')
    const server = new ServerProcess({ program, words: ['-db', '-f', file], port, logFile })
    await server.start()
    return new Haproxy(server, directory)
  }

  async stop(): Promise<void> {
    await this.#process.kill()
    await rm(this.#directory, { recursive: true, force: true })
  }
}

const defaults = `global
    maxconn 200
defaults
    mode tcp
    timeout connect 5s
    timeout client 1m
    timeout server 1m
`
