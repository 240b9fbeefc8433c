// A pgwarden with a bit of everything that is measured, people and programs who work through it, and what can
// befall it. Ignorant of who watches.

import { generateKeyPairSync, randomBytes } from 'node:crypto'
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client, type ClientConfig } from 'pg'
import { operations } from '../../src/composition/server.ts'
import { encodeCancelRequest } from '../../src/wire/startup.ts'
import { certify } from './certificates.ts'
import { type Forwarder, join, listenWith } from './forwarder.ts'
import { accessLines, introduce, type Person } from './people.ts'
import { freePort, freePorts } from './ports.ts'
import { Warden } from './warden.ts'

interface Scene {
  readonly warden: Warden
  /** The way to the target. */
  readonly way: Forwarder
  /** Of the small listener with TLS. */
  readonly port: number
  readonly metricsPort: number
  readonly alice: Person
  readonly bob: Person
}

export const metricsToken = 'a-token-for-whoever-scrapes-metrics'
/** How many the small listener takes. */
const places = 2
const paceMs = 150

export class MonitoredShop {
  readonly warden: Warden
  readonly #scene: Scene
  readonly #grants: string[] = []
  #day: Promise<void> | undefined
  #trying: Promise<void> | undefined
  #isOver = false

  private constructor(scene: Scene) {
    this.warden = scene.warden
    this.#scene = scene
  }

  static async start(adminUrl: string): Promise<MonitoredShop> {
    const server = new URL(adminUrl)
    const way = await listenWith((client) => {
      join(client, net.connect(Number(server.port || 5432), server.hostname))
    })
    const [port, metricsPort] = await freePorts()
    const nobody = `http://127.0.0.1:${await freePort()}`
    const tls = await certify('localhost', { notAfter: new Date(Date.now() + 36 * 3_600_000) })
    const { privateKey } = generateKeyPairSync('ed25519')
    const warden = await Warden.start(adminUrl, {
      ...{ ownProcess: true, targetPort: way.port },
      http: [`metrics: { port: ${metricsPort}, token: ${metricsToken} }`],
      // Far from reached, but whoever has a limit is told of it by an error and not killed.
      largestFile: 2_000_000,
      schema: 'create table items (n int)',
      files: {
        'server.crt': tls.certificate,
        'server.key': tls.key,
        'audit.pem': privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
        'vault-token': 'hvs.nobodyWouldTakeThis',
      },
      alsoListen: [
        [
          `port: ${port}`,
          `maxConnections: ${places}`,
          'tls: { certificate: server.crt, key: server.key }',
        ],
      ],
      journal: ['checkpoints: { every: 1s, key: { file: audit.pem } }'],
      access: accessLines,
      vault: [
        `addresses: ['${nobody}']`,
        'auth: { method: token, token: { file: vault-token } }',
        ...['timeout: 1s', 'waitFor: 1s'],
      ],
      targets: [
        'bank:',
        '  <<: *shop',
        '  catalog: { snapshot: false }',
        '  credentials: { vault: { mount: database, roles: { read_only: bank } } }',
      ],
      sections: [
        'audit:',
        '  roles: { read_limited_write: { fsync: batch } }',
        '  sinks: [{ file: { path: ./shipped.jsonl } }]',
        'notifications:',
        `  - webhook: { url: '${nobody}', secret: 'whsec_${randomBytes(32).toString('base64')}' }`,
      ],
    })
    const alice = await introduce(warden, 'alice', { groups: ['developers'] })
    const bob = await introduce(warden, 'bob', { groups: ['managers'] })
    return new MonitoredShop({ warden, way, port, metricsPort, alice, bob })
  }

  get metricsPort(): number {
    return this.#scene.metricsPort
  }

  /** Of the small listener, as metrics name it. */
  get address(): string {
    return `127.0.0.1:${this.#scene.port}`
  }

  /** What people and programs do all day, whatever befalls them. */
  open(): void {
    this.#day = this.#work()
  }

