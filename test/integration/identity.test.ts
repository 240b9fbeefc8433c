// Access tokens of a real provider on this machine, good ones and every kind of bad one. The clock is held.

import { createHmac } from 'node:crypto'
import {
  decodeProtectedHeader,
  exportJWK,
  generateKeyPair,
  type JSONWebKeySet,
  type JWTPayload,
  SignJWT,
} from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { Authenticator } from '../../src/identity/authenticator.ts'
import { audience, clientId, OpenidProvider, service } from '../support/openid-provider.ts'

let provider: OpenidProvider
let now: number
let elapsed: number
let problems: unknown[]

beforeAll(async () => {
  provider = await OpenidProvider.start()
})
afterAll(() => provider.stop())
beforeEach(() => {
  now = Date.now()
  elapsed = 0
  problems = []
  provider.isDown = false
  provider.asked.length = 0
})

function authenticator(
  more: {
    readonly jwks?: string
    readonly issuer?: string
    readonly audience?: readonly string[]
    readonly principalClaim?: string
    readonly serviceClaim?: { readonly name: string; readonly value: string | undefined }
  } = {},
): Authenticator {
  return Authenticator.of({
    oidc: {
      issuer: more.issuer ?? provider.issuer,
      audience: more.audience ?? [audience],
      jwks: more.jwks,
      ca: undefined,
      principalClaim: more.principalClaim ?? 'preferred_username',
      groupsClaim: 'groups',
      serviceClaim: more.serviceClaim,
      servicePrefix: 'service-',
      clockSkewMs: 30_000,
      claims: ['uid', 'tenant.id', 'https://example.test/org', 'big', 'zero', 'list'],
    },
    keys: { findApiKey: async () => undefined, apiKeyUsed: async () => undefined },
    clock: { now: () => now, elapsed: () => elapsed },
    onProblem: (error) => problems.push(error),
  })
}

const bearer = (token: string): string => `Bearer ${token}`

/** What the caller is told. */
async function refused(token: string, by: Authenticator = authenticator()): Promise<unknown> {
  return by.identify(bearer(token)).then(
    (identity) => expect.fail(`taken for ${identity.principal}`),
    (error: unknown) => error,
  )
}

const unauthenticated = (message: string | RegExp): unknown =>
  expect.objectContaining({
    code: 'unauthenticated',
    status: 401,
    message: typeof message === 'string' ? message : (expect.stringMatching(message) as unknown),
  })

