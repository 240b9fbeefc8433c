// A running pgwarden in front of a fresh database, as an operator would set it up: a configuration
// file, a store, the built-in broker. In this process, or in one of its own that can be killed.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client, type ClientConfig } from 'pg'
import type { TokenKind } from '../../src/access/access.ts'
import { operations } from '../../src/composition/server.ts'
import { connectedTo, type FreshDatabase, freshDatabase } from './databases.ts'
import { Run } from './executable.ts'
import { segmentsOf } from './journal-files.ts'
import { checkJournal } from './journal-schema.ts'
import { freePorts } from './ports.ts'

export interface WardenOptions {
  /** Run it as `node dist/main.js serve`; `build()` must have been called. */
  readonly ownProcess?: boolean
  /** Of its own process. Default info. */
  readonly logLevel?: string
  /** Its own process may make no file larger than this many blocks of 512 bytes. */
  readonly largestFile?: number
  /** Files beside the configuration, by name. */
  readonly files?: Readonly<Record<string, string>>
  /** YAML lines below `listen:`. */
  readonly listen?: readonly string[]
  /** Listeners besides: YAML lines of each. */
  readonly alsoListen?: readonly (readonly string[])[]
  /** YAML lines below `http:`. */
  readonly http?: readonly string[]
  /** YAML lines below the target `shop:`. */
  readonly shop?: readonly string[]
  /** YAML lines below `targets:`, after `shop: &shop`. */
  readonly targets?: readonly string[]
  /** Run once on the target database, as superuser. */
  readonly schema?: string
  /** Settings of the journal besides its directory, e.g. `segmentSize: 64KiB`. */
  readonly journal?: readonly string[]
  /** YAML lines below `limits:`. */
  readonly limits?: readonly string[]
  /** YAML lines below the target's `credentials:`, in the place of the broker. */
  readonly credentials?: readonly string[]
  /** YAML lines below `access:`. */
  readonly access?: readonly string[]
  /** YAML lines below `roles:`. */
  readonly roles?: readonly string[]
  /** YAML lines below `vault:`. */
  readonly vault?: readonly string[]
  /** In the place of rules that never slow or stop anybody, in YAML. */
  readonly failedLogins?: string
  /** Roles besides the predefined ones that the broker makes logins for. */
  readonly moreRoles?: readonly string[]
  /** YAML lines on the top level. */
  readonly sections?: readonly string[]
  /** Another one, whose store and target it shares. */
  readonly beside?: Warden
  /** Another server to reach the target through: a fake in front of the real one. */
  readonly targetPort?: number
  /** A way to the store's server that can be cut. */
  readonly storePort?: number
  /** YAML lines of the target in place of its host and port. */
  readonly servers?: readonly string[]
}

/** A line of the journal. */
export type JournalRecord = Readonly<Record<string, unknown>>

export class Warden {
  readonly port: number
  readonly httpPort: number
  readonly directory: string
  readonly configFile: string
  readonly journalDirectory: string
  readonly target: FreshDatabase
  readonly #store: FreshDatabase
  /** Whether the databases are its own to drop. */
  readonly #alone: boolean
  #stopping: { readonly asked: AbortController; readonly atOnce: AbortController } | undefined
  #serving: Promise<void> | undefined
  #largestFile: number | undefined
  run: Run | undefined

  private constructor(
    ports: readonly [number, number],
    directory: string,
    target: FreshDatabase,
    store: FreshDatabase,
    alone: boolean,
  ) {
    ;[this.port, this.httpPort] = ports
    this.directory = directory
    this.configFile = join(directory, 'pgwarden.yaml')
    this.journalDirectory = join(directory, 'journal')
    this.target = target
    this.#store = store
    this.#alone = alone
  }

