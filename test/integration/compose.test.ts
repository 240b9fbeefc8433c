// deploy/compose without containers: its scripts and files as they are, on a PostgreSQL, a Vault and a NATS of the
// test's own. Only addresses and paths are exchanged for those of this machine.

import { execFile } from 'node:child_process'
import { chmod, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Client } from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { operations } from '../../src/composition/server.ts'
import { startEmbeddedPostgres } from '../../src/demo/embedded.ts'
import { eventually } from '../support/eventually.ts'
import { NatsServer } from '../support/nats-server.ts'
import { freePorts } from '../support/ports.ts'
import { findNatsServer, findPsql } from '../support/psql.ts'
import { describeWithOwnVault, startOwnVault } from '../support/vault.ts'

const execute = promisify(execFile)
const nats = findNatsServer()
const psql = findPsql()
const isComplete = nats !== undefined && psql !== undefined
if (!isComplete)
  console.warn('NOT RUN: the try-out of deploy/compose: psql or nats-server is missing')

describeWithOwnVault('the try-out', () => {
  if (!isComplete) return
  let directory: string
  let compose: string
  let secrets: string
  let configFile: string
  let proxyPort: number
  let server: NatsServer
  const stops: (() => Promise<void>)[] = []

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'pgwarden-try-out-'))
    // mkdtemp closes it to the account that runs PostgreSQL in the place of root.
    await chmod(directory, 0o711)
    stops.push(() => rm(directory, { recursive: true, force: true }))
    compose = join(directory, 'compose')
    secrets = join(compose, 'secrets')
    await cp('deploy/compose', compose, { recursive: true })
    await execute(join(compose, 'prepare.sh'))
    const postgres = await startEmbeddedPostgres({
      directory: join(directory, 'postgres'),
    })
    stops.push(() => postgres.stop())
    const vault = await startOwnVault()
    stops.push(() => vault.stop())
    await writeFile(join(secrets, 'vault-root-token'), vault.rootToken)
    server = await startNats()
    stops.push(() => server.stop())

    await execute(join(compose, 'postgres', '10-databases.sh'), {
      env: {
        ...process.env,
        SECRETS: secrets,
        PGHOST: '127.0.0.1',
        PGPORT: String(postgres.port),
        PGPASSWORD: postgres.password.reveal(),
      },
    })
    const database = `127.0.0.1:${postgres.port}`
    await setUpVault(vault.address, database)
    const storeUrl = await readFile(join(secrets, 'store-url'), 'utf8')
    await writeFile(join(secrets, 'store-url'), storeUrl.replace('postgres:5432', database))
    configFile = await configure({ vault: vault.address, port: postgres.port })
  }, 120_000)
  afterAll(async () => {
    for (const stop of stops.reverse()) await stop()
  })

  async function startNats(): Promise<NatsServer> {
    const text = await readFile(join(compose, 'nats.conf'), 'utf8')
    const names = ['auth.conf', 'nats.crt', 'nats.key'] as const
    const files = await Promise.all(
      names.map(async (name) => {
        const from = name === 'auth.conf' ? 'nats-auth.conf' : name
        return [name, await readFile(join(secrets, from), 'utf8')] as const
      }),
    )
    const more = text
      .replaceAll(/^(port|http|jetstream).*$/gm, '')
      .replaceAll('/run/secrets', 'DIRECTORY')
    return NatsServer.start(nats ?? '', more, Object.fromEntries(files))
  }

  /** With the tests' own `vault` on the PATH. */
  async function setUpVault(address: string, database: string): Promise<void> {
    const bin = join(directory, 'bin')
    await mkdir(bin)
    await mkdir(join(directory, 'login'))
    const command = join(process.cwd(), 'test/support/vault-command.mjs')
    await writeFile(join(bin, 'vault'), `#!/bin/sh\nexec node '${command}' "$@"\n`, { mode: 0o755 })
    const run = () =>
      execute(join(compose, 'vault', 'setup.sh'), {
        env: {
          PATH: `${bin}:${process.env['PATH']}`,
          VAULT_ADDR: address,
          DATABASE: database,
          SECRETS: secrets,
          LOGIN: join(directory, 'login'),
        },
      })
    await run()
    // As it is with each `docker compose up` while Vault goes on.
    const { stdout } = await run()
    expect(stdout).toContain('Vault has been set up already.')
  }

  async function configure(places: { readonly vault: string; readonly port: number }) {
    const [first, second] = await freePorts()
    const [third] = await freePorts()
    proxyPort = first
    let text = await readFile(join(compose, 'pgwarden.yaml'), 'utf8')
    const exchanged = {
      '/run/secrets/vault-login': join(directory, 'login'),
      '/run/secrets': secrets,
      '/var/lib/pgwarden': directory,
      '0.0.0.0': '127.0.0.1',
      'http://vault:8200': places.vault,
      'nats:4222': server.address,
      'host: postgres': `host: 127.0.0.1\n    port: ${places.port}`,
      'port: 6432': `port: ${first}`,
      'port: 8432': `port: ${second}`,
      'port: 9432': `port: ${third}`,
    }
    for (const [there, here] of Object.entries(exchanged)) {
      expect(text).toContain(there)
      text = text.replaceAll(there, here)
    }
    const file = join(directory, 'pgwarden.yaml')
    await writeFile(file, text)
    return file
  }

  it('is sound from end to end, as the doctor sees it', async () => {
    const found = []
    const options = { configFile, target: undefined, onStep: () => undefined }
    for await (const finding of operations.doctor({
      ...options,
      signal: AbortSignal.timeout(60_000),
    })) {
      found.push(finding)
    }
    expect(found.filter(({ result }) => result === 'fail')).toEqual([])
    expect(found.filter(({ message }) => message.includes('login'))).not.toEqual([])
  })

  it('lets somebody with a token read, over TLS, and its audit is in NATS', async () => {
    const stopping = new AbortController()
    let running: Promise<void> = Promise.resolve()
    await new Promise<void>((resolve, reject) => {
      const { signal } = stopping
      const both = { asked: signal, atOnce: signal }
      running = operations.serve({ configFile, stopping: both, onReady: () => resolve() })
      running.catch(reject)
    })
    try {
      const terms = {
        principal: 'alice',
        target: 'shop',
        role: 'read_only',
        reason: 'a try',
      } as const
      const issued = await operations.issueToken({
        ...terms,
        configFile,
        forMs: 600_000,
        kind: 'one-time',
      })
      const client = new Client({
        host: 'localhost',
        port: proxyPort,
        user: 'alice',
        database: 'shop',
        password: issued.token.reveal(),
        ssl: { ca: await readFile(join(secrets, 'ca.crt'), 'utf8') },
      })
      await client.connect()
      const { rows } = await client.query('select count(*)::int as orders from orders')
      expect(rows).toEqual([{ orders: 100 }])
      await expect(client.query('delete from orders')).rejects.toMatchObject({ code: '42501' })
      await client.end()
      const login = {
        token: await readFile(join(secrets, 'nats-token'), 'utf8'),
        tls: { caFile: join(secrets, 'ca.crt') },
      }
      await eventually(async () => {
        // The stream is made with the first records, which nobody has waited for.
        const stored = await server.stored('pgwarden', login).catch(() => [])
        const subjects = stored.map(({ subject }) => subject)
        return subjects.includes('pgwarden.audit.main.statement')
      })
    } finally {
      stopping.abort()
      await running
    }
  })
})
