// What a Vault answers when nothing is wrong: tokens, wrapped secrets, leases, database logins, KV, keys that
// sign. Times
// are real and short. Ignorant of HTTP and of everything that may go wrong there. That its answers are
// those of a real Vault is checked by vault-contract.test.ts.

import { createPublicKey, generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto'

export interface FakeAnswer {
  readonly status: number
  readonly body?: object
}

export interface FakeRequest {
  readonly method: string
  /** Decoded, without /v1/. */
  readonly path: string
  readonly token: string | undefined
  readonly body: Readonly<Record<string, unknown>>
}

interface Life {
  readonly ttlMs: number
  readonly renewable: boolean
  /** No renewal leads past it. */
  readonly maxEndsAt: number
  endsAt: number
}

interface Lease extends Life {
  readonly token: string
  readonly login: DatabaseLogin
}

export interface DatabaseLogin {
  readonly username: string
  readonly password: string
}

export interface TokenTerms {
  /** 0: it never ends. */
  readonly ttlMs?: number
  readonly maxTtlMs?: number
  readonly renewable?: boolean
}

export class FakeVaultState {
  readonly tokens = new Map<string, Life>()
  readonly leases = new Map<string, Lease>()
  /** By path, e.g. secret/shop for secret/data/shop. */
  readonly secrets = new Map<string, Readonly<Record<string, string>>>()
  readonly roleId = 'role-id-of-pgwarden'
  readonly secretIds = new Set<string>()
  /** Private keys of Ed25519 by name, all versions: index 0 is version 1. */
  readonly signingKeys = new Map<string, KeyObject[]>()
  /** Terms of tokens that logins give. */
  loginTerms: TokenTerms = { ttlMs: 3_600_000 }
  /** Of database logins. */
  leaseTerms: TokenTerms = { ttlMs: 3_600_000, maxTtlMs: 86_400_000 }
  /** What becomes a login of a database, and how it goes. */
  issue: (role: string) => Promise<DatabaseLogin> = (role) =>
    Promise.resolve({ username: `v-${role}-${randomUUID()}`, password: `pw-${randomUUID()}` })
  withdraw: (login: DatabaseLogin) => Promise<void> = () => Promise.resolve()
  readonly #wrapped = new Map<string, { readonly path: string; readonly data: object }>()

  newToken(terms: TokenTerms = {}): string {
    const token = `hvs.${randomUUID()}`
    this.tokens.set(token, lifeOf(terms))
    return token
  }

  newSecretId(): string {
    const secretId = randomUUID()
    this.secretIds.add(secretId)
    return secretId
  }

  /** The next version of a key, which is the one that signs from now on. */
  rotateKey(name: string): void {
    const { privateKey } = generateKeyPairSync('ed25519')
    this.signingKeys.set(name, [...(this.signingKeys.get(name) ?? []), privateKey])
  }

  /** A wrapping token, good for one look at `data`. */
  wrap(path: string, data: object): string {
    const token = `hvs.wrap-${randomUUID()}`
    this.#wrapped.set(token, { path, data })
    return token
  }

  async answer(request: FakeRequest): Promise<FakeAnswer> {
    await this.#expire()
    const { path, body } = request
    switch (path) {
      case 'sys/health':
        return { status: 200, body: { initialized: true, sealed: false, standby: false } }
      case 'sys/wrapping/lookup': {
        const wrapped = this.#wrapped.get(String(body['token'] ?? request.token))
        return wrapped === undefined
          ? refusal(400, 'wrapping token is not valid or does not exist')
          : success({ data: { creation_path: wrapped.path, creation_ttl: 300 } })
      }
      case 'sys/wrapping/unwrap': {
        const token = String(body['token'] ?? request.token)
        const wrapped = this.#wrapped.get(token)
        if (wrapped === undefined) {
          return refusal(400, 'wrapping token is not valid or does not exist')
        }
        this.#wrapped.delete(token)
        return success({ data: wrapped.data })
      }
    }
    if (/^auth\/[^/]+\/login$/.test(path)) return this.#login(body)
    const { token } = request
    const life = token === undefined ? undefined : this.tokens.get(token)
    if (token === undefined || life === undefined) return refusal(403, 'permission denied')
    return this.#authorized(request, token, life)
  }

  #login(body: FakeRequest['body']): FakeAnswer {
    const isAppRole = 'role_id' in body
    const isGood = body['role_id'] === this.roleId && this.secretIds.has(String(body['secret_id']))
    if (isAppRole && !isGood) return refusal(500, 'invalid secret id')
    const token = this.newToken(this.loginTerms)
    return success({ auth: authOf(token, lifeOf(this.loginTerms)) })
  }

  async #authorized(request: FakeRequest, token: string, life: Life): Promise<FakeAnswer> {
    const { path, body } = request
    switch (path) {
      case 'auth/token/lookup-self':
        return success({ data: lookedUp(token, life) })
      case 'auth/token/renew-self':
        if (!life.renewable) return refusal(400, 'lease is not renewable')
        life.endsAt = Math.min(Date.now() + life.ttlMs, life.maxEndsAt)
        return success({ auth: authOf(token, life) })
      case 'auth/token/revoke-self':
        this.tokens.delete(token)
        await this.#expire()
        return { status: 204 }
      case 'sys/capabilities-self':
        return success({
          data: Object.fromEntries([body['paths']].flat().map((one) => [String(one), ['root']])),
        })
      case 'sys/leases/renew':
      case 'sys/leases/lookup':
      case 'sys/leases/revoke':
        return this.#lease(path, String(body['lease_id']))
    }
    const [, engine, name = ''] = /^[^/]+\/([^/]+)\/(.+)$/.exec(path) ?? []
    switch (engine) {
      case 'creds':
        return this.#dynamic(path, name, token)
      case 'static-creds':
        return success({
          data: {
            username: `static-${name}`,
            password: `static-password-of-${name}`,
            rotation_period: 86_400,
            ttl: 4_000,
          },
        })
      case 'data': {
        const secret = this.secrets.get(path.replace('/data/', '/'))
        if (secret === undefined) return { status: 404, body: { errors: [] } }
        return success({ data: { data: secret, metadata: { version: 1, destroyed: false } } })
      }
      case 'sign':
      case 'keys':
        return this.#transit(engine, this.signingKeys.get(name), String(body['input']))
      default:
        return refusal(404, `no handler for route "${path}"`)
    }
  }

  #transit(what: 'sign' | 'keys', versions: readonly KeyObject[] = [], input: string): FakeAnswer {
    const [latest] = versions.slice(-1)
    if (latest === undefined) {
      return what === 'sign'
        ? refusal(400, 'signing key not found')
        : { status: 404, body: { errors: [] } }
    }
    if (what === 'sign') {
      const signature = sign(null, Buffer.from(input, 'base64'), latest).toString('base64')
      return success({
        data: { signature: `vault:v${versions.length}:${signature}`, key_version: versions.length },
      })
    }
    const keys = versions.map((key, at) => {
      const { x = '' } = createPublicKey(key).export({ format: 'jwk' })
      const publicKey = Buffer.from(x, 'base64url').toString('base64')
      return [String(at + 1), { name: 'ed25519', public_key: publicKey }] as const
    })
    return success({
      data: { type: 'ed25519', latest_version: versions.length, keys: Object.fromEntries(keys) },
    })
  }

  async #dynamic(path: string, role: string, token: string): Promise<FakeAnswer> {
    if (role.startsWith('unknown')) return refusal(400, `unknown role: ${role}`)
    const login = await this.issue(role)
    const id = `${path}/${randomUUID()}`
    const lease = { ...lifeOf(this.leaseTerms), token, login }
    this.leases.set(id, lease)
    return success({
      lease_id: id,
      lease_duration: secondsTo(lease.endsAt),
      renewable: lease.renewable,
      data: { ...login },
    })
  }

  async #lease(path: string, id: string): Promise<FakeAnswer> {
    const lease = this.leases.get(id)
    if (path === 'sys/leases/revoke') {
      if (lease !== undefined) await this.#end(id, lease)
      return { status: 204 }
    }
    if (lease === undefined) {
      return refusal(400, path === 'sys/leases/lookup' ? 'invalid lease' : 'lease not found')
    }
    if (path === 'sys/leases/lookup') {
      return success({ data: { id, renewable: lease.renewable, ttl: secondsTo(lease.endsAt) } })
    }
    lease.endsAt = Math.min(Date.now() + lease.ttlMs, lease.maxEndsAt)
    return success({
      lease_id: id,
      lease_duration: secondsTo(lease.endsAt),
      renewable: lease.renewable,
    })
  }

  /** A token that ends takes its leases along. */
  async #expire(): Promise<void> {
    const now = Date.now()
    for (const [token, { endsAt }] of this.tokens) if (endsAt <= now) this.tokens.delete(token)
    for (const [id, lease] of this.leases) {
      if (lease.endsAt <= now || !this.tokens.has(lease.token)) await this.#end(id, lease)
    }
  }

  async #end(id: string, lease: Lease): Promise<void> {
    this.leases.delete(id)
    await this.withdraw(lease.login)
  }
}