  static async start(adminUrl: string, options: WardenOptions = {}): Promise<Warden> {
    const directory = await mkdtemp(join(tmpdir(), 'pgwarden-run-'))
    const { beside } = options
    const target = beside?.target ?? (await freshDatabase(adminUrl, 'shop'))
    const store = beside ? beside.#store : await freshDatabase(adminUrl, 'store')
    const ports = await freePorts()
    const warden = new Warden(ports, directory, target, store, beside === undefined)
    await warden.asSuperuser((client) => client.query(options.schema ?? ''))
    await writeFile(warden.configFile, warden.#config(adminUrl, options))
    for (const [name, text] of Object.entries(options.files ?? {})) {
      await writeFile(join(directory, name), text)
    }
    warden.#largestFile = options.largestFile
    await warden.serve(options.ownProcess === true)
    return warden
  }

  /** Starts (again) on the same configuration. */
  async serve(ownProcess: boolean): Promise<void> {
    if (ownProcess) {
      this.run = new Run(['serve', '--config', this.configFile], {
        largestFile: this.#largestFile,
      })
      await this.run.prints(String(this.port))
      return
    }
    const stopping = { asked: new AbortController(), atOnce: new AbortController() }
    await new Promise<void>((resolve, reject) => {
      this.#stopping = stopping
      this.#serving = operations.serve({
        configFile: this.configFile,
        stopping: { asked: stopping.asked.signal, atOnce: stopping.atOnce.signal },
        onReady: () => resolve(),
      })
      this.#serving.catch(reject)
    })
  }

  /** Changes the text of the configuration, for a reload or a restart to find. */
  async edit(change: (text: string) => string): Promise<void> {
    const text = await readFile(this.configFile, 'utf8')
    const changed = change(text)
    if (changed === text) throw new Error('nothing of the configuration was changed')
    await writeFile(this.configFile, changed)
  }

  /** Asks pgwarden to stop, as the first signal does. Resolves when it has; where it is a process, with its status. */
  async drain(): Promise<number | string | null> {
    this.#stopping?.asked.abort()
    await this.#serving
    if (this.run === undefined) return 0
    this.run.process.kill('SIGTERM')
    return this.run.ended()
  }

  /** Ends pgwarden and leaves everything else, as a restart in a hurry would: two signals. */
  async halt(): Promise<void> {
    this.#stopping?.asked.abort()
    this.#stopping?.atOnce.abort()
    await this.#serving
    if (this.run !== undefined && this.run.process.exitCode === null) {
      const ended = this.run.ended()
      this.run.process.kill('SIGTERM')
      // Beyond the time in which two signals are one wish.
      await Promise.race([ended, sleep(300)])
      this.run.process.kill('SIGTERM')
      await ended
    }
  }

  /** `damaged`: the test has laid hands on the journal; any other must be as it is promised. */
  async stop(journal: 'sound' | 'damaged' = 'sound'): Promise<void> {
    await this.halt()
    try {
      if (journal === 'sound') await checkJournal(this.journalDirectory)
    } finally {
      if (this.#alone) {
        await this.target.drop()
        await this.#store.drop()
      }
      await rm(this.directory, { recursive: true, force: true })
    }
  }

  /** Connection settings for the pg driver, with a new token. */
  async login(
    role: string,
    more: {
      readonly kind?: TokenKind
      readonly user?: string
      readonly forMs?: number
      readonly target?: string
    } = {},
  ): Promise<
    ClientConfig & { readonly user: string; readonly password: string; readonly grantId: string }
  > {
    const user = more.user ?? `user_${role}`
    const { token, grantId } = await operations.issueToken({
      configFile: this.configFile,
      principal: user,
      target: more.target ?? 'shop',
      role,
      forMs: more.forMs ?? 3_600_000,
      kind: more.kind ?? 'reusable',
      reason: 'integration test',
    })
    return {
      host: '127.0.0.1',
      port: this.port,
      database: 'shop',
      user,
      password: token.reveal(),
      grantId,
      connectionTimeoutMillis: 10_000,
    }
  }

  /** An open connection of the pg driver through the proxy. */
  async connect(role: string): Promise<Client> {
    const client = new Client(await this.login(role))
    // A session ended by the server is an event too; the test that expects it listens itself.
    client.on('error', () => undefined)
    await client.connect()
    return client
  }

  /** A libpq connection string. */
  async conninfo(role: string, more?: { readonly kind?: TokenKind }): Promise<string> {
    const { user, password } = await this.login(role, more)
    return `host=127.0.0.1 port=${this.port} dbname=shop user=${user} password=${password} sslmode=disable`
  }

  /** Directly at the target, past pgwarden. */
  async asSuperuser<T>(work: (client: Client) => Promise<T>): Promise<T> {
    return connectedTo(this.target.url, work)
  }

  get storeUrl(): string {
    return this.#store.url
  }

  /** Of the control plane. */
  get apiUrl(): URL {
    return new URL(`http://127.0.0.1:${this.httpPort}/`)
  }

  /** In the store's database. */
  async inStore<T>(work: (client: Client) => Promise<T>): Promise<T> {
    return connectedTo(this.#store.url, work)
  }

  /** The proxy's chain so far. */
  async journal(...types: readonly string[]): Promise<readonly JournalRecord[]> {
    return this.#chain('main', types)
  }

  /** The chain of what operators did. */
  async operatorJournal(...types: readonly string[]): Promise<readonly JournalRecord[]> {
    return this.#chain('operator', types)
  }

  #chain(chain: string, types: readonly string[]): readonly JournalRecord[] {
    return segmentsOf(this.journalDirectory)
      .filter(({ file }) => file.startsWith(`${chain}-`))
      .flatMap(({ lines }) => lines.map((line) => JSON.parse(line.toString()) as JournalRecord))
      .filter((record) => types.length === 0 || types.includes(String(record['type'])))
  }

  #config(adminUrl: string, options: WardenOptions): string {
    const admin = new URL(adminUrl)
    const store = new URL(this.#store.url)
    if (options.storePort !== undefined) store.port = String(options.storePort)
    const quote = JSON.stringify
    return [
      'listen:',
      ...[
        ['address: 127.0.0.1', `port: ${this.port}`, ...(options.listen ?? [])],
        ...(options.alsoListen ?? []),
      ].flatMap((listener) => listener.map((line, at) => `  ${at === 0 ? '-' : ' '} ${line}`)),
      'http:',
      `  port: ${this.httpPort}`,
      ...(options.http ?? []).map((line) => `  ${line}`),
      `store: { url: ${quote(store.href)} }`,
      `journal: { ${['directory: ./journal', ...(options.journal ?? [])].join(', ')} }`,
      // Tests fail to log in more often than people, and all from one address.
      `logins: ${options.failedLogins ?? '{ failures: 1000000, delay: off }'}`,
      ...(options.limits ?? []).map((line, at) => (at === 0 ? `limits:\n  ${line}` : `  ${line}`)),
      // In this process the log would mix with the test runner's output.
      options.ownProcess === true
        ? `log: { level: ${options.logLevel ?? 'info'} }`
        : 'log: { level: error }',
      ...(options.access ?? []).map((line, at) => (at === 0 ? `access:\n  ${line}` : `  ${line}`)),
      ...(options.roles ?? []).map((line, at) => (at === 0 ? `roles:\n  ${line}` : `  ${line}`)),
      ...(options.vault ?? []).map((line, at) => (at === 0 ? `vault:\n  ${line}` : `  ${line}`)),
      ...(options.sections ?? []),
      'targets:',
      '  shop: &shop',
      ...(
        options.servers ?? [
          `host: ${admin.hostname}`,
          `port: ${options.targetPort ?? (admin.port || 5432)}`,
        ]
      ).map((line) => `    ${line}`),
      `    database: ${this.target.name}`,
      ...(options.shop ?? []).map((line) => `    ${line}`),
      '    credentials:',
      ...(options.credentials ?? brokerLines(admin, options.moreRoles)).map(
        (line) => `      ${line}`,
      ),
      ...(options.targets ?? []).map((line) => `  ${line}`),
      '',
    ].join('\n')
  }
}

/** A superuser upstream: what holds here is pgwarden alone. */
function brokerLines(admin: URL, more: readonly string[] = []): readonly string[] {
  const user = JSON.stringify(decodeURIComponent(admin.username))
  return [
    'broker:',
    `  user: ${user}`,
    `  password: ${JSON.stringify(decodeURIComponent(admin.password))}`,
    `  owned: { reassignTo: ${user} }`,
    '  creation:',
    ...['read_only', 'read_limited_write', 'read_full_write', 'admin', ...more].map(
      (role) => `    ${role}: ['ALTER ROLE {{name}} SUPERUSER']`,
    ),
  ]
}
