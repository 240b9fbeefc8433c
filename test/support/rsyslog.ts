// A real rsyslogd that takes RFC 5425 and writes what it has read of each message as JSON.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Pair } from './certificates.ts'
import { parseLine } from './memory-journal.ts'
import { freePort } from './ports.ts'
import { ServerProcess } from './server-process.ts'

export class Rsyslog {
  readonly port: number
  readonly process: ServerProcess
  readonly #directory: string

  private constructor(program: string, directory: string, port: number) {
    this.port = port
    this.#directory = directory
    this.process = new ServerProcess({
      program,
      words: ['-n', '-f', join(directory, 'rsyslog.conf'), '-i', join(directory, 'rsyslog.pid')],
      port,
      logFile: join(directory, 'rsyslog.log'),
    })
  }

  static async start(program: string, authority: Pair, own: Pair): Promise<Rsyslog> {
    const directory = await mkdtemp(join(tmpdir(), 'pgwarden-rsyslog-'))
    const server = new Rsyslog(program, directory, await freePort())
    const files = { ca: authority.certificate, certificate: own.certificate, key: own.key }
    for (const [name, pem] of Object.entries(files)) await writeFile(join(directory, name), pem)
    await writeFile(join(directory, 'rsyslog.conf'), server.#configuration)
    await server.process.start()
    return server
  }

  /** What it has written so far. */
  async messages(): Promise<readonly Readonly<Record<string, unknown>>[]> {
    const text = await readFile(join(this.#directory, 'messages'), 'utf8').catch(() => '')
    return text.split('\n').slice(0, -1).map(parseLine)
  }

  async stop(): Promise<void> {
    await this.process.kill()
    await rm(this.#directory, { recursive: true, force: true })
  }

  get #configuration(): string {
    const at = this.#directory
    return `
global(workDirectory="${at}" maxMessageSize="128k" defaultNetstreamDriver="ossl"
  defaultNetstreamDriverCAFile="${at}/ca" defaultNetstreamDriverCertFile="${at}/certificate"
  defaultNetstreamDriverKeyFile="${at}/key")
module(load="imtcp" streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="x509/certvalid")
input(type="imtcp" address="127.0.0.1" port="${this.port}")
template(name="read" type="list" option.jsonf="on") {
  property(outname="priority" name="pri" format="jsonf")
  property(outname="app" name="app-name" format="jsonf")
  property(outname="id" name="msgid" format="jsonf")
  property(outname="data" name="structured-data" format="jsonf")
  property(outname="text" name="msg" format="jsonf")
}
action(type="omfile" file="${at}/messages" template="read")
`
  }
}
