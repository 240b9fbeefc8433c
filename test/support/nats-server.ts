// A real nats-server with JetStream. Ignorant of what is published.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream'
import {
  connect,
  createInbox,
  type NatsConnection,
  type NodeConnectionOptions,
} from '@nats-io/transport-node'
import { freePort } from './ports.ts'
import { ServerProcess } from './server-process.ts'

/** What a test sees of a stream. */
export interface Stored {
  readonly subject: string
  readonly event: string
  readonly text: string
}

export class NatsServer {
  readonly address: string
  readonly process: ServerProcess
  readonly #directory: string
  readonly #port: number

  private constructor(program: string, directory: string, port: number) {
    this.#directory = directory
    this.#port = port
    this.address = `127.0.0.1:${port}`
    this.process = new ServerProcess({
      program,
      words: ['-c', join(directory, 'nats.conf')],
      port,
      logFile: join(directory, 'nats.log'),
    })
  }

  /** `more`: lines of its configuration; `files`: beside it, by name. */
  static async start(
    program: string,
    more = '',
    files: Readonly<Record<string, string>> = {},
  ): Promise<NatsServer> {
    const directory = await mkdtemp(join(tmpdir(), 'pgwarden-nats-'))
    const server = new NatsServer(program, directory, await freePort())
    for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text)
    await server.configure(more)
    await server.process.start()
    return server
  }

  /** In force with its next start, or when it is told to reload. */
  async configure(more: string): Promise<void> {
    await writeFile(
      join(this.#directory, 'nats.conf'),
      `listen: 127.0.0.1:${this.#port}\njetstream { store_dir: "${this.#directory}/store" }\n${more.replaceAll('DIRECTORY', this.#directory)}\n`,
    )
  }

  async asManager<T>(
    work: (manager: JetStreamManager, connection: NatsConnection) => Promise<T>,
    options: NodeConnectionOptions = {},
  ): Promise<T> {
    const connection = await connect({ servers: this.address, ...options })
    try {
      return await work(await jetstreamManager(connection), connection)
    } finally {
      await connection.close()
    }
  }

  /** All that a stream has, in its order. */
  stored(stream: string, options: NodeConnectionOptions = {}): Promise<Stored[]> {
    return this.asManager(async (manager, connection) => {
      const { state } = await manager.streams.info(stream)
      const all: Stored[] = []
      if (state.messages === 0) return all
      const inbox = createInbox()
      const messages = connection.subscribe(inbox)
      await manager.consumers.add(stream, { deliver_subject: inbox })
      for await (const message of messages) {
        const event = message.headers?.get('Nats-Msg-Id') ?? ''
        all.push({ subject: message.subject, event, text: message.string() })
        if (all.length === state.messages) break
      }
      return all
    }, options)
  }

  async stop(): Promise<void> {
    await this.process.kill()
    await rm(this.#directory, { recursive: true, force: true })
  }
}
