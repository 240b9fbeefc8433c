// The data plane on a port of its own before a toy server, with a configuration that a test replaces. Who
// logs in has a grant for `shop` in the role `clerk`, whatever token is shown.

import net from 'node:net'
import type { Grant } from '../../src/access/access.ts'
import { Authorization } from '../../src/access/authorization.ts'
import { GrantChanges } from '../../src/access/grant-changes.ts'
import { Journal } from '../../src/audit/journal.ts'
import { usualRecording } from '../../src/audit/recording.ts'
import { systemClock } from '../../src/clock.ts'
import { Policy } from '../../src/policy/policy.ts'
import type { RoleDefinition } from '../../src/policy/roles.ts'
import { Listeners } from '../../src/proxy/listeners.ts'
import type { LeaseUse, Rulebook, Target } from '../../src/proxy/ports.ts'
import type { ServeDependencies } from '../../src/proxy/serve.ts'
import { Secret } from '../../src/secret.ts'
import { untraced } from '../../src/telemetry/tracing.ts'
import { emptyChain, MemoryStorage } from './memory-journal.ts'
import { shop, uncrowded } from './shop-target.ts'
import { silentMeter } from './silent-meter.ts'
import { ToyServer } from './toy-server.ts'
import { WireClient } from './wire-client.ts'

const grant: Grant = {
  id: 'g1',
  principal: 'alice',
  target: 'shop',
  role: 'clerk',
  startsAt: 0,
  endsAt: Number.MAX_SAFE_INTEGER,
  revokedAt: undefined,
  reason: 'test',
  requestId: undefined,
  relations: undefined,
  claims: {},
}
const nothing = (): undefined => undefined

function rulebookOf(clerk: Partial<RoleDefinition>, target: Partial<Target>): Rulebook {
  return {
    policy: new Policy([{ name: 'clerk', ...clerk }], { maxBytes: 1024 * 1024 }),
    targets: new Map([['shop', { ...shop, ...target }]]),
    recording: () => usualRecording,
    maxStatementBytes: 1024 * 1024,
    limits: uncrowded,
  }
}

export class ToyHouse {
  readonly storage = new MemoryStorage()
  /** That are open now. */
  sessions = 0
  /** What a login waits for before it has its upstream. */
  connecting = (): Promise<void> => Promise.resolve()
  readonly #journal = new Journal(this.storage, emptyChain, systemClock)
  readonly #rulebook: { current: Rulebook }
  readonly #server: net.Server
  readonly #listeners: Listeners
  #port = 0

  private constructor(clerk: Partial<RoleDefinition>) {
    this.#rulebook = { current: rulebookOf(clerk, {}) }
    this.#server = net.createServer((socket) => {
      const server = new ToyServer()
      socket.on('data', (chunk) => {
        for (const frame of server.push(Buffer.from(chunk))) socket.write(frame)
      })
      socket.on('error', nothing)
    })
    const door = { address: '127.0.0.1', port: 0, certificates: undefined }
    const limits = {
      startupTimeoutMs: 10_000,
      maxConnections: 100,
      maxConnectionsPerAddress: undefined,
      proxyProtocolFrom: [],
    }
    const plain = { allowPlaintextFrom: ['127.0.0.1/32'], authentication: 'password' } as const
    this.#listeners = new Listeners([{ ...door, ...limits, ...plain }], this.#dependencies())
  }

  static async open(clerk: Partial<RoleDefinition>): Promise<ToyHouse> {
    const house = new ToyHouse(clerk)
    await new Promise<void>((resolve) => house.#server.listen(0, '127.0.0.1', resolve))
    house.#port = (await house.#listeners.start())[0] ?? 0
    return house
  }

  /** Shows its token; what comes of that is still to be heard. */
  async knocks(): Promise<WireClient> {
    const client = await WireClient.dial(this.#port)
    client.startup({ user: 'alice', database: 'shop' })
    await client.hears('authenticationCleartextPassword')
    client.says({ type: 'password', data: Buffer.from('token\0') })
    return client
  }

  async logsIn(): Promise<WireClient> {
    const client = await this.knocks()
    await client.hears('readyForQuery')
    return client
  }

  /** The configuration is another one from now on. */
  replace(clerk: Partial<RoleDefinition>, target: Partial<Target> = {}): void {
    this.#rulebook.current = rulebookOf(clerk, target)
    this.#listeners.reloaded()
  }

  async close(): Promise<void> {
    await this.#listeners.stop()
    this.#server.close()
  }

  #dependencies(): ServeDependencies {
    const changes = new GrantChanges()
    const authorization = Authorization.mint(grant, 't1', '127.0.0.1', changes)
    return {
      tokens: {
        verify: () =>
          Promise.resolve({ type: 'authorized', authorization, serverFinal: undefined }),
      },
      guard: {
        lockedUntil: () => Promise.resolve(undefined),
        failed: () => Promise.resolve(0),
        succeeded: nothing,
      },
      credentials: {
        acquire: () => Promise.resolve(lease),
        extendGrant: () => Promise.resolve(),
        endGrant: () => Promise.resolve(),
      },
      upstream: {
        connect: async () => {
          await this.connecting()
          return {
            socket: await this.#connected(),
            server: 'toy:5432',
            processId: 1,
            cancelKey: Buffer.alloc(0),
            greeting: Buffer.alloc(0),
            reported: new Map(),
            serverVersion: 180000,
            rest: Buffer.alloc(0),
            cancel: () => Promise.resolve(true),
          }
        },
      },
      rulebook: this.#rulebook,
      journal: this.#journal,
      publicUrl: undefined,
      sittings: { opened: nothing, closed: nothing },
      catalogs: { of: nothing, ready: () => Promise.resolve(), changed: nothing },
      notices: { others: 0, tell: () => Promise.resolve(false), hear: nothing },
      changes,
      grants: { grantStates: () => Promise.resolve([]) },
      registry: {
        opened: () => void this.sessions++,
        closed: () => void this.sessions--,
      },
      clock: systemClock,
      meter: silentMeter,
      tracing: untraced,
      log: { debug: nothing, info: nothing, warn: nothing, error: nothing },
    }
  }

  async #connected(): Promise<net.Socket> {
    const address = this.#server.address()
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0
    const socket = net.connect({ host: '127.0.0.1', port, allowHalfOpen: true })
    await new Promise((resolve) => socket.once('connect', resolve))
    return socket
  }
}

const lease: LeaseUse = {
  lease: {
    id: 'l1',
    grantId: 'g1',
    user: 'pgw_1',
    password: new Secret('x'),
    vaultLease: undefined,
  },
  opened: nothing,
  released: nothing,
  refused: () => false,
  remainingMs: undefined,
}
