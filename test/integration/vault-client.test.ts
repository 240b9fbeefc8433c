// The Vault client on real sockets: what it does not follow, not wait for, not read and not trust.

import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { inspect, promisify } from 'node:util'
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { VaultProblem } from '../../src/credentials/vault/problem.ts'
import { openVault, type Vault, type VaultSettings } from '../../src/credentials/vault/vault.ts'
import { Secret } from '../../src/secret.ts'
import { certify, type Pair } from '../support/certificates.ts'
import {
  cut,
  denied,
  FakeVault,
  type FakeVaultOptions,
  failing,
  hang,
  sealed,
  standby,
  throttled,
} from '../support/fake-vault.ts'
import { freePort } from '../support/ports.ts'

const run = promisify(execFile)
const creds = 'database/creds/shop-ro'
const isCreds = /^database\/creds\//

const ends: (() => unknown)[] = []
afterEach(async () => {
  vi.unstubAllEnvs()
  for (const end of ends.splice(0).reverse()) await end()
})

async function fakeVault(options: FakeVaultOptions = {}): Promise<FakeVault> {
  const fake = await FakeVault.start(options)
  ends.push(() => fake.stop())
  return fake
}

function client(
  fake: FakeVault,
  settings: Partial<VaultSettings> = {},
  breaker: (isOpen: boolean) => unknown = () => {},
): Vault {
  const vault = openVault(
    {
      addresses: [fake.address],
      namespace: undefined,
      tls: { ca: undefined, serverName: undefined, client: undefined },
      auth: { method: 'token', token: new Secret(fake.state.newToken()) },
      timeoutMs: 1_000,
      waitForMs: 2_000,
      ...settings,
    },
    {
      clock: systemClock,
      observer: { asked: () => {}, breaker, tokenEnds: () => {}, problem: () => {} },
    },
  )
  ends.push(() => vault.stop())
  return vault
}

async function problemOf(promise: Promise<unknown>): Promise<VaultProblem> {
  const problem: unknown = await promise.catch((error: unknown) => error)
  if (problem instanceof VaultProblem) return problem
  throw new Error(`no problem: ${inspect(problem)}`)
}