  /** Nobody else gets into the small listener until what this returns is called. */
  async fill(): Promise<() => Promise<void>> {
    const login = { ...(await this.warden.login('read_only')), port: this.#scene.port }
    const clients = await Promise.all(Array.from({ length: places }, () => connected(login)))
    await connected(login).catch(() => undefined)
    return async () => {
      for (const client of clients) await client.end()
    }
  }

  /** Whether somebody gets in and has a statement run. */
  async letsIn(): Promise<boolean> {
    try {
      const client = await connected(await this.#grant())
      await client.query('select 1')
      await client.end()
      return true
    } catch {
      return false
    }
  }

  /**
   * The target is away from now on, and somebody's access is taken back. Who has a database login goes on trying to
   * get in, and so does who needs one.
   */
  async cutOff(): Promise<void> {
    const [known, fresh] = [await this.#grant(), await this.#grant()]
    const revoked = await this.#grant()
    for (const login of [known, revoked]) await (await connected(login)).end()
    await this.#scene.way.close()
    await this.#revoke(0)
    this.#trying = this.#tries([known, fresh])
  }

  async close(): Promise<void> {
    this.#isOver = true
    await Promise.all([this.#day, this.#trying])
    await this.#scene.way.close().catch(() => undefined)
    // It was killed in the middle of its work.
    await this.warden.stop('damaged')
  }

  async #work(): Promise<void> {
    const reader = await connected(await this.warden.login('read_only'))
    const writer = await connected(await this.warden.login('read_limited_write'))
    for (let turn = 0; !this.#isOver; turn++) {
      await Promise.allSettled([
        reader.query(`select ${turn} as n`),
        reader.query('delete from items'),
        writer.query('insert into items values (1)'),
        this.#stranger(),
        this.#asks(),
        turn % 4 === 0 ? this.#comesAndGoes() : undefined,
        sleep(paceMs),
      ])
    }
    await Promise.allSettled([reader.end(), writer.end()])
  }

  async #tries(logins: readonly ClientConfig[]): Promise<void> {
    while (!this.#isOver) {
      for (const login of logins) {
        const client = await connected(login).catch(() => undefined)
        await client?.end()
      }
      await sleep(paceMs)
    }
  }

  async #comesAndGoes(): Promise<void> {
    const client = await connected(await this.#grant())
    await client.end()
    await this.#revoke(0)
  }

  async #grant(): Promise<ClientConfig> {
    const login = await this.warden.login('read_only')
    this.#grants.push(login.grantId)
    return login
  }

  /** The grant that was given last. */
  async #revoke(waitMs: number): Promise<void> {
    await operations.revokeGrant({
      ...{ configFile: this.warden.configFile, grantId: this.#grants.pop() ?? '', waitMs },
      ...{ reason: 'the day is over', onWaiting: () => undefined },
    })
  }

  /** Somebody with a bad token, who also guesses keys of sessions. */
  async #stranger(): Promise<void> {
    const { port } = this.warden
    const guess = { host: '127.0.0.1', port, database: 'shop', user: 'mallory', password: 'pgw_x' }
    await connected(guess).catch(() => undefined)
    await new Promise((resolve) => {
      const socket = net.connect(port, '127.0.0.1')
      socket.on('error', resolve).on('close', resolve)
      socket.end(encodeCancelRequest(1, randomBytes(4)))
    })
  }

  async #asks(): Promise<void> {
    const { alice, bob } = this.#scene
    const terms = { target: 'shop', role: 'read_limited_write', reason: 'order 1234' }
    await alice.at(this.warden).request({ ...terms, durationSeconds: 600 })
    const { id } = await alice.at(this.warden).request(terms)
    await bob.at(this.warden).decide(id, 'deny', 'not today')
  }
}

/** An open connection; whoever it is taken from is told nothing. */
async function connected(login: ClientConfig): Promise<Client> {
  const client = new Client(login)
  client.on('error', () => undefined)
  await client.connect()
  return client
}
