// A real HAProxy in front of several pgwardens, configured as docs/operations.md says, but quicker to notice.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually } from './eventually.ts'
import { freePorts } from './ports.ts'
import { ServerProcess } from './server-process.ts'

interface Served {
  readonly port: number
  readonly httpPort: number
}

export class Haproxy {
  readonly port: number
  /** Of what it tells of itself. */
  readonly #httpPort: number
  readonly #directory: string
  readonly #process: ServerProcess

  private constructor(program: string, directory: string, [port, httpPort]: [number, number]) {
    this.port = port
    this.#httpPort = httpPort
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
    const balancer = new Haproxy(program, directory, await freePorts())
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
      'listen state',
      '  mode http',
      `  bind 127.0.0.1:${balancer.#httpPort}`,
      '  stats enable',
      '  stats uri /',
      '',
    ].join('\n')
    await writeFile(join(directory, 'haproxy.cfg'), configuration)
    await balancer.#process.start()
    return balancer
  }

  /** Resolves when it sends clients to so many. */
  async sendsTo(count: number): Promise<void> {
    await eventually(async () => {
      const answer = await fetch(`http://127.0.0.1:${this.#httpPort}/;csv`)
      return [...(await answer.text()).matchAll(/^pgwarden,w\d,.*,UP,/gm)].length === count
    }, 30_000)
  }

  async stop(): Promise<void> {
    await this.#process.kill()
    await rm(this.#directory, { recursive: true, force: true })
  }
}
