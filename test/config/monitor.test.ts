// The login that looks whether revoked ones are gone, as a configuration says it.

import { describe, expect, it } from 'vitest'
import { parseConfig } from '../../src/config/config.ts'
import { Failure } from '../../src/errors.ts'

const broker = `
      broker:
        user: broker
        password: hidden
        owned: drop
        creation: { read_only: ['GRANT reader TO {{name}}'] }`
const vault = `
      vault:
        roles: { read_only: shop-ro }`
const vaultSection = `
vault: { addresses: [https://vault.internal:8200], auth: { method: token, token: { file: token } } }`

function parse(
  credentials: string,
  more: { readonly vault?: string; readonly shop?: string } = {},
) {
  const text = `store: { url: postgres://pgwarden:hidden@db/pgwarden }
journal: { directory: journal }${more.vault ?? ''}
targets:
  shop:
    host: db
    database: shop${more.shop ?? ''}
    credentials:${credentials}
`
  return parseConfig(text, 'pgwarden.yaml', {}).targets.get('shop')?.credentials.monitor
}

function complaint(...given: Parameters<typeof parse>): string {
  try {
    parse(...given)
    return ''
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    return error.detail ?? error.message
  }
}

describe('the monitor of a target', () => {
  it('is none where none is written', () => {
    expect(parse(broker)).toBeUndefined()
  })

  it('logs in with a user and a password', () => {
    const monitor = parse(`${broker}
      monitor: { user: pgwarden_monitor, password: hidden }`)
    if (monitor?.type !== 'login') throw new Error('no login')
    expect(monitor.user).toBe('pgwarden_monitor')
    expect(monitor.password.reveal()).toBe('hidden')
  })

  it.each([
    ['{ role: monitor }', { engine: 'static', mount: 'database', role: 'monitor' }],
    ['{ engine: kv, role: shop/monitor }', { engine: 'kv', mount: 'secret', role: 'shop/monitor' }],
    ['{ engine: dynamic, mount: pg, role: mon }', { engine: 'dynamic', mount: 'pg', role: 'mon' }],
  ])('logs in with what Vault keeps: %s', (written, login) => {
    const credentials = `${broker}
      monitor: { vault: ${written} }`
    expect(parse(credentials, { vault: vaultSection })).toEqual({ type: 'vault', login })
  })

  it.each(['{ user: a }', '{ password: a }', '{}', '{ user: a, password: b, vault: { role: c } }'])(
    'is refused where it is not one or the other: %s',
    (written) => {
      const credentials = `${broker}
      monitor: ${written}`
      expect(complaint(credentials, { vault: vaultSection })).toMatch(
        /pgwarden.yaml:\d+:\d+: targets.shop.credentials.monitor: expected either user and password, or vault/,
      )
    },
  )

  it('is refused where there is no Vault that could keep its password', () => {
    const credentials = `${broker}
      monitor: { vault: { role: monitor } }`
    expect(complaint(credentials)).toContain('credentials.monitor.vault: which Vault?')
  })
})

describe('a target whose logins come from Vault', () => {
  it('needs a monitor to read the catalog with, and is told what to write', () => {
    expect(complaint(vault, { vault: vaultSection })).toContain(
      'targets.shop.credentials: there is no login to read the catalog with: write a monitor beside vault, or catalog: { snapshot: false }',
    )
  })

  it('needs none where the catalog is not read', () => {
    const shop = '\n    catalog: { snapshot: false }'
    expect(parse(vault, { vault: vaultSection, shop })).toBeUndefined()
  })
})
