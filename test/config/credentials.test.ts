// Where database logins come from, as a configuration says it.

import { describe, expect, it } from 'vitest'
import { parseConfig } from '../../src/config/config.ts'
import { Failure } from '../../src/errors.ts'

const configuration = `store: { url: postgres://pgwarden:hidden@db/pgwarden }
journal: { directory: journal }
vault: { addresses: [https://vault.internal:8200], auth: { method: token, token: { file: token } } }
targets:
  shop:
    host: db
    database: shop
    catalog: { snapshot: false }
    credentials:
      vault:
        roles:
          read_only: shop-ro
`

function parse(text: string) {
  return parseConfig(text, 'pgwarden.yaml', {}).targets.get('shop')?.credentials
}

/** What a configuration with other lines below \`vault:\` comes to. */
function vaultWith(...lines: readonly string[]) {
  const credentials = parse(changed(/roles:[\s\S]*/, `${lines.join('\n        ')}\n`))
  if (credentials?.type !== 'vault') throw new Error('not Vault')
  return { ...credentials.vault, roles: Object.fromEntries(credentials.vault.roles) }
}

function changed(from: string | RegExp, to: string): string {
  const text = configuration.replace(from, to)
  expect(text).not.toBe(configuration)
  return text
}

function complaints(text: string): readonly string[] {
  try {
    parse(text)
    return []
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    return (error.detail ?? error.message).split('\n')
  }
}

describe('database logins from Vault', () => {
  it('are dynamic roles of the database mount, one lease for a grant, where nothing else is written', () => {
    expect(vaultWith('roles: { read_only: shop-ro }')).toEqual({
      share: 'grant',
      unusedTimeoutMs: undefined,
      roles: { read_only: { engine: 'dynamic', mount: 'database', role: 'shop-ro' } },
    })
  })

  it('may be one for a session, and be given back some time after the last session', () => {
    const logins = vaultWith('lease: session', 'unusedTimeout: 15m', 'roles: { read_only: a }')
    expect(logins).toMatchObject({ share: 'session', unusedTimeoutMs: 900_000 })
  })

  it('come for each role from an engine and a mount of its own', () => {
    const { roles } = vaultWith(
      'mount: team/database',
      'roles:',
      '  read_only: shop-ro',
      '  read_full_write: { engine: static, role: shop-owner }',
      '  read_limited_write: { engine: kv, role: shop/writer }',
      '  admin: { engine: static, mount: dba, role: shop-dba }',
    )
    expect(roles).toEqual({
      read_only: { engine: 'dynamic', mount: 'team/database', role: 'shop-ro' },
      read_full_write: { engine: 'static', mount: 'team/database', role: 'shop-owner' },
      read_limited_write: { engine: 'kv', mount: 'secret', role: 'shop/writer' },
      admin: { engine: 'static', mount: 'dba', role: 'shop-dba' },
    })
    const kv = vaultWith(
      'engine: kv',
      'mount: kv2',
      'roles: { admin: a/b, read_only: { engine: dynamic, role: c } }',
    )
    expect(kv.roles).toEqual({
      admin: { engine: 'kv', mount: 'kv2', role: 'a/b' },
      read_only: { engine: 'dynamic', mount: 'database', role: 'c' },
    })
  })
})

describe('a mistake about database logins is named with its place', () => {
  const at = 'targets.shop.credentials'
  const path =
    'expected a path like "team/shop": names of letters, digits, and _ . -, without slashes at its ends'
  const role =
    'expected the name of a role in Vault, or a mapping with role, and engine and mount where they differ'

  it.each([
    [
      /vault: \{.*\n/,
      '',
      `9:7: ${at}.vault: which Vault? Write a section "vault" beside "targets", with its address`,
    ],
    [
      'roles:',
      'engine: dynamics\n        roles:',
      `11:17: ${at}.vault.engine: expected dynamic, static or kv`,
    ],
    [
      'roles:',
      'lease: once\n        roles:',
      `11:16: ${at}.vault.lease: expected grant or session`,
    ],
    [
      'roles:',
      'unusedTimeout: never\n        roles:',
      `11:24: ${at}.vault.unusedTimeout: expected off or a duration from 1s to 30d, like 1s`,
    ],
    ['roles:', 'mount: /database\n        roles:', `11:16: ${at}.vault.mount: ${path}`],
    ['roles:', 'mount: database/\n        roles:', `11:16: ${at}.vault.mount: ${path}`],
    ['roles:', 'mount: database/../sys\n        roles:', `11:16: ${at}.vault.mount: ${path}`],
    ['shop-ro', "'shop-ro?list=true'", `12:22: ${at}.vault.roles.read_only: ${path}`],
    ['shop-ro', 'shop/%2e%2e/sys', `12:22: ${at}.vault.roles.read_only: ${path}`],
    ['shop-ro', '7', `12:22: ${at}.vault.roles.read_only: ${role}`],
    [
      'shop-ro',
      '{ mount: a }',
      `12:11: ${at}.vault.roles.read_only.role: missing: expected a path in Vault`,
    ],
    ['shop-ro', '{ rol: a, role: b }', `12:24: ${at}.vault.roles.read_only.rol: unknown key`],
    ['read_only', 'readonly', `12:11: ${at}.vault.roles.readonly: there is no such role`],
    [/roles:[\s\S]*/, 'roles: {}\n', `11:16: ${at}.vault.roles: expected at least one role`],
    [
      /vault:\n[\s\S]*/,
      '{}\n',
      `10:7: ${at}: expected either broker or vault, which say where database logins come from`,
    ],
    [
      /$/,
      "      broker: { user: a, password: b, owned: drop, creation: { admin: ['x'] } }\n",
      `10:7: ${at}: expected either broker or vault, which say where database logins come from`,
    ],
  ])('%j -> %j', (from, to, expected) => {
    expect(complaints(changed(from, to))).toEqual([`pgwarden.yaml:${expected}`])
  })
})
