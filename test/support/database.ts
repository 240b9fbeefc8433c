// vitest's globalSetup of the integration project: one PostgreSQL for all files. In this order:
// TEST_DATABASE_URL (a superuser's URL of an existing server); a container, where TEST_USE_DOCKER=1
// and an engine answers; else the embedded server. There is no fourth way: without a database the
// tests fail, never skip.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import type { TestProject } from 'vitest/node'
import { startEmbeddedPostgres } from '../../src/demo/embedded.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    /** Connection string of a superuser, for the database `postgres` or the one that was given. */
    readonly adminUrl: string
    /** The server's log, with every statement, where the server is the embedded one. */
    readonly serverLog: string | undefined
  }
}

interface TestServer {
  readonly adminUrl: string
  readonly serverLog?: string
  stop(): Promise<void>
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await chooseServer()
  await prove(server.adminUrl)
  project.provide('adminUrl', server.adminUrl)
  project.provide('serverLog', server.serverLog)
  process.env['TEST_ADMIN_URL'] = server.adminUrl
  return () => server.stop()
}

async function chooseServer(): Promise<TestServer> {
  const given = process.env['TEST_DATABASE_URL']
  if (given !== undefined && given !== '') return { adminUrl: given, stop: async () => {} }
  if (process.env['TEST_USE_DOCKER'] !== '1') return startEmbedded()
  return startContainer().catch((error: unknown) => {
    console.warn(
      'TEST_USE_DOCKER=1, but no container can be had; taking the embedded server.',
      error,
    )
    return startEmbedded()
  })
}

async function startContainer(): Promise<TestServer> {
  const { GenericContainer, Wait } = await import('testcontainers')
  const password = 'integration'
  const container = await new GenericContainer('postgres:17')
    .withEnvironment({ POSTGRES_PASSWORD: password })
    .withCommand(['postgres', '-c', 'max_connections=200', '-c', 'fsync=off'])
    .withExposedPorts(5432)
    // Twice: the image's first server only initialises.
    .withWaitStrategy(Wait.forLogMessage(/ready to accept connections/, 2))
    .start()
  const address = `${container.getHost()}:${container.getMappedPort(5432)}`
  return {
    adminUrl: `postgres://postgres:${password}@${address}/postgres`,
    stop: async () => {
      await container.stop()
    },
  }
}

async function startEmbedded(): Promise<TestServer> {
  const directory = await mkdtemp(join(tmpdir(), 'pgwarden-test-'))
  const server = await startEmbeddedPostgres({
    directory,
    settings: { max_connections: '200', log_statement: 'all' },
  })
  return {
    adminUrl: server.url('postgres').reveal(),
    serverLog: server.logFile,
    stop: async () => {
      await server.stop()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

async function prove(url: string): Promise<void> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 10_000 })
  try {
    await client.connect()
    const { rows } = await client.query<{ superuser: string }>(
      "select current_setting('is_superuser') as superuser",
    )
    if (rows[0]?.superuser !== 'on') throw new Error('the account is not a superuser')
  } catch (cause) {
    throw new Error('the integration tests cannot use their PostgreSQL', { cause })
  } finally {
    await client.end()
  }
}
