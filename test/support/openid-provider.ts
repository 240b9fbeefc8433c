// A real OpenID provider on this machine (the npm package oidc-provider): discovery, keys that rotate, the
// device authorization flow, client credentials, and access tokens that are JWTs for the audience
// `pgwarden`. People log in by a call of this object in the place of a browser.

import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import {
  exportJWK,
  generateKeyPair,
  importJWK,
  type JWK,
  type JWTHeaderParameters,
  type JWTPayload,
  SignJWT,
} from 'jose'
import type { Adapter, AdapterPayload, Configuration } from 'oidc-provider'

/** What the provider says of a person: the claims of its tokens, by their `sub`. */
export type People = Readonly<Record<string, Readonly<Record<string, unknown>>>>

export const audience = 'pgwarden'
/** Of the command line: public, by the device flow. */
export const clientId = 'pgwarden-cli'
/** Of a program, by client credentials. */
export const service = { clientId: 'reporting', secret: 'secret-of-the-reporting-service' } as const

const resource = 'https://pgwarden.example/'
const scopes = ['openid', 'profile', 'groups']

const somePeople: People = {
  'u-alice': { preferred_username: 'alice', groups: ['developers'], uid: 42 },
  'u-bob': { preferred_username: 'bob', groups: ['managers'], uid: 43 },
  'u-carol': { preferred_username: 'carol', groups: ['security'], uid: 44 },
  'u-dave': { preferred_username: 'dave', groups: ['dbas', 'pgwarden-admins'], uid: 45 },
}

export class OpenidProvider {
  readonly issuer: string
  readonly #server: Server
  readonly #people: People
  readonly #stored = new Map<string, Map<string, AdapterPayload>>()
  #keys: readonly JWK[] = []
  #provider: InstanceType<Awaited<ReturnType<typeof library>>> | undefined
  /** What was asked of it: paths, in their order. */
  readonly asked: string[] = []
  /** While true it answers nothing but 503. */
  isDown = false

  private constructor(server: Server, port: number, people: People) {
    this.#server = server
    this.#people = people
    this.issuer = `http://127.0.0.1:${port}`
  }

  static async start(people: People = somePeople): Promise<OpenidProvider> {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('a TCP server has a port')
    const provider = new OpenidProvider(server, address.port, people)
    server.on('request', (request, response) => {
      provider.asked.push(request.url ?? '')
      if (provider.isDown) response.writeHead(503).end()
      else void provider.#running.callback()(request, response)
    })
    await provider.rotateKeys()
    return provider
  }

  /** Signs with a new key from now on, and shows it; the ones before only when they are kept. */
  async rotateKeys({ keep = false } = {}): Promise<void> {
    const { privateKey } = await generateKeyPair('ES256', { extractable: true })
    const key = { ...(await exportJWK(privateKey)), kid: randomUUID(), alg: 'ES256', use: 'sig' }
    this.#keys = keep ? [key, ...this.#keys] : [key]
    const Provider = await library()
    this.#provider = new Provider(this.issuer, this.#configuration())
  }

  /** The device flow's page, for a person who types the code and agrees. */
  async approveDevice(userCode: string, person: string): Promise<void> {
    const { DeviceCode, Grant } = this.#running
    const code = await DeviceCode.findByUserCode(userCode.replace(/\W/g, '').toUpperCase())
    if (code?.clientId === undefined) throw new Error(`nobody asks for the code ${userCode}`)
    const scope = String(code.params?.['scope'] ?? '')
    const grant = new Grant({ accountId: person, clientId: code.clientId })
    grant.addOIDCScope(scope)
    grant.addResourceScope(resource, '')
    const grantId = await grant.save()
    const authTime = Math.floor(Date.now() / 1000)
    await Object.assign(code, { accountId: person, grantId, scope, resource, authTime }).save()
  }