describe('an access token', () => {
  it('of the device flow says who its bearer is', async () => {
    const identity = await authenticator().identify(bearer(await provider.tokenOf('u-alice')))
    expect(identity).toMatchObject({
      principal: 'alice',
      kind: 'person',
      groups: ['developers'],
      claims: { uid: '42' },
      via: 'oidc',
    })
    expect(identity.expiresAt).toBeGreaterThan(now)
  })

  it('of client credentials names a service, as no person is called', async () => {
    const identity = await authenticator().identify(bearer(await provider.serviceToken()))
    expect(identity).toMatchObject({
      principal: `service-${service.clientId}`,
      kind: 'service',
      groups: ['bi'],
    })
    const person = await provider.sign(
      provider.payload({ preferred_username: `service-${service.clientId}` }),
    )
    expect(await refused(person)).toEqual(unauthenticated(/begins like the name of a service/))
  })

  it('is a service’s where the configured claim says so', async () => {
    const by = authenticator({ serviceClaim: { name: 'idtyp', value: 'app' } })
    const token = await provider.sign(provider.payload({ idtyp: 'app', azp: 'loader' }))
    const { kind, principal } = await by.identify(bearer(token))
    expect({ kind, principal }).toEqual({ kind: 'service', principal: `service-${clientId}` })
    const person = await by.identify(bearer(await provider.sign(provider.payload())))
    expect(person.kind).toBe('person')
  })

  it('brings the claims that sessions need as text, and no others', async () => {
    const token = await provider.sign(
      provider.payload({
        uid: 7,
        tenant: { id: 'acme' },
        'https://example.test/org': true,
        // Two ids that differ, and are one number in JavaScript.
        big: 2 ** 53,
        zero: 'a\u0000b',
        list: ['x'],
        password: 'x',
      }),
    )
    const { claims } = await authenticator().identify(bearer(token))
    expect(claims).toEqual({ uid: '7', 'tenant.id': 'acme', 'https://example.test/org': 'true' })
  })

  it('takes a text for one group, and not for those that its words would name', async () => {
    const token = await provider.sign(provider.payload({ groups: 'friends of dbas' }))
    const { groups } = await authenticator().identify(bearer(token))
    expect(groups).toEqual(['friends of dbas'])
  })

  it('calls nobody by an address that was never verified', async () => {
    const by = authenticator({ principalClaim: 'email' })
    const named = (verified: unknown) =>
      provider.sign(provider.payload({ email: 'alice@example.test', email_verified: verified }))
    for (const verified of [false, 'false']) {
      expect(await refused(await named(verified), by)).toEqual(unauthenticated(/never verified/))
    }
    for (const verified of [true, undefined]) {
      const { principal } = await by.identify(bearer(await named(verified)))
      expect(principal).toBe('alice@example.test')
    }
  })

  it.each([
    ['a number', 5],
    ['an object', { developers: true }],
    ['numbers', [1, 2]],
    ['an empty name', ['']],
    ['null', null],
  ])('with groups that are %s is refused', async (_, groups) => {
    const token = await provider.sign(provider.payload({ groups }))
    expect(await refused(token)).toEqual(unauthenticated('the claim groups is no list of names'))
  })

  it('with more than 500 groups is refused, and says what to do', async () => {
    const groups = Array.from({ length: 501 }, (_, at) => `g${at}`)
    expect(await refused(await provider.sign(provider.payload({ groups })))).toEqual(
      unauthenticated('the claim groups has more than 500 names'),
    )
  })

  it.each([
    ['with a space', 'alice smith'],
    ['with a line break', 'alice\nbob'],
    ['with a NUL', 'alice\u0000'],
    ['with a character that nobody sees', 'al\u200bice'],
    ['that is read backwards', '\u202eecila'],
    ['with half a character', 'alice\ud800'],
    ['that names a token', 'alice/abcdefghijklmnop'],
    ['that is empty', ''],
    ['that is too long', 'a'.repeat(129)],
  ])('with a name %s is refused', async (_, preferred_username) => {
    const token = await provider.sign(provider.payload({ preferred_username }))
    expect(await refused(token)).toEqual(
      unauthenticated('the claim preferred_username cannot be the name of a principal'),
    )
  })

  it.each([
    ['nothing', undefined],
    ['a number', 42],
    ['a list', ['alice']],
  ])('with %s for a name is refused', async (_, preferred_username) => {
    const token = await provider.sign(provider.payload({ preferred_username }))
    expect(await refused(token)).toEqual(
      unauthenticated('the token has no claim preferred_username'),
    )
  })
})

