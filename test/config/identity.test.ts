// What the configuration says of callers: the identity provider, the control plane's door, advertised
// listeners.

import { describe, expect, it } from 'vitest'
import { type Config, parseConfig } from '../../src/config/config.ts'
import { Failure } from '../../src/errors.ts'

const rest = `store: { url: postgres://a:b@c/d }
journal: { directory: journal }
targets:
  shop:
    host: db
    database: shop
    credentials:
      broker: { user: b, password: c, owned: drop, creation: { read_only: ['GRANT r TO {{name}}'] } }
`
const oidc = (lines: string): string =>
  `identity: { oidc: { issuer: https://id.example, audience: pgwarden${lines} } }\n`

function parsed(text: string): Config {
  return parseConfig(`${text}${rest}`, '/etc/pgwarden.yaml', {})
}

function complaint(text: string): string {
  try {
    parsed(text)
    return 'none'
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    return error.detail ?? error.message
  }
}

describe('an identity provider', () => {
  it('needs an issuer and an audience, and has sensible rest', () => {
    expect(parsed(oidc('')).identity.oidc).toEqual({
      issuer: 'https://id.example',
      audience: ['pgwarden'],
      clientId: undefined,
      scopes: ['openid', 'profile', 'groups'],
      jwks: undefined,
      principalClaim: 'preferred_username',
      groupsClaim: 'groups',
      serviceClaim: undefined,
      servicePrefix: 'service-',
      clockSkewMs: 30_000,
      ca: undefined,
    })
    expect(parsed('').identity.oidc).toBeUndefined()
    expect(complaint('identity: { oidc: { issuer: https://id.example } }\n')).toContain(
      'identity.oidc.audience: missing',
    )
  })

  it('may have several audiences, and not none', () => {
    const two = 'identity: { oidc: { issuer: https://id.example, audience: [a, b] } }\n'
    expect(parsed(two).identity.oidc?.audience).toEqual(['a', 'b'])
    expect(complaint(two.replace('[a, b]', '[]'))).toContain('expected at least one')
  })

  it.each([
    'http://id.example',
    'https://id.example?x=1',
    'https://user@id.example',
    'https://id.example#a',
    'id.example',
    'http://127.0.0.1.example',
  ])('is not asked at %s: what comes from there could be forged', (issuer) => {
    const text = `identity: { oidc: { issuer: "${issuer}", audience: a } }\n`
    expect(complaint(text)).toContain('identity.oidc.issuer: expected a URL')
    expect(complaint(oidc(`, jwks: "${issuer}"`))).toContain('identity.oidc.jwks: expected a URL')
  })

  it('may be on this machine without TLS', () => {
    const text = 'identity: { oidc: { issuer: http://127.0.0.1:9000/realms/x, audience: a } }\n'
    expect(parsed(text).identity.oidc?.issuer).toBe('http://127.0.0.1:9000/realms/x')
  })

  it('has a prefix for services: without one they could be called as people are', () => {
    expect(complaint(oidc(', servicePrefix: ""'))).toContain('servicePrefix: expected one word')
  })
})

describe('the control plane', () => {
  it('takes plaintext from this machine alone, where nothing else is written', () => {
    expect(parsed('').http).toMatchObject({
      address: '127.0.0.1',
      port: 8432,
      tls: undefined,
      allowPlaintextFrom: ['127.0.0.0/8', '::1/128'],
      url: undefined,
    })
  })

  it('has a certificate, whose paths start at the file', () => {
    expect(parsed('http: { tls: { certificate: a.crt, key: a.key } }\n').http.tls).toEqual({
      setting: 'http.tls',
      certificate: '/etc/a.crt',
      key: '/etc/a.key',
      clientCa: undefined,
    })
  })

  it('is reached at a URL without a slash at its end, by https or on this machine', () => {
    expect(parsed('http: { url: "https://pgwarden.example/db/" }\n').http.url).toBe(
      'https://pgwarden.example/db',
    )
    expect(parsed('http: { url: "http://localhost:8432" }\n').http.url).toBe(
      'http://localhost:8432',
    )
    expect(complaint('http: { url: "http://pgwarden.example" }\n')).toContain('http.url: expected')
  })
})

it('a listener says where clients reach it, at its own port where none is given', () => {
  const at = (advertise: string): Config['listen'][0]['advertise'] =>
    parsed(`listen: { port: 7000, advertise: "${advertise}" }\n`).listen[0].advertise
  expect(at('db.example')).toEqual({ host: 'db.example', port: 7000 })
  expect(at('db.example:5432')).toEqual({ host: 'db.example', port: 5432 })
})