describe('the Vault client', () => {
  it('issues, renews, looks up and revokes over one connection', async () => {
    const fake = await fakeVault()
    const vault = client(fake)
    const { leaseId } = await vault.read('database/creds/shop ro')
    const renewed = await vault.write('sys/leases/renew', { lease_id: leaseId, increment: 60 })
    expect(renewed).toMatchObject({ leaseId, renewable: true })
    await vault.write('sys/leases/revoke', { lease_id: leaseId })
    expect(fake.state.leases.size).toBe(0)
    expect(await problemOf(vault.write('sys/leases/renew', { lease_id: leaseId }))).toMatchObject({
      kind: 'missing',
    })
    expect(fake.received.map(({ method, url }) => `${method} ${url}`).slice(0, 3)).toEqual([
      'GET /v1/auth/token/lookup-self',
      'GET /v1/database/creds/shop%20ro',
      'POST /v1/sys/leases/renew',
    ])
    expect(fake.connections).toBe(1)
  })

  it('opens few connections for many logins', async () => {
    const fake = await fakeVault()
    const vault = client(fake)
    fake.trouble({ type: 'slow', ms: 20 }, { path: isCreds })
    await Promise.all(Array.from({ length: 100 }, () => vault.read(creds)))
    expect(fake.connections).toBeLessThanOrEqual(16)
  })

  it('follows no redirect: the token would go along', async () => {
    const fake = await fakeVault()
    const elsewhere = await fakeVault()
    fake.trouble(standby(307, `${elsewhere.address}/v1/${creds}`))
    const problem = await problemOf(client(fake).read(creds, { waitMs: 0 }))
    expect(problem).toMatchObject({ kind: 'standby' })
    expect(elsewhere.received).toEqual([])
  })

  it('goes from a standby to the active server where its address is known', async () => {
    const passive = await fakeVault()
    const active = await fakeVault()
    passive.trouble(standby(307, active.address))
    const vault = client(active, { addresses: [passive.address, active.address] })
    await vault.read(creds)
    await vault.read(creds)
    expect([passive.received.length, active.received.length]).toEqual([1, 3])
  })

  it('uses no proxy of the environment', async () => {
    const proxy = await fakeVault()
    for (const name of ['HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY', 'https_proxy', 'ALL_PROXY']) {
      vi.stubEnv(name, proxy.address)
    }
    vi.stubEnv('NODE_USE_ENV_PROXY', '1')
    const fake = await fakeVault()
    await client(fake).read(creds)
    expect(proxy.received).toEqual([])
    expect(proxy.connections).toBe(0)
  })

  it('prints nothing, whatever DEBUG says', async () => {
    const fake = await fakeVault()
    const program = `
      import { systemClock } from './src/clock.ts'
      import { openVault } from './src/credentials/vault/vault.ts'
      import { Secret } from './src/secret.ts'
      const observer = { asked() {}, breaker() {}, tokenEnds() {}, problem() {} }
      const vault = openVault(
        {
          addresses: ['${fake.address}'],
          tls: {},
          auth: { method: 'token', token: new Secret('${fake.state.newToken()}') },
          timeoutMs: 5_000,
          waitForMs: 0,
        },
        { clock: systemClock, observer },
      )
      await vault.write('sys/leases/revoke', { lease_id: (await vault.read('${creds}')).leaseId })
      await vault.stop()`
    const { stdout, stderr } = await run(
      process.execPath,
      ['--import', './test/support/typescript-loader.mjs', '--input-type=module', '-e', program],
      { env: { ...process.env, DEBUG: 'node-vault,axios*', NODE_DEBUG: '' } },
    )
    expect(fake.received).toHaveLength(3)
    expect(stdout + stderr).toBe('')
  })

  it('reads no answer longer than 1 MiB', async () => {
    const fake = await fakeVault()
    fake.trouble({ type: 'status', status: 200, body: `{"data":"${'x'.repeat(1024 * 1024)}"}` })
    const problem = await problemOf(client(fake).read(creds, { waitMs: 0 }))
    expect(problem.message).toContain('the answer is longer than 1 MiB')
  })

  it('says nothing of token, body or answer in what it throws', async () => {
    const fake = await fakeVault()
    const token = fake.state.newToken()
    const vault = client(fake, { auth: { method: 'token', token: new Secret(token) } })
    await vault.check()
    for (const trouble of [denied, failing, cut, { ...sealed, body: '{"errors":["secret-x"]}' }]) {
      fake.heal()
      fake.trouble(trouble, { path: /^database/ })
      const problem = await problemOf(
        vault.write('database/roles/x', { password: 'secret-y' }, { waitMs: 0 }),
      )
      const shown = inspect(problem, { depth: 9, showHidden: true })
      expect(shown).not.toContain(token)
      expect(shown).not.toMatch(/secret-[xy]/)
      expect(shown).toContain('/v1/database/roles/x')
    }
  })
})

