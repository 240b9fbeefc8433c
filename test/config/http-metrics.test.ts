import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { type Config, parseConfig } from '../../src/config/config.ts'
import { Failure } from '../../src/errors.ts'

function configured(metrics: string): Config {
  const text = `store: { url: 'postgres://a:b@c/d' }
journal: { directory: journal }
http: { port: 8432, metrics: ${metrics} }
targets:
  shop:
    host: localhost
    database: shop
    credentials:
      broker: { user: u, password: p, owned: drop, creation: { read_only: [GRANT x TO y] } }
`
  return parseConfig(text, '/etc/pgwarden/pgwarden.yaml', { SCRAPE: 'a-token-for-scrapes' })
}

function complaint(metrics: string): string {
  try {
    configured(metrics)
  } catch (error) {
    if (error instanceof Failure) return error.detail ?? error.message
  }
  return ''
}

describe('where the metrics are', () => {
  it('is the listener of the API, for everybody, if nothing else is said', () => {
    expect(configured('{}').http.metrics).toMatchObject({ port: undefined, token: undefined })
  })

  it('may be a listener of their own, with a certificate', () => {
    const { http } = configured('{ port: 9432, tls: { certificate: a.crt, key: a.key } }')
    expect(http.metrics).toMatchObject({
      address: '127.0.0.1',
      port: 9432,
      tls: { setting: 'http.metrics.tls', certificate: '/etc/pgwarden/a.crt' },
    })
  })

  it('can be behind a token, which nothing shows', () => {
    const { http } = configured('{ token: { env: SCRAPE } }')
    expect(http.metrics.token?.reveal()).toBe('a-token-for-scrapes')
    expect(inspect(http, { depth: 9 })).not.toContain('a-token-for')
  })

  it.each([
    ['{ token: short }', 'a token of at least 16 characters'],
    ['{ token: "a token with spaces in it" }', 'a token of at least 16 characters'],
    ['{ address: 0.0.0.0 }', 'expected a port'],
    ['{ tls: { certificate: a.crt, key: a.key } }', 'expected a port'],
    ['{ port: 8432 }', 'the same address and port as listen or http'],
    ['{ port: 6432 }', 'the same address and port as listen or http'],
  ])('is not %s', (metrics, what) => {
    expect(complaint(metrics)).toContain(what)
  })
})
