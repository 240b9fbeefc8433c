// Prepares all that the demo needs before the proxy can start: a directory, a PostgreSQL with the
// sample database and one for pgwarden's own store, and a configuration. Ignorant of the proxy: what
// runs on the configuration is the same `serve` as anywhere.

import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { Client } from 'pg'
import { Failure } from '../errors.ts'
import { demoConfig } from './config.ts'
import { claimDirectory, defaultDirectory, removeDirectory } from './directory.ts'
import { awaitPredecessor, type EmbeddedPostgres, startEmbeddedPostgres } from './embedded.ts'
import { fillShop, shopOwner } from './shop.ts'

export interface DemoOptions {
  /** Where everything is kept; a place of this account's own when absent. */
  readonly directory?: string
  /** The proxy's port, and the one of its HTTP interface. */
  readonly port: number
  readonly httpPort: number
  /** Forget an earlier demo. */
  readonly reset: boolean
  readonly env: Readonly<Record<string, string | undefined>>
  /** Hears what is being done: a few words, e.g. `Starting PostgreSQL`. */
  readonly onStep: (step: string) => void
}

/** Somebody who is to have a grant, and an API key. */
interface Person {
  readonly principal: string
  readonly occupation: string
  /** As an identity provider would have them; the configuration says what they may. */
  readonly groups: readonly string[]
  readonly role: string
  readonly reason: string
}

export interface PreparedDemo {
  readonly directory: string
  readonly configFile: string
  readonly journalDirectory: string
  /** The target that the people are to reach. */
  readonly target: string
  readonly people: readonly Person[]
  /** Stops PostgreSQL. To be called when the proxy has stopped. */
  stop(): Promise<void>
}

const people: readonly Person[] = [
  {
    principal: 'alice',
    occupation: 'developer',
    groups: ['developers'],
    role: 'read_only',
    reason: 'Look into a wrong total on the orders page',
  },
  {
    principal: 'bob',
    occupation: 'manager',
    groups: ['managers'],
    role: 'read_limited_write',
    reason: 'Correct the address of a customer',
  },
  {
    principal: 'carol',
    occupation: 'CISO',
    groups: ['security'],
    role: 'read_full_write',
    reason: 'Add a table of who saw which customer',
  },
  {
    principal: 'dave',
    occupation: 'DBA',
    groups: ['dbas', 'pgwarden-admins', 'auditors'],
    role: 'admin',
    reason: 'Give the reporting tool an account',
  },
]

/** @throws Failure with a sentence for whatever is in the way; then nothing is left running. */
export async function prepareDemo(options: DemoOptions): Promise<PreparedDemo> {
  const { port, httpPort, reset, onStep } = options
  await assertFree(port, '--port')
  await assertFree(httpPort, '--http-port')
  const path = options.directory ?? defaultDirectory(options.env)
  if (reset) {
    await awaitPredecessor(path)
    await removeDirectory(path)
  }
  const directory = await claimDirectory(path)
  onStep('Starting PostgreSQL')
  const postgres = await startEmbeddedPostgres({ directory })
  try {
    await createDatabases(postgres, onStep)
    const configFile = join(directory, 'pgwarden.yaml')
    const journalDirectory = join(directory, 'journal')
    const storeUrlFile = join(directory, 'store-url')
    await writeFile(storeUrlFile, `${postgres.url('pgwarden').reveal()}\n`, { mode: 0o600 })
    await writeFile(
      configFile,
      demoConfig({
        port,
        httpPort,
        postgresPort: postgres.port,
        postgresUser: postgres.user,
        passwordFile: postgres.passwordFile,
        storeUrlFile,
        journalDirectory,
      }),
    )
    const stop = () => postgres.stop()
    return { directory, configFile, journalDirectory, target: 'shop', people, stop }
  } catch (error) {
    await postgres.stop()
    throw error
  }
}

async function createDatabases(
  postgres: EmbeddedPostgres,
  onStep: (step: string) => void,
): Promise<void> {
  await connected(postgres, 'postgres', async (client) => {
    const exists = async (query: string) => (await client.query(query)).rowCount !== 0
    if (!(await exists(`select from pg_roles where rolname = '${shopOwner}'`))) {
      await client.query(`create role ${shopOwner} nologin`)
    }
    if (!(await exists(`select from pg_database where datname = 'pgwarden'`))) {
      await client.query('create database pgwarden')
      // The people's database roles have no business in the store.
      await client.query('revoke all on database pgwarden from public')
    }
    if (!(await exists(`select from pg_database where datname = 'shop'`))) {
      await client.query(`create database shop owner ${shopOwner}`)
    }
  })
  await connected(postgres, 'shop', async (client) => {
    const { rowCount } = await client.query(`select where to_regclass('customers') is not null`)
    if (rowCount !== 0) return
    onStep('Filling the sample database "shop"')
    await fillShop(client)
  })
}

async function connected(
  postgres: EmbeddedPostgres,
  database: string,
  work: (client: Client) => Promise<void>,
): Promise<void> {
  const client = new Client({ connectionString: postgres.url(database).reveal() })
  await client.connect()
  try {
    await work(client)
  } finally {
    await client.end()
  }
}

/** Asked up front, so that a busy port costs a second and not a half-started demo. */
async function assertFree(port: number, option: string): Promise<void> {
  const probe = createServer()
  try {
    probe.listen(port, '127.0.0.1')
    await once(probe, 'listening')
  } catch (cause) {
    const message = `port ${port} of 127.0.0.1 is in use by another program`
    const hint = `Stop that program (another demo, perhaps), or choose another port with ${option}.`
    throw new Failure('invalid_configuration', { message, hint }, { cause })
  }
  probe.close()
  await once(probe, 'close')
}
