// The Vault that a test file works with. In this order: VAULT_ADDR and VAULT_TOKEN; a container, where
// TEST_USE_DOCKER=1 and an engine answers; `bao` or `vault` on the PATH; the server of
// test/vault-server/, built where Go is there. Where there is none, the tests say that they were not
// run. Ignorant of what is mounted: a test mounts its own under names of its own.

import { readFile } from 'node:fs/promises'
import { describe } from 'vitest'
import { freePort } from './ports.ts'
import { type OwnTerms, OwnVault } from './vault-process.ts'
import { findProgram } from './vault-program.ts'
import { type Answer, ask, type Caller } from './vault-request.ts'

export interface Vault {
  readonly address: string
  readonly rootToken: string
  /** With the root token. */
  request(method: string, path: string, body?: unknown): Promise<Answer>
  /** For requests with another token, or none. */
  caller(token?: string): Caller
  stop(): Promise<void>
}

const program = await findProgram()
const given = process.env['VAULT_ADDR'] ?? ''
const wantsContainer = process.env['TEST_USE_DOCKER'] === '1'

/** Tests that any Vault will do for; skipped by a name that says so where there is none. */
export function describeWithVault(name: string, tests: () => void): void {
  describeWhere(given !== '' || wantsContainer || program.type === 'found', name, tests)
}

/** Tests that end, seal or restart their Vault, or want it with TLS: `startOwnVault`. */
export function describeWithOwnVault(name: string, tests: () => void): void {
  describeWhere(program.type === 'found', name, tests)
}

function describeWhere(there: boolean, name: string, tests: () => void): void {
  if (there) {
    describe(name, tests)
    return
  }
  const why = program.type === 'none' ? program.why : ''
  console.warn(`NOT RUN: ${name}: ${why}`)
  describe.skip(`${name} (NOT RUN: ${why})`, tests)
}

export async function startVault(): Promise<Vault> {
  if (given !== '') return givenVault(given, process.env['VAULT_TOKEN'] ?? '')
  if (!wantsContainer) return startOwnVault()
  return startContainer().catch((error: unknown) => {
    console.warn('TEST_USE_DOCKER=1, but no container can be had; taking a program.', error)
    return startOwnVault()
  })
}

/** A process of the caller's own, to do with as it likes. */
export function startOwnVault(terms: OwnTerms = {}): Promise<OwnVault> {
  if (program.type === 'none') throw new Error(`there is no Vault to start: ${program.why}`)
  return OwnVault.start(program.path, terms)
}

async function givenVault(address: string, rootToken: string): Promise<Vault> {
  const caFile = process.env['VAULT_CACERT']
  const ca = caFile === undefined ? undefined : await readFile(caFile, 'utf8')
  return runningVault(address, rootToken, ca, () => Promise.resolve())
}

/** On the host's network, where the tests' PostgreSQL listens on the loopback address only. */
async function startContainer(): Promise<Vault> {
  const { GenericContainer, Wait } = await import('testcontainers')
  const rootToken = 'integration'
  const address = `127.0.0.1:${await freePort()}`
  const words = ['-dev', `-dev-root-token-id=${rootToken}`, `-dev-listen-address=${address}`]
  const container = await new GenericContainer('openbao/openbao')
    .withNetworkMode('host')
    .withCommand(['server', ...words])
    .withWaitStrategy(Wait.forLogMessage(/server started/))
    .start()
  return runningVault(`http://${address}`, rootToken, undefined, async () => {
    await container.stop()
  })
}

function runningVault(
  address: string,
  rootToken: string,
  ca: string | undefined,
  stop: () => Promise<void>,
): Vault {
  const caller = (token?: string): Caller => ({ address, token, ca })
  return {
    address,
    rootToken,
    caller,
    request: (method, path, body) => ask(caller(rootToken), method, path, body),
    stop,
  }
}
