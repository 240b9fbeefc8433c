// Somebody for the doctor: databases, roles and a configuration in a file of its own, sound until a test
// breaks something. Nothing runs on it. What the doctor has said is remembered, to be searched for secrets.

import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { operations } from '../../src/composition/server.ts'
import { connectedTo, type FreshDatabase, freshDatabase } from './databases.ts'

export type Finding = Awaited<ReturnType<typeof examinedAll>>[number]

/** Names of roles are the server's, not the database's. */
interface Roles {
  readonly reader: string
  readonly broker: string
  readonly monitor: string
}

type Settings = Readonly<Record<string, unknown>>

export class Deployment {
  readonly directory: string
  readonly target: FreshDatabase
  readonly store: FreshDatabase
  readonly roles: Roles
  /** Of broker and monitor. */
  readonly password = `hidden-${randomBytes(6).toString('hex')}`
  /** Everything that the doctor has ever said of it. */
  said = ''

  private constructor(directory: string, target: FreshDatabase, store: FreshDatabase) {
    this.directory = directory
    this.target = target
    this.store = store
    const unique = randomBytes(4).toString('hex')
    this.roles = {
      reader: `reader_${unique}`,
      broker: `broker_${unique}`,
      monitor: `monitor_${unique}`,
    }
  }

  static async make(adminUrl: string): Promise<Deployment> {
    const directory = await mkdtemp(join(tmpdir(), 'pgwarden-doctor-'))
    const target = await freshDatabase(adminUrl, 'deployment')
    const store = await freshDatabase(adminUrl, 'store')
    const deployment = new Deployment(directory, target, store)
    const { reader, broker, monitor } = deployment.roles
    await deployment.sql(`
      create role ${reader} nologin;
      create role ${broker} login createrole password '${deployment.password}';
      grant ${reader} to ${broker} with admin option;
      create role ${monitor} login password '${deployment.password}';
      grant pg_signal_backend, pg_read_all_stats to ${monitor}`)
    return deployment
  }

  /** As superuser in the target database. */
  async sql(text: string): Promise<void> {
    await connectedTo(this.target.url, (client) => client.query(text))
  }

  /** The sound configuration of a target whose logins come from the broker. */
  brokered(): Settings {
    const { reader, broker, monitor } = this.roles
    return {
      broker: {
        user: broker,
        password: this.password,
        owned: { reassignTo: reader },
        creation: { read_only: [`GRANT ${reader} TO {{name}}`] },
      },
      monitor: { user: monitor, password: this.password },
    }
  }

  /** What the doctor says, with these settings in the place of the sound ones. */
  examined(
    target: Settings = {},
    general: Settings = {},
    signal: AbortSignal = AbortSignal.timeout(60_000),
    onStep: (step: string) => void = () => undefined,
  ): Promise<readonly Finding[]> {
    return this.#examined(target, general, signal, onStep)
  }

  /** Where the configuration is written. */
  get configFile(): string {
    return join(this.directory, 'pgwarden.yaml')
  }

  async remove(): Promise<void> {
    await this.target.drop()
    await this.store.drop()
    const { reader, broker, monitor } = this.roles
    const server = new URL(this.target.url)
    server.pathname = '/postgres'
    await connectedTo(server.href, (client) =>
      client.query(`drop role ${broker}; drop role ${monitor}; drop role ${reader}`),
    )
    await rm(this.directory, { recursive: true, force: true })
  }

  async #examined(
    target: Settings,
    general: Settings,
    signal: AbortSignal,
    onStep: (step: string) => void,
  ): Promise<readonly Finding[]> {
    const { hostname, port } = new URL(this.target.url)
    const settings = {
      store: { url: this.store.url },
      journal: { directory: 'journal' },
      targets: {
        shop: {
          host: hostname,
          port: Number(port),
          database: this.target.name,
          credentials: this.brokered(),
          ...target,
        },
      },
      ...general,
    }
    // JSON is YAML.
    await writeFile(this.configFile, JSON.stringify(settings, undefined, 1))
    const findings = await examinedAll(this.configFile, signal, onStep)
    this.said += JSON.stringify(findings)
    return findings
  }
}

async function examinedAll(
  configFile: string,
  signal: AbortSignal,
  onStep: (step: string) => void,
) {
  const findings = []
  for await (const finding of operations.doctor({
    configFile,
    target: undefined,
    signal,
    onStep,
  })) {
    findings.push(finding)
  }
  return findings
}

/** Those of the result: subject, message and advice. */
export function lines(
  findings: readonly Finding[],
  ...results: readonly Finding['result'][]
): readonly string[] {
  return findings
    .filter(({ result }) => results.includes(result))
    .map(({ subject, message, advice = '' }) => `${subject}: ${message} / ${advice}`)
}