describe('a token that is not for us, or not now', () => {
  it.each([
    ['of another issuer', { iss: 'https://elsewhere.example' }, /another identity provider/],
    ['for another audience', { aud: 'another-service' }, 'the token is not meant for pgwarden'],
    ['for no audience', { aud: undefined }, 'the token is not meant for pgwarden'],
    ['without an end', { exp: undefined }, /exp/],
    ['without a subject', { sub: undefined }, /sub/],
    ['with a text for its end', { exp: 'never' }, /exp/],
  ])('%s is refused', async (_, changes, message) => {
    // Types aside: whoever signs can write anything.
    const payload = { ...provider.payload(), ...changes } as JWTPayload
    expect(await refused(await provider.sign(payload))).toEqual(unauthenticated(message))
  })

  it('has expired, but for the skew of the clocks', async () => {
    const exp = Math.floor(now / 1000)
    const token = await provider.sign(provider.payload({ exp }))
    const by = authenticator()
    now = exp * 1000 + 29_000
    expect((await by.identify(bearer(token))).expiresAt).toBe(exp * 1000 + 30_000)
    now = exp * 1000 + 31_000
    // Remembered or not.
    expect(await refused(token, by)).toEqual(unauthenticated('the token has expired'))
    expect(await refused(token)).toEqual(unauthenticated('the token has expired'))
  })

  it('begins later, but for the skew of the clocks', async () => {
    const nbf = Math.floor(now / 1000) + 60
    const token = await provider.sign(provider.payload({ nbf }))
    expect(await refused(token)).toEqual(unauthenticated('the token is not valid yet'))
    now += 31_000
    expect((await authenticator().identify(bearer(token))).principal).toBe('alice')
  })

  it('ends by the wall clock although it was set forward', async () => {
    const by = authenticator()
    const token = bearer(await provider.sign(provider.payload()))
    await by.identify(token)
    now += 3_600_000
    await expect(by.identify(token)).rejects.toMatchObject({ message: 'the token has expired' })
  })

  it.each(['logout+jwt', 'dpop+jwt', 'secevent+jwt'])('of the type %s is refused', async (typ) => {
    expect(await refused(await provider.sign(provider.payload(), { typ }))).toEqual(
      unauthenticated(/another type/),
    )
  })

  it('is an ID token', async () => {
    const token = await provider.sign(provider.payload({ at_hash: 'x' }), { typ: 'JWT' })
    expect(await refused(token)).toEqual(unauthenticated('an ID token is no access token'))
  })

  it('is bound to a key that its bearer has not shown', async () => {
    const token = await provider.sign(provider.payload({ cnf: { jkt: 'x' } }))
    expect(await refused(token)).toEqual(unauthenticated(/bound to a key/))
  })
})

describe('a forged token', () => {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')

  it('without a signature is refused', async () => {
    const payload = part(provider.payload())
    for (const alg of ['none', 'None', 'NONE', '']) {
      const header = part({ alg, typ: 'at+jwt' })
      expect(await refused(`${header}.${payload}.`)).toEqual(unauthenticated(/cannot be verified/))
      expect(await refused(`${header}.${payload}`)).toEqual(unauthenticated(/cannot be verified/))
    }
  })

  it('signed with the public key as a shared secret is refused', async () => {
    const { kid = '' } = decodeProtectedHeader(await provider.sign(provider.payload()))
    const shown = await (await fetch(`${provider.issuer}/jwks`)).text()
    const { keys } = JSON.parse(shown) as JSONWebKeySet
    for (const secret of [shown, JSON.stringify(keys[0])]) {
      const signed = `${part({ alg: 'HS256', typ: 'at+jwt', kid })}.${part(provider.payload())}`
      const mac = createHmac('sha256', secret).update(signed).digest('base64url')
      expect(await refused(`${signed}.${mac}`)).toEqual(unauthenticated(/cannot be verified/))
    }
  })

  it('signed with a key of its own is refused, wherever it says that the key is', async () => {
    const { privateKey, publicKey } = await generateKeyPair('ES256')
    const jwk = await exportJWK(publicKey)
    const { kid = '' } = decodeProtectedHeader(await provider.sign(provider.payload()))
    const own = { jwk, jku: `${provider.issuer}/jwks?of=mallory`, x5u: 'http://127.0.0.1:9/x5u' }
    for (const header of [{ kid }, { kid, ...own }, { kid: 'mine', ...own }, own]) {
      const token = await new SignJWT(provider.payload())
        .setProtectedHeader({ alg: 'ES256', ...header })
        .sign(privateKey)
      expect(await refused(token)).toEqual(unauthenticated(/cannot be verified|does not have/))
    }
    expect(provider.asked.filter((path) => path.includes('mallory'))).toEqual([])
  })

  it('with another content under a good signature is refused', async () => {
    const [header, , signature] = (await provider.sign(provider.payload())).split('.')
    const payload = part(provider.payload({ preferred_username: 'dave' }))
    expect(await refused(`${header}.${payload}.${signature}`)).toEqual(
      unauthenticated(/cannot be verified/),
    )
  })

  it('of another provider is refused though that one names our issuer', async () => {
    const other = await OpenidProvider.start()
    try {
      expect(await refused(await other.sign(provider.payload()))).toEqual(
        unauthenticated(/does not have/),
      )
    } finally {
      await other.stop()
    }
  })

  it('is refused with a sentence whatever its bytes are', async () => {
    const good = await provider.sign(provider.payload())
    const by = authenticator()
    for (let at = 0; at < good.length; at += 7) {
      for (const text of [good.slice(0, at), `${good.slice(0, at)}.${good.slice(at + 1)}`]) {
        expect(await refused(text, by)).toMatchObject({ status: 401 })
      }
    }
    const [, payload, signature] = good.split('.')
    const critical = part({ ...decodeProtectedHeader(good), crit: ['mine'], mine: 1 })
    expect(await refused(`${critical}.${payload}.${signature}`, by)).toMatchObject({ status: 401 })
  })

  it('is not looked at when it is longer than 16 KiB', async () => {
    const token = await provider.sign(provider.payload({ padding: 'x'.repeat(20_000) }))
    expect(await refused(token)).toEqual(unauthenticated(/longer than any/))
    expect(provider.asked).toEqual([])
  })
})