describe('a Vault in trouble', () => {
  it.each([
    ['sealed', sealed],
    ['a standby', standby(473)],
    ['throttled', throttled(1)],
    ['failing', failing],
  ] as const)('is waited for while it is %s', async (_, trouble) => {
    const fake = await fakeVault()
    const vault = client(fake, { waitForMs: 4_000 })
    await vault.check()
    fake.trouble(trouble, { times: 2, path: isCreds })
    expect(await vault.read(creds)).toMatchObject({ renewable: true })
  })

  it('is waited for while it starts', async () => {
    const port = await freePort()
    const token = 'hvs.of-the-one-to-come'
    const first = await fakeVault()
    const vault = client(first, {
      addresses: [`http://127.0.0.1:${port}`],
      auth: { method: 'token', token: new Secret(token) },
    })
    const answer = vault.read(creds)
    await new Promise((resolve) => setTimeout(resolve, 300))
    const fake = await fakeVault({ port })
    fake.state.tokens.set(token, {
      ttlMs: 0,
      renewable: false,
      maxEndsAt: Infinity,
      endsAt: Infinity,
    })
    expect(await answer).toMatchObject({ renewable: true })
  })

  it('that does not answer is given up in time, and told from one that is dead', async () => {
    const fake = await fakeVault()
    const vault = client(fake, { timeoutMs: 200 })
    await vault.check()
    fake.trouble(hang, { path: isCreds })
    expect(await problemOf(vault.read(creds))).toMatchObject({ kind: 'failing', unanswered: true })
    fake.trouble(hang)
    const startedAt = Date.now()
    expect(await problemOf(vault.read(creds))).toMatchObject({
      kind: 'unreachable',
      unanswered: true,
    })
    expect(Date.now() - startedAt).toBeLessThan(2_000)
    expect(fake.asked(isCreds)).toHaveLength(2)
  })

  it('that cuts the connection after it has obeyed is not asked for a second lease', async () => {
    const fake = await fakeVault()
    const vault = client(fake)
    await vault.check()
    fake.trouble({ type: 'cut', obeyed: true }, { path: isCreds, times: 1 })
    expect(await problemOf(vault.read(creds))).toMatchObject({ unanswered: true })
    expect(fake.state.leases.size).toBe(1)
  })

  it('is asked no more by a client that has left', async () => {
    const fake = await fakeVault()
    const vault = client(fake)
    await vault.check()
    fake.trouble(hang)
    const left = new AbortController()
    const answer = vault.read(creds, { signal: left.signal }).catch((error: unknown) => error)
    setTimeout(() => left.abort(new Error('left')), 50)
    expect(await answer).toMatchObject({ message: 'left' })
  })

  it('that nothing answers for leaves the next address its time', async () => {
    // Takes connections and never says a word, not even in a TLS handshake.
    const silent = net.createServer().listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const sockets: net.Socket[] = []
    silent.on('connection', (socket) => sockets.push(socket.on('error', () => undefined)))
    ends.push(() => {
      for (const socket of sockets) socket.destroy()
      silent.close()
    })
    const address = silent.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    const fake = await fakeVault()
    const vault = client(fake, {
      addresses: [`https://127.0.0.1:${address.port}`, fake.address],
    })
    expect(await vault.read(creds)).toMatchObject({ renewable: true })
  })

  it('does not keep a stop waiting', async () => {
    const fake = await fakeVault()
    const directory = mkdtempSync(join(tmpdir(), 'pgwarden-vault-client-'))
    ends.push(() => rmSync(directory, { recursive: true }))
    const secretIdFile = join(directory, 'secret-id')
    writeFileSync(secretIdFile, fake.state.newSecretId())
    const vault = client(fake, {
      timeoutMs: 60_000,
      auth: {
        method: 'approle',
        mount: 'approle',
        roleId: new Secret(fake.state.roleId),
        secretIdFile,
        wrapped: false,
      },
    })
    await vault.read(creds)
    fake.trouble(hang)
    const underWay = problemOf(vault.read(creds))
    await new Promise((resolve) => setTimeout(resolve, 50))
    const startedAt = Date.now()
    await vault.stop()
    expect(Date.now() - startedAt).toBeLessThan(3_000)
    expect(await underWay).toMatchObject({ kind: 'unreachable' })
  })

  it('serves logins to other databases while one hangs, however many wait for that one', async () => {
    const fake = await fakeVault()
    const changes: boolean[] = []
    const vault = client(fake, { timeoutMs: 500, waitForMs: 0 }, (isOpen) => changes.push(isOpen))
    fake.trouble(hang, { path: /^database\/creds\/dead/ })
    const crowd = Array.from({ length: 100 }, () => problemOf(vault.read('database/creds/dead')))
    await sleep(250)
    expect(await vault.read(creds)).toMatchObject({ renewable: true })
    const kinds = (await Promise.all(crowd)).map(({ kind }) => kind)
    expect(new Set(kinds)).toEqual(new Set(['failing', 'throttled']))
    expect(await vault.read(creds)).toMatchObject({ renewable: true })
    expect(changes).toEqual([])
  })

  it('is asked for logins while a thousand leases on another database cannot be revoked', async () => {
    const fake = await fakeVault()
    const changes: boolean[] = []
    const vault = client(fake, { timeoutMs: 500, waitForMs: 0 }, (isOpen) => changes.push(isOpen))
    fake.trouble(hang, { path: /^sys\/leases\/revoke/ })
    const crowd = Array.from({ length: 1_000 }, (_, at) =>
      problemOf(vault.write('sys/leases/revoke', { lease_id: `database/creds/dead/${at}` })),
    )
    await sleep(250)
    expect(await vault.read(creds)).toMatchObject({ renewable: true })
    await Promise.all(crowd)
    expect(changes).toEqual([])
    expect(fake.connections).toBeLessThan(40)
  })
})