  /** The device flow's page, for a person who does not agree. */
  async denyDevice(userCode: string): Promise<void> {
    const code = await this.#running.DeviceCode.findByUserCode(
      userCode.replace(/\W/g, '').toUpperCase(),
    )
    if (code === undefined) throw new Error(`nobody asks for the code ${userCode}`)
    const error = 'access_denied'
    await Object.assign(code, { error, errorDescription: 'the person does not agree' }).save()
  }

  /** An access token of a person, by the device flow from its beginning to its end. */
  async tokenOf(person: string): Promise<string> {
    const device = await this.#post('/device/auth', {
      client_id: clientId,
      scope: scopes.join(' '),
    })
    await this.approveDevice(String(device['user_code']), person)
    return this.#token({
      grant_type: 'urn:ietf:params:oauth:grant-type:device_code',
      client_id: clientId,
      device_code: String(device['device_code']),
    })
  }

  /** An access token of the service, by client credentials. */
  serviceToken(): Promise<string> {
    const { clientId: client_id, secret: client_secret } = service
    return this.#token({ grant_type: 'client_credentials', client_id, client_secret })
  }

  /** A token of any content, signed with the key that the provider signs with. */
  async sign(payload: JWTPayload, header: Partial<JWTHeaderParameters> = {}): Promise<string> {
    const [key] = this.#keys
    if (key === undefined) throw new Error('the provider has no key')
    return new SignJWT(payload)
      .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid: String(key.kid), ...header })
      .sign(await importJWK(key, 'ES256'))
  }

  /** What an access token of alice holds, to be changed. */
  payload(changes: JWTPayload = {}): JWTPayload {
    const now = Math.floor(Date.now() / 1000)
    const { issuer: iss } = this
    const alice = { sub: 'u-alice', client_id: clientId, ...somePeople['u-alice'] }
    return { iss, aud: audience, ...alice, iat: now, exp: now + 600, ...changes }
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  get #running(): InstanceType<Awaited<ReturnType<typeof library>>> {
    if (this.#provider === undefined) throw new Error('the provider has not started')
    return this.#provider
  }

  async #token(parameters: Readonly<Record<string, string>>): Promise<string> {
    const { access_token: token } = await this.#post('/token', parameters)
    if (typeof token !== 'string') throw new Error('the provider gave no access token')
    return token
  }

  async #post(
    path: string,
    parameters: Readonly<Record<string, string>>,
  ): Promise<Readonly<Record<string, unknown>>> {
    const body = new URLSearchParams(parameters)
    const response = await fetch(`${this.issuer}${path}`, { method: 'POST', body })
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
    return (await response.json()) as Record<string, unknown>
  }

  #configuration(): Configuration {
    return {
      adapter: (model: string) => this.#adapter(model),
      jwks: { keys: this.#keys.map((key) => ({ ...key, kty: 'EC' })) },
      cookies: { keys: ['for tests'] },
      scopes,
      claims: { profile: ['preferred_username'], groups: ['groups'] },
      clients: [
        {
          client_id: clientId,
          token_endpoint_auth_method: 'none',
          grant_types: ['urn:ietf:params:oauth:grant-type:device_code'],
          response_types: [],
          redirect_uris: [],
          id_token_signed_response_alg: 'ES256',
        },
        {
          client_id: service.clientId,
          client_secret: service.secret,
          token_endpoint_auth_method: 'client_secret_post',
          grant_types: ['client_credentials'],
          response_types: [],
          redirect_uris: [],
          id_token_signed_response_alg: 'ES256',
        },
      ],
      findAccount: (_, sub) =>
        this.#people[sub] === undefined
          ? undefined
          : { accountId: sub, claims: () => ({ ...this.#people[sub], sub }) },
      extraTokenClaims: (_, token) =>
        'accountId' in token ? { ...this.#people[String(token.accountId)] } : { groups: ['bi'] },
      features: {
        devInteractions: { enabled: false },
        deviceFlow: { enabled: true },
        clientCredentials: { enabled: true },
        resourceIndicators: {
          enabled: true,
          defaultResource: () => resource,
          useGrantedResource: () => true,
          getResourceServerInfo: () => ({
            scope: '',
            audience,
            accessTokenFormat: 'jwt',
            accessTokenTTL: 600,
            jwt: { sign: { alg: 'ES256' } },
          }),
        },
      },
      ttl: { AccessToken: 600, ClientCredentials: 600, DeviceCode: 600, Grant: 600, IdToken: 600 },
    }
  }

  #adapter(model: string): Adapter {
    const stored = this.#stored.get(model) ?? new Map<string, AdapterPayload>()
    this.#stored.set(model, stored)
    const where = async (key: 'userCode' | 'uid', value: string) =>
      [...stored.values()].find((payload) => payload[key] === value)
    return {
      upsert: async (id, payload) => void stored.set(id, payload),
      find: async (id) => stored.get(id),
      findByUserCode: (code) => where('userCode', code),
      findByUid: (uid) => where('uid', uid),
      consume: async (id) => {
        const payload = stored.get(id)
        if (payload !== undefined) stored.set(id, { ...payload, consumed: true })
      },
      destroy: async (id) => void stored.delete(id),
      revokeByGrantId: async () => undefined,
    }
  }
}

/** Loaded late: it warns of every Node version but the newest, on a console that belongs to the tests. */
async function library() {
  const { warn, info } = console
  console.warn = console.info = () => undefined
  try {
    return (await import('oidc-provider')).default
  } finally {
    Object.assign(console, { warn, info })
  }
}