describe('the provider’s keys', () => {
  it('are asked for once, however many call at the same moment', async () => {
    const by = authenticator()
    const tokens = await Promise.all(
      Array.from({ length: 20 }, (_, at) => provider.sign(provider.payload({ jti: String(at) }))),
    )
    await Promise.all(tokens.map((token) => by.identify(bearer(token))))
    expect(provider.asked).toEqual(['/.well-known/openid-configuration', '/jwks'])
  })

  it('are found without the metadata where the configuration says where', async () => {
    const by = authenticator({ jwks: `${provider.issuer}/jwks` })
    await by.identify(bearer(await provider.sign(provider.payload())))
    expect(provider.asked).toEqual(['/jwks'])
  })

  it('are taken anew when a token names one that is not known, at most every 30 s', async () => {
    const by = authenticator()
    await by.identify(bearer(await provider.sign(provider.payload())))
    await provider.rotateKeys()
    const token = await provider.sign(provider.payload())
    const asked = provider.asked.length
    // A stranger's token could name any key: it must not make us ask.
    for (let n = 0; n < 10; n++) {
      expect(await refused(token, by)).toEqual(unauthenticated(/does not have/))
    }
    expect(provider.asked.length).toBe(asked)
    elapsed += 30_000
    expect((await by.identify(bearer(token))).principal).toBe('alice')
  })

  it('that were withdrawn open nothing from ten minutes on', async () => {
    const by = authenticator()
    const tokens = await Promise.all(
      Array.from({ length: 50 }, (_, at) => provider.sign(provider.payload({ jti: String(at) }))),
    )
    const next = (): string => bearer(tokens.pop() ?? '')
    await by.identify(next())
    await provider.rotateKeys()
    elapsed += 599_000
    await by.identify(next())
    elapsed += 1_000
    // The first call still goes by the old keys, and has the new ones fetched behind it.
    await by.identify(next())
    const taken = (): Promise<boolean> => by.identify(next()).then(Boolean, () => false)
    await expect.poll(taken).toBe(false)
  })

  it('go on for an hour while the provider is down, and no longer', async () => {
    const by = authenticator()
    const token = (jti: string) => provider.sign(provider.payload({ jti, exp: 4e9 }))
    await by.identify(bearer(await token('1')))
    provider.isDown = true
    elapsed += 3_599_000
    expect((await by.identify(bearer(await token('2')))).principal).toBe('alice')
    await expect.poll(() => problems.length).toBeGreaterThan(0)
    elapsed += 2_000
    expect(await refused(await token('3'), by)).toMatchObject({
      code: 'cannot_connect_now',
      status: 503,
      message: 'pgwarden cannot read the keys of the identity provider',
    })
    provider.isDown = false
    elapsed += 2_000
    expect((await by.identify(bearer(await token('3')))).principal).toBe('alice')
  })

  it('are not taken from the metadata of another issuer', async () => {
    const by = authenticator({ issuer: `${provider.issuer}/` })
    const token = await provider.sign(provider.payload({ iss: `${provider.issuer}/` }))
    expect(await refused(token, by)).toMatchObject({ status: 503 })
    expect(provider.asked).toEqual(['/.well-known/openid-configuration'])
  })
})
