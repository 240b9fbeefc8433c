// A real Kafka broker, alone and its own controller (KRaft), where the machine has Java: in the clear, and
// by SASL over TLS beside it. Ignorant of what is produced.

import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Admin, Kafka, logLevel } from 'kafkajs'
import { certify } from './certificates.ts'
import { freePort, freePorts } from './ports.ts'
import { ServerProcess } from './server-process.ts'

const run = promisify(execFile)
const buildScript = fileURLToPath(new URL('../kafka-server/build.sh', import.meta.url))

/** The folder of its jars, or why there is none. */
export type Jars =
  | { readonly type: 'found'; readonly path: string }
  | { readonly type: 'none'; readonly why: string }

/** Fetches them once. */
export async function findKafka(): Promise<Jars> {
  try {
    const { stdout } = await run(buildScript)
    return { type: 'found', path: stdout.trim() }
  } catch (error) {
    const said = error instanceof Error && 'stderr' in error ? String(error.stderr) : String(error)
    return { type: 'none', why: said.trim() }
  }
}

export interface Produced {
  readonly key: string
  readonly event: string
  readonly partition: number
  readonly text: string
}

/** Known at the listener with SASL. */
export const kafkaLogin = { user: 'audit', password: 'audit-secret' }

export class KafkaServer {
  readonly address: string
  readonly saslAddress: string
  /** PEM: whom to believe there. */
  readonly ca: string
  readonly process: ServerProcess
  readonly #directory: string
  readonly #kafka: Kafka

  private constructor(
    jars: string,
    directory: string,
    ports: readonly [number, number],
    ca: string,
  ) {
    this.#directory = directory
    this.address = `127.0.0.1:${ports[0]}`
    this.saslAddress = `127.0.0.1:${ports[1]}`
    this.ca = ca
    this.#kafka = new Kafka({ brokers: [this.address], logLevel: logLevel.NOTHING })
    this.process = new ServerProcess({
      program: 'java',
      words: java(jars, 'kafka.Kafka', join(directory, 'server.properties')),
      port: ports[0],
      logFile: join(directory, 'kafka.log'),
    })
  }

  static async start(jars: string): Promise<KafkaServer> {
    const directory = await mkdtemp(join(tmpdir(), 'pgwarden-kafka-'))
    const authority = await certify('kafka authority', { isAuthority: true })
    const { certificate, key } = await certify('kafka', { by: authority, names: ['127.0.0.1'] })
    await writeFile(join(directory, 'server.pem'), key + certificate)
    const ports = await freePorts()
    const file = join(directory, 'server.properties')
    await writeFile(file, properties(directory, ports, await freePort()))
    const { user, password } = kafkaLogin
    const words = ['format', '-t', 'MkU3OEVBNTcwNTJENDM2Qg', '-c', file, '-S']
    await run(
      'java',
      java(
        jars,
        'kafka.tools.StorageTool',
        ...words,
        `SCRAM-SHA-512=[name=${user},password=${password}]`,
      ),
    )
    const server = new KafkaServer(jars, directory, ports, authority.certificate)
    await server.process.start()
    return server
  }

  async asAdmin<T>(work: (admin: Admin) => Promise<T>): Promise<T> {
    const admin = this.#kafka.admin()
    await admin.connect()
    try {
      return await work(admin)
    } finally {
      await admin.disconnect()
    }
  }

  /** All that a topic has, partition by partition, each in its order. */
  async produced(topic: string): Promise<Produced[]> {
    const offsets = await this.asAdmin((admin) => admin.fetchTopicOffsets(topic))
    const total = offsets.reduce((sum, { high }) => sum + Number(high), 0)
    const all: Produced[] = []
    const consumer = this.#kafka.consumer({ groupId: `test-${Math.random()}` })
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    await new Promise<void>((resolve, reject) => {
      const eachMessage = ({ partition, message }: Delivered): Promise<void> => {
        all.push({
          key: String(message.key),
          event: String(message.headers?.['event']),
          partition,
          text: String(message.value),
        })
        if (all.length === total) resolve()
        return Promise.resolve()
      }
      consumer.run({ eachMessage }).catch(reject)
    })
    await consumer.disconnect()
    return all.toSorted((one, other) => one.partition - other.partition)
  }

  async stop(): Promise<void> {
    await this.process.kill()
    await rm(this.#directory, { recursive: true, force: true })
  }
}

interface Delivered {
  readonly partition: number
  readonly message: {
    readonly key: Buffer | null
    readonly value: Buffer | null
    readonly headers?: Readonly<Record<string, unknown>>
  }
}

function java(jars: string, ...words: readonly string[]): string[] {
  return ['-Xmx256m', '-XX:TieredStopAtLevel=1', '-cp', `${jars}/*`, ...words]
}

function properties(
  directory: string,
  [clear, sasl]: readonly [number, number],
  control: number,
): string {
  return `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:${control}
listeners=CLEAR://127.0.0.1:${clear},SASL://127.0.0.1:${sasl},CONTROLLER://127.0.0.1:${control}
controller.listener.names=CONTROLLER
inter.broker.listener.name=CLEAR
listener.security.protocol.map=CONTROLLER:PLAINTEXT,CLEAR:PLAINTEXT,SASL:SASL_SSL
listener.name.sasl.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl.ssl.keystore.type=PEM
listener.name.sasl.ssl.keystore.location=${directory}/server.pem
log.dirs=${directory}/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
num.partitions=3
group.initial.rebalance.delay.ms=0
`
}