describe('TLS towards Vault', () => {
  let authority: Pair
  let server: Pair
  let stranger: Pair
  beforeAll(async () => {
    authority = await certify('our authority', { isAuthority: true })
    server = await certify('vault', { by: authority, names: ['vault.internal', '127.0.0.1'] })
    stranger = await certify('another authority', { isAuthority: true })
  })
  const tls = (more: Partial<VaultSettings['tls']> = {}): Partial<VaultSettings> => ({
    tls: { ca: authority.certificate, serverName: undefined, client: undefined, ...more },
  })
  const impatiently = { waitMs: 0 }

  it('trusts the configured authority', async () => {
    const fake = await fakeVault({ tls: server })
    expect(await client(fake, tls()).read(creds)).toMatchObject({ renewable: true })
  })

  it('trusts no other, whatever the environment allows', async () => {
    const fake = await fakeVault({ tls: server })
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0')
    vi.stubEnv('VAULT_SKIP_VERIFY', 'true')
    for (const ca of [undefined, stranger.certificate]) {
      const problem = await problemOf(client(fake, tls({ ca })).read(creds, impatiently))
      expect(problem).toMatchObject({ kind: 'unreachable', unanswered: false })
      expect(problem.message).toMatch(/certificate/)
    }
    expect(fake.received).toEqual([])
  })

  it('prints neither token nor key, whatever NODE_DEBUG says', async () => {
    const ours = await certify('pgwarden', { by: authority })
    const fake = await fakeVault({ tls: { ...server, clientCa: authority.certificate } })
    const token = fake.state.newToken()
    const program = `
      import { openTransport } from './src/credentials/vault/transport.ts'
      import { Secret } from './src/secret.ts'
      const { ca, certificate, key, url, token } = JSON.parse(process.env.GIVEN)
      const client = { certificate, key: new Secret(key) }
      const transport = openTransport({ ca, serverName: undefined, client })
      const { status } = await transport.send({
        ...{ method: 'GET', url: new URL(url), headers: { 'X-Vault-Token': token } },
        ...{ body: undefined, connectMs: 5_000, timeoutMs: 5_000, signal: undefined },
      })
      transport.close()
      console.log('status', status)`
    const url = `${fake.address}/v1/auth/token/lookup-self`
    const given = JSON.stringify({ ca: authority.certificate, ...ours, url, token })
    const { stdout, stderr } = await run(
      process.execPath,
      ['--import', './test/support/typescript-loader.mjs', '--input-type=module', '-e', program],
      { env: { ...process.env, NODE_DEBUG: 'http,https,tls,net,stream', GIVEN: given } },
    )
    expect(stdout).toContain('status 200')
    expect(stderr).toContain('HTTP')
    expect(stdout + stderr).not.toContain(token)
    expect(stdout + stderr).not.toContain('PRIVATE KEY')
  })

  it('checks the name: the host of the address, or the one that is written', async () => {
    const fake = await fakeVault({ tls: server })
    const named = tls({ serverName: 'vault.internal' })
    expect(await client(fake, named).read(creds)).toMatchObject({ renewable: true })
    const other = tls({ serverName: 'vault.evil' })
    const problem = await problemOf(client(fake, other).read(creds, impatiently))
    expect(problem.message).toContain("does not match certificate's altnames")
    const byHost = await fakeVault({
      tls: await certify('vault', { by: authority, names: ['vault.internal'] }),
    })
    expect(await problemOf(client(byHost, tls()).read(creds, impatiently))).toMatchObject({
      kind: 'unreachable',
    })
    expect(byHost.received).toEqual([])
  })

  it('shows our own certificate, and logs in by it', async () => {
    const ours = await certify('pgwarden', { by: authority })
    const fake = await fakeVault({ tls: { ...server, clientCa: authority.certificate } })
    const withOurs = tls({
      client: { certificate: ours.certificate, key: new Secret(ours.key) },
    })
    const auth = { method: 'cert', mount: 'cert', role: 'pgwarden' } as const
    expect(await client(fake, { ...withOurs, auth }).read(creds)).toMatchObject({ renewable: true })
    expect(
      await problemOf(client(fake, { ...tls(), auth }).read(creds, impatiently)),
    ).toMatchObject({
      kind: 'unreachable',
    })
  })

  it('says at the start when a certificate cannot be used', async () => {
    const fake = await fakeVault()
    expect(() => client(fake, tls({ ca: 'no certificate' }))).toThrow(
      expect.objectContaining({ code: 'invalid_configuration' }),
    )
  })
})
