import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterAll, describe, expect, it } from 'vitest'
import { parseConfig } from '../../src/config/config.ts'
import type { VaultConfig } from '../../src/config/vault.ts'
import { Failure } from '../../src/errors.ts'
import { Secret } from '../../src/secret.ts'

const directory = mkdtempSync(join(tmpdir(), 'pgwarden-vault-config-'))
afterAll(() => rmSync(directory, { recursive: true }))
for (const name of ['ca', 'certificate', 'key']) {
  writeFileSync(join(directory, `${name}.pem`), `the ${name}`)
}

const env = { OUR_TOKEN: 'hidden-token', EMPTY: '' }

function vault(...lines: readonly string[]): VaultConfig {
  const text = `store: { url: 'postgres://a:b@c/d' }
journal: { directory: journal }
targets:
  shop:
    host: localhost
    database: shop
    credentials:
      broker: { user: u, password: p, owned: drop, creation: { read_only: [GRANT x TO y] } }
vault:
${lines.map((line) => `  ${line}\n`).join('')}`
  const config = parseConfig(text, join(directory, 'pgwarden.yaml'), env)
  if (config.vault === undefined) throw new Error('there is no vault')
  return config.vault
}

function complaint(...lines: readonly string[]): string {
  try {
    vault(...lines)
  } catch (error) {
    if (error instanceof Failure)
      return (error.detail ?? error.message).replaceAll(/^.*?yaml:/gm, '')
    throw error
  }
  return ''
}

const address = 'addresses: [https://vault.internal:8200]'
const auth = 'auth: { method: token, token: { env: OUR_TOKEN } }'