function lifeOf({ ttlMs = 0, maxTtlMs, renewable = true }: TokenTerms): Life {
  const now = Date.now()
  const never = Number.POSITIVE_INFINITY
  return {
    ttlMs,
    renewable: renewable && ttlMs > 0,
    maxEndsAt: maxTtlMs === undefined ? never : now + maxTtlMs,
    endsAt: ttlMs === 0 ? never : now + ttlMs,
  }
}

/** Vault counts in seconds; parts of them are told here so that tests need not wait for whole ones. */
function secondsTo(endsAt: number): number {
  return Number.isFinite(endsAt) ? Math.max(endsAt - Date.now(), 0) / 1000 : 0
}

function lookedUp(token: string, { ttlMs, endsAt, renewable }: Life): object {
  return {
    id: token,
    ttl: secondsTo(endsAt),
    creation_ttl: ttlMs / 1000,
    expire_time: Number.isFinite(endsAt) ? new Date(endsAt).toISOString() : null,
    renewable,
    policies: ['default'],
    type: 'service',
  }
}

function authOf(token: string, { endsAt, renewable }: Life): object {
  return {
    client_token: token,
    accessor: randomUUID(),
    policies: ['default'],
    lease_duration: secondsTo(endsAt),
    renewable,
    token_type: 'service',
  }
}

function success(answer: object): FakeAnswer {
  const nothing = {
    request_id: randomUUID(),
    lease_id: '',
    renewable: false,
    lease_duration: 0,
    data: null,
    wrap_info: null,
    warnings: null,
    auth: null,
  }
  return { status: 200, body: { ...nothing, ...answer } }
}

function refusal(status: number, ...errors: readonly string[]): FakeAnswer {
  return { status, body: { errors } }
}
