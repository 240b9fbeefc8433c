import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterAll, describe, expect, it } from 'vitest'
import { parseConfig, type TargetConfig } from '../../src/config/config.ts'
import { Failure } from '../../src/errors.ts'

const directory = mkdtempSync(join(tmpdir(), 'pgwarden-servers-'))
afterAll(() => rmSync(directory, { recursive: true }))
writeFileSync(join(directory, 'ca.crt'), 'the authority')
writeFileSync(join(directory, 'client.crt'), 'the certificate')
writeFileSync(join(directory, 'client.key'), 'the key')

function target(...lines: readonly string[]): TargetConfig {
  const text = `store: { url: 'postgres://a:b@c/d' }
journal: { directory: journal }
targets:
  shop:
    database: shop
    credentials:
      broker: { user: u, password: p, owned: drop, creation: { read_only: [GRANT x TO y] } }
${lines.map((line) => `    ${line}\n`).join('')}`
  const shop = parseConfig(text, join(directory, 'pgwarden.yaml'), {}).targets.get('shop')
  if (shop === undefined) throw new Error('there is no target')
  return shop
}

function complaint(...lines: readonly string[]): string {
  try {
    target(...lines)
  } catch (error) {
    if (error instanceof Failure) return (error.detail ?? error.message).replace(/^.*?yaml:/, '')
  }
  return ''
}

describe('the servers of a target', () => {
  it('are one host', () => {
    expect(target('host: db.internal').servers).toMatchObject([{ host: 'db.internal', port: 5432 }])
    expect(target("host: '::1'", 'port: 5433').servers).toMatchObject([{ host: '::1', port: 5433 }])
  })

  it('are several in the order of the file, each with a port of its own or the one of all', () => {
    const { servers } = target(
      "hosts: [a.internal, 'b.internal:5433', '192.0.2.7:1', '[2001:db8::1]:5434', '2001:db8::2']",
      'port: 6000',
    )
    expect(servers.map(({ host, port }) => [host, port])).toEqual([
      ['a.internal', 6000],
      ['b.internal', 5433],
      ['192.0.2.7', 1],
      ['2001:db8::1', 5434],
      ['2001:db8::2', 6000],
    ])
  })

  it.each([
    ['host: db.internal', 'verify-full'],
    ['host: 192.0.2.1', 'verify-full'],
    ['host: localhost.example.org', 'verify-full'],
    ['host: 127.0.0.1.example.org', 'verify-full'],
    ['host: localhost', 'disable'],
    ['host: 127.8.0.1', 'disable'],
    ["host: '::1'", 'disable'],
  ])(
    'have TLS with a verified certificate where nothing is written, but not here: %s',
    (host, mode) => {
      expect(target(host).servers).toMatchObject([{ tls: { mode } }])
    },
  )

  it('have the mode that is written, and the strictest where the rest is', () => {
    expect(target('host: db', 'tls: { mode: prefer }').servers[0]?.tls.mode).toBe('prefer')
    expect(target('host: ::1', 'tls: { ca: ca.crt }').servers[0]?.tls).toMatchObject({
      mode: 'verify-full',
      ca: 'the authority',
    })
  })

  it('are shown a certificate whose key is never printed', () => {
    const shop = target('host: db', 'tls: { certificate: client.crt, key: client.key }')
    const client = shop.servers[0]?.tls.client
    expect(client?.certificate).toBe('the certificate')
    expect(client?.key.reveal()).toBe('the key')
    expect(inspect(shop, { depth: 9 })).not.toContain('the key')
  })

  it('may ask for SCRAM and MD5 or for nothing, and for the password itself only when told so', () => {
    expect(target('host: db')).toMatchObject({
      requireAuth: ['scram-sha-256', 'md5', 'none'],
      channelBinding: 'prefer',
      targetSessionAttrs: 'any',
    })
    expect(target('host: db', 'requireAuth: [password]').requireAuth).toEqual(['password'])
  })
})

describe('a mistake in them is named', () => {
  it.each([
    [
      ['host: a', 'hosts: [b]'],
      '8:11: targets.shop.host: expected a host, or hosts with a list of them',
    ],
    [
      ["host: 'db:5433'"],
      '8:11: targets.shop.host: expected a host without a port; that one is written as port',
    ],
    [['hosts: []'], '8:12: targets.shop.hosts: expected at least one host'],
    [
      ["hosts: ['db:0']"],
      '8:13: targets.shop.hosts.0: expected a host like db.internal, db.internal:5433 or [2001:db8::1]:5433',
    ],
    [
      ['host: db', 'tls: { mode: verify }'],
      '9:18: targets.shop.tls.mode: expected disable, allow, prefer, require, verify-ca or verify-full',
    ],
    [
      ['host: db', 'tls: { ca: nowhere.crt }'],
      '9:16: targets.shop.tls.ca: the file nowhere.crt cannot be read (ENOENT)',
    ],
    [
      ['host: db', 'tls: { mode: require, ca: ca.crt }'],
      '9:31: targets.shop.tls.ca: is not looked at in mode require; use verify-ca or verify-full',
    ],
    [
      ['host: db', 'tls: { certificate: client.crt }'],
      '9:10: targets.shop.tls: certificate and key belong together',
    ],
    [
      ['host: localhost', 'channelBinding: require'],
      '9:21: targets.shop.channelBinding: there is nothing to bind to without TLS',
    ],
    [
      ['host: db', 'channelBinding: require', 'requireAuth: [md5]'],
      '9:21: targets.shop.channelBinding: only scram-sha-256 can be bound, and requireAuth leaves it out',
    ],
    [
      ['host: db', 'requireAuth: [gss]'],
      '9:19: targets.shop.requireAuth.0: expected scram-sha-256, md5, password or none',
    ],
  ])('%j', (lines, expected) => {
    expect(complaint(...lines)).toBe(expected)
  })
})
