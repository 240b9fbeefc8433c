// The Vault client logs in to a real Vault by every method, over TLS, and follows it through being
// sealed, killed and stopped in its tracks.

import { generateKeyPairSync, sign } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { VaultProblem } from '../../src/credentials/vault/problem.ts'
import { openVault, type Vault, type VaultSettings } from '../../src/credentials/vault/vault.ts'
import { Secret } from '../../src/secret.ts'
import { eventually } from '../support/eventually.ts'
import { describeWithOwnVault, startOwnVault } from '../support/vault.ts'
import type { OwnVault } from '../support/vault-process.ts'
import { ask } from '../support/vault-request.ts'

const secret = 'secret/data/pgwarden'
const grants = { token_policies: 'pgwarden', token_ttl: '10m' }

describeWithOwnVault('the Vault client and a real Vault', () => {
  let server: OwnVault
  const directory = mkdtempSync(join(tmpdir(), 'pgwarden-vault-logins-'))
  const file = join(directory, 'credential')
  const opened: Vault[] = []

  beforeAll(async () => {
    server = await startOwnVault({ tls: 'offered' })
    await server.request('POST', 'sys/mounts/secret', { type: 'kv', options: { version: '2' } })
    await eventually(() =>
      server.request('POST', secret, { data: { username: 'somebody' } }).then(
        () => true,
        () => false,
      ),
    )
    const policy = `path "${secret}" { capabilities = ["read"] }`
    await server.request('PUT', 'sys/policies/acl/pgwarden', { policy })
    for (const type of ['approle', 'jwt', 'kubernetes', 'cert']) {
      await server.request('POST', `sys/auth/${type}`, { type })
    }
    await server.request('POST', 'auth/approle/role/pgwarden', grants)
  })
  afterEach(async () => {
    for (const vault of opened.splice(0)) await vault.stop()
  })
  afterAll(async () => {
    rmSync(directory, { recursive: true })
    await server.stop()
  })

  function client(auth: VaultSettings['auth'], more: Partial<VaultSettings> = {}): Vault {
    const vault = openVault(
      {
        addresses: [server.address],
        namespace: undefined,
        tls: { ca: server.tls?.authority.certificate, serverName: undefined, client: undefined },
        auth,
        timeoutMs: 2_000,
        waitForMs: 5_000,
        ...more,
      },
      {
        clock: systemClock,
        observer: { asked: () => {}, breaker: () => {}, tokenEnds: () => {}, problem: () => {} },
      },
    )
    opened.push(vault)
    return vault
  }

  async function appRole(wrapped: boolean): Promise<VaultSettings['auth']> {
    const path = 'auth/approle/role/pgwarden'
    const { data } = await server.request('GET', `${path}/role-id`)
    return {
      method: 'approle',
      mount: 'approle',
      roleId: new Secret(String(data['role_id'])),
      secretIdFile: file,
      wrapped,
    }
  }
  const secretId = async (): Promise<string> =>
    String((await server.request('POST', 'auth/approle/role/pgwarden/secret-id')).data['secret_id'])

  async function works(vault: Vault): Promise<void> {
    await vault.check()
    const { data } = await vault.read(secret)
    expect(data['data']).toEqual({ username: 'somebody' })
  }

  it('logs in by AppRole, and gives the token back at the stop', async () => {
    writeFileSync(file, await secretId())
    const vault = client(await appRole(false))
    await works(vault)
    const before = await tokens()
    await vault.stop()
    expect(await tokens()).toBe(before - 1)
  })

  const tokens = async (): Promise<number> => {
    const { data } = await server.request('LIST', 'auth/token/accessors')
    return Array.isArray(data['keys']) ? data['keys'].length : 0
  }

  it('takes a bad secret id for a refusal, and asks once', async () => {
    writeFileSync(file, '00000000-0000-4000-8000-000000000000')
    const vault = client(await appRole(false))
    const startedAt = Date.now()
    await expect(vault.read(secret)).rejects.toMatchObject({ kind: 'unauthenticated' })
    await expect(vault.read(secret)).rejects.toMatchObject({ kind: 'unauthenticated' })
    expect(Date.now() - startedAt).toBeLessThan(1_000)
    writeFileSync(file, await secretId())
    await works(vault)
  })

  it('logs in by a wrapped secret id, and says aloud when somebody was there before', async () => {
    const wrap = { ...server.caller(server.rootToken), headers: { 'X-Vault-Wrap-TTL': '60' } }
    const { wrap_info: wrapped } = await ask(wrap, 'POST', 'auth/approle/role/pgwarden/secret-id')
    writeFileSync(file, wrapped?.token ?? '')
    await works(client(await appRole(true)))
    await expect(client(await appRole(true)).read(secret)).rejects.toThrow(
      'by somebody who has the secret id now',
    )
    const { wrap_info: foreign } = await ask(wrap, 'POST', 'sys/wrapping/wrap', { secret_id: 'x' })
    writeFileSync(file, foreign?.token ?? '')
    await expect(client(await appRole(true)).read(secret)).rejects.toThrow(
      'somebody may have exchanged it',
    )
  })

  it('takes a token from a file, and leaves it alone at the stop', async () => {
    const terms = { policies: ['pgwarden'], ttl: '5m' }
    const { auth } = await server.request('POST', 'auth/token/create', terms)
    writeFileSync(file, `${auth?.client_token ?? ''}\n`)
    const vault = client({ method: 'token', token: { file } })
    await works(vault)
    expect((await vault.read(secret)).token.endsAt).toBeGreaterThan(systemClock.elapsed())
    const before = await tokens()
    await vault.stop()
    expect(await tokens()).toBe(before)
  })

  it('logs in by JWT', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const jwt_validation_pubkeys = [publicKey.export({ type: 'spki', format: 'pem' })]
    await server.request('POST', 'auth/jwt/config', { jwt_validation_pubkeys })
    await server.request('POST', 'auth/jwt/role/pgwarden', {
      role_type: 'jwt',
      user_claim: 'sub',
      bound_audiences: ['vault'],
      ...grants,
    })
    const now = Math.floor(Date.now() / 1000)
    const signed = [{ alg: 'ES256' }, { sub: 'pgwarden', aud: 'vault', iat: now, exp: now + 600 }]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.')
    const key = { key: privateKey, dsaEncoding: 'ieee-p1363' } as const
    writeFileSync(
      file,
      `${signed}.${sign('sha256', Buffer.from(signed), key).toString('base64url')}`,
    )
    await works(client({ method: 'jwt', mount: 'jwt', role: 'pgwarden', tokenFile: file }))
  })

  it('logs in by the service account of a Kubernetes pod', async () => {
    const claims = {
      iss: 'kubernetes/serviceaccount',
      'kubernetes.io/serviceaccount/namespace': 'databases',
      'kubernetes.io/serviceaccount/service-account.name': 'pgwarden',
      'kubernetes.io/serviceaccount/service-account.uid': 'uid-1',
      sub: 'system:serviceaccount:databases:pgwarden',
    }
    const encoded = [{ alg: 'RS256' }, claims]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.')
    const jwt = `${encoded}.${Buffer.from('signature').toString('base64url')}`
    writeFileSync(file, jwt)
    const cluster = await tokenReviews()
    await server.request('POST', 'auth/kubernetes/config', {
      kubernetes_host: cluster.address,
      token_reviewer_jwt: jwt,
      kubernetes_ca_cert: server.tls?.authority.certificate,
      disable_local_ca_jwt: true,
    })
    await server.request('POST', 'auth/kubernetes/role/pgwarden', {
      bound_service_account_names: ['pgwarden'],
      bound_service_account_namespaces: ['databases'],
      ...grants,
    })
    const where = { mount: 'kubernetes', role: 'pgwarden', tokenFile: file }
    await works(client({ method: 'kubernetes', ...where }))
    await cluster.stop()
  })

  it('logs in by TLS certificate', async () => {
    if (server.tls === undefined) throw new Error('the server has no TLS')
    const { authority, client: ours } = server.tls
    const certificate = authority.certificate
    await server.request('POST', 'auth/cert/certs/pgwarden', { certificate, ...grants })
    const tls = {
      ca: certificate,
      serverName: 'localhost',
      client: { certificate: ours.certificate, key: new Secret(ours.key) },
    }
    await works(client({ method: 'cert', mount: 'cert', role: 'pgwarden' }, { tls }))
  })

  it('is refused what its policy does not allow, and is still good', async () => {
    writeFileSync(file, await secretId())
    const vault = client(await appRole(false))
    const before = (await vault.read(secret)).token
    await expect(vault.read('secret/data/another')).rejects.toMatchObject({ kind: 'denied' })
    expect((await vault.read(secret)).token).toBe(before)
  })

  it('waits while Vault is sealed, is killed, or is stopped in its tracks', async () => {
    writeFileSync(file, await secretId())
    const vault = client(await appRole(false), { waitForMs: 10_000 })
    await works(vault)
    const problem = async (): Promise<unknown> =>
      vault.read(secret, { waitMs: 0 }).catch((error: unknown) => error)

    await server.seal()
    expect(await problem()).toMatchObject({ kind: 'sealed' })
    const waiting = vault.read(secret)
    await server.unseal()
    await waiting

    await server.kill()
    expect(await problem()).toMatchObject({ kind: 'unreachable', unanswered: false })
    const [, again] = await Promise.all([server.restart(), vault.read(secret)])
    expect(again.data['data']).toEqual({ username: 'somebody' })

    server.pause()
    const silent = await problem()
    server.resume()
    expect(silent).toBeInstanceOf(VaultProblem)
    expect(silent).toMatchObject({ kind: 'unreachable' })
    await works(vault)
  })
})

/** Of a cluster only what Vault asks: whose a service account's token is. */
async function tokenReviews(): Promise<{
  readonly address: string
  stop(): Promise<unknown>
}> {
  const status = {
    authenticated: true,
    user: {
      username: 'system:serviceaccount:databases:pgwarden',
      uid: 'uid-1',
      groups: ['system:serviceaccounts'],
    },
  }
  const review = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', status }
  const cluster = http
    .createServer((_, response) => {
      response.writeHead(201, { 'Content-Type': 'application/json' }).end(JSON.stringify(review))
    })
    .listen(0, '127.0.0.1')
  await once(cluster, 'listening')
  const address = cluster.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return {
    address: `http://127.0.0.1:${address.port}`,
    stop: () => {
      cluster.closeAllConnections()
      cluster.close()
      return once(cluster, 'close')
    },
  }
}