describe('the section vault', () => {
  it('needs addresses and a way to log in; the rest has defaults', () => {
    const { auth: login, ...rest } = vault(address, auth)
    const token = login.method === 'token' ? login.token : undefined
    expect(token instanceof Secret && token.reveal()).toBe('hidden-token')
    expect(rest).toEqual({
      addresses: ['https://vault.internal:8200'],
      namespace: undefined,
      tls: { ca: undefined, serverName: undefined, client: undefined },
      timeoutMs: 5_000,
      waitForMs: 5_000,
    })
  })

  it('takes several addresses, a namespace, TLS and limits', () => {
    const { addresses, namespace, tls, timeoutMs, waitForMs } = vault(
      'addresses: [https://one.internal/, "https://[2001:db8::1]:8200"]',
      'namespace: team/databases',
      'tls: { ca: ca.pem, serverName: vault.internal, certificate: certificate.pem, key: key.pem }',
      auth,
      'timeout: 2s',
      'waitFor: 0s',
    )
    expect(addresses).toEqual(['https://one.internal', 'https://[2001:db8::1]:8200'])
    expect(namespace).toBe('team/databases')
    expect(tls).toMatchObject({ ca: 'the ca', serverName: 'vault.internal' })
    expect(tls.client?.certificate).toBe('the certificate')
    expect(tls.client?.key.reveal()).toBe('the key')
    expect([timeoutMs, waitForMs]).toEqual([2_000, 0])
  })

  it.each([
    ['{ method: token, token: { file: t } }', { token: { file: join(directory, 't') } }],
    [
      '{ method: approle, roleId: r, secretIdFile: s, wrapped: true }',
      { mount: 'approle', secretIdFile: join(directory, 's'), wrapped: true },
    ],
    [
      '{ method: kubernetes, role: r }',
      {
        mount: 'kubernetes',
        role: 'r',
        tokenFile: '/var/run/secrets/kubernetes.io/serviceaccount/token',
      },
    ],
    [
      '{ method: jwt, mount: ci/jwt, role: r, tokenFile: /t }',
      { mount: 'ci/jwt', role: 'r', tokenFile: '/t' },
    ],
  ])('logs in by %s', (written, expected) => {
    expect(vault(address, `auth: ${written}`).auth).toMatchObject(expected)
  })

  it('logs in by certificate, where there is one to show', () => {
    const tls = 'tls: { certificate: certificate.pem, key: key.pem }'
    expect(vault(address, tls, 'auth: { method: cert, role: r }').auth).toEqual({
      method: 'cert',
      mount: 'cert',
      role: 'r',
    })
    expect(complaint(address, 'auth: { method: cert }')).toBe(
      '11:19: vault.auth.method: cert needs vault.tls.certificate and vault.tls.key',
    )
    expect(complaint('addresses: [http://localhost]', tls, 'auth: { method: cert }')).toContain(
      'there is no certificate without TLS',
    )
  })

  it('shows no secret, however it is printed', () => {
    const config = vault(
      address,
      'auth: { method: approle, roleId: hidden-role, secretIdFile: s }',
      'tls: { certificate: certificate.pem, key: key.pem }',
    )
    expect(inspect(config, { depth: 9, showHidden: true })).not.toMatch(/hidden|the key/)
    expect(JSON.stringify(vault(address, auth))).not.toContain('hidden')
  })

  it.each(['http://localhost:8200', 'http://127.0.0.1:8200', 'http://[::1]:8200'])(
    'speaks in the clear to this machine: %s',
    (written) => {
      expect(vault(`addresses: ['${written}']`, auth).addresses).toEqual([written])
    },
  )

  it('speaks in the clear to another machine only where that is written down', () => {
    const lines = ['addresses: [https://a, http://vault.internal]', auth]
    expect(complaint(...lines)).toBe(
      '10:26: vault.addresses.1: tokens and passwords would travel in the clear; use https, or write allowPlaintext: true',
    )
    expect(vault(...lines, 'allowPlaintext: true').addresses).toHaveLength(2)
    expect(complaint('addresses: [http://127.0.0.1.evil.test]', auth)).toContain('in the clear')
  })

  it.each([
    'vault.internal:8200',
    'ftp://vault.internal',
    'https://',
    'https://user:pw@vault.internal',
    'https://vault.internal/v1',
    'https://vault.internal?x',
    'https://vault.internal#x',
    'https:/vault.internal',
    'https://vault.internal:99999',
    'https://a b',
  ])('takes no address like %s', (written) => {
    expect(complaint(`addresses: ['${written}']`, auth)).toBe(
      '10:15: vault.addresses.0: expected an address like https://vault.internal:8200, without user, path or query',
    )
  })

  it.each([
    [['addresses: []', auth], '10:14: vault.addresses: expected at least one address'],
    [[auth], '9:1: vault.addresses: missing: expected a list'],
    [
      [address, 'auth: { method: ldap }'],
      'vault.auth.method: expected a mapping with a method: token, approle, kubernetes, jwt or cert',
    ],
    [[address], 'vault.auth: missing: expected a mapping with a method'],
    [
      [address, 'auth: { method: token, token: { env: EMPTY } }'],
      '11:33: vault.auth.token: the environment variable EMPTY is not set',
    ],
    [
      [address, 'auth: { method: token, token: hidden }'],
      'vault.auth.token: expected { env: NAME } or { file: PATH }',
    ],
    [
      [address, 'auth: { method: approle, roleId: r }'],
      'vault.auth.secretIdFile: missing: expected a text',
    ],
    [
      [address, 'auth: { method: jwt, mount: /jwt/, role: r, tokenFile: t }'],
      'vault.auth.mount: expected a path like "team/shop"',
    ],
    [[address, auth, 'namespace: ../root'], 'vault.namespace: expected a path like "team/shop"'],
    [[address, auth, 'waitFor: 10m'], 'vault.waitFor: expected a duration from 0s to 1m'],
    [[address, auth, 'address: x'], '12:3: vault.address: unknown key'],
    [
      [address, auth, 'tls: { certificate: certificate.pem }'],
      '12:8: vault.tls: certificate and key belong together',
    ],
    [
      ["addresses: ['http://localhost:8200']", auth, 'tls: { ca: ca.pem }'],
      '12:14: vault.tls.ca: no address uses https',
    ],
    [
      [address, auth, 'tls: { ca: nowhere.pem }'],
      'vault.tls.ca: the file nowhere.pem cannot be read (ENOENT)',
    ],
  ])('says what is wrong, and where: %j', (lines, expected) => {
    expect(complaint(...lines)).toContain(expected)
  })
})
