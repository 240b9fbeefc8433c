// A real HAProxy in front of several pgwardens, configured as docs/operations.md says, but quicker to notice.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './ports.ts'
import { ServerProcess } from './server-process.ts'

interface Served {
  readonly port: number
  readonly httpPort: number
}

export class Haproxy {
  readonly port: number
  readonly #directory: string
  readonly #process: ServerProcess

  private constructor(program: string, directory: string, port: number) {
    this.port = port
    this.#directory = directory
    this.#process = new ServerProcess({
      program,
      words: ['-db', '-f', join(directory, 'haproxy.cfg')],
      port,
      logFile: join(directory, 'haproxy.log'),
    })
  }

  static async start(program: string, behind: readonly Served[]): Promise<Haproxy> {
    const directory = await mkdtemp(join(tmpdir(), 'pgwarden-haproxy-'))
    const balancer = new Haproxy(program, directory, await freePort())
    const servers = behind.map(
      ({ port, httpPort }, at) => `  server w${at} 127.0.0.1:${port} check port ${httpPort}`,
    )
    const configuration = [
      'defaults',
      '  mode tcp',
      '  timeout connect 2s',
      '  timeout client 1h',
      '  timeout server 1h',
      '  timeout check 1s',
      '  retries 3',
      '  option redispatch 1',
      'listen pgwarden',
      `  bind 127.0.0.1:${balancer.port}`,
      '  balance leastconn',
      '  option httpchk GET /readyz',
      '  http-check expect status 200',
      '  default-server inter 100ms fall 1 rise 1',
      ...servers,
      '',
    ].join('\n')
    await writeFile(join(directory, 'haproxy.cfg'), configuration)
    await balancer.#process.start()
    return balancer
  }

  async stop(): Promise<void> {
    await this.#process.kill()
    await rm(this.#directory, { recursive: true, force: true })
  }
}
