// The ways to a Vault token: one that was given to us, or a login by AppRole, Kubernetes service account,
// JWT or TLS certificate. What lies in files is read again at every login, since whoever put it there
// renews it there. Ignorant of how long a token is used.
// Vault's documentation: "Auth methods".

import { createHash } from 'node:crypto'
import { Secret } from '../../secret.ts'
import { mayPass, VaultProblem } from './problem.ts'
import { type Ask, milliseconds } from './question.ts'
import { secretOf } from './secret-file.ts'
import { WrappedSecretId } from './wrapped-secret-id.ts'

/** Paths of files are absolute. `mount` is where the method is enabled, e.g. `approle`. */
export type AuthSettings =
  | { readonly method: 'token'; readonly token: Secret | { readonly file: string } }
  | {
      readonly method: 'approle'
      readonly mount: string
      readonly roleId: Secret
      readonly secretIdFile: string
      /** The file holds a wrapping token, which is good for one look at a secret id. */
      readonly wrapped: boolean
    }
  | {
      readonly method: 'kubernetes' | 'jwt'
      readonly mount: string
      readonly role: string
      readonly tokenFile: string
    }
  | { readonly method: 'cert'; readonly mount: string; readonly role: string | undefined }

export interface Granted {
  readonly token: Secret
  /** What is left of its life; undefined: it never ends. */
  readonly leftMs: number | undefined
  /** What a renewal gives it while nothing caps it. */
  readonly fullMs: number
  readonly renewable: boolean
}

export interface Authentication {
  /** For the log. */
  readonly name: string
  /** Whether tokens are made for us, so that they are ours to give back. */
  readonly makesTokens: boolean
  /** @throws VaultProblem */
  obtain(ask: Ask): Promise<Granted>
  /** Whether we have something else to show than what Vault accepted or refused last. */
  hasAnother(): Promise<boolean>
}

export function authentication(settings: AuthSettings): Authentication {
  switch (settings.method) {
    case 'token': {
      const { token } = settings
      return givenToken(token instanceof Secret ? constant(token) : () => secretOf(token.file))
    }
    case 'approle': {
      const { mount, roleId, secretIdFile, wrapped } = settings
      const unwrapped = wrapped ? new WrappedSecretId(secretIdFile, mount) : undefined
      const read = (): Promise<Secret> => secretOf(secretIdFile)
      return login(mount, read, async (shown, ask) => ({
        role_id: roleId.reveal(),
        secret_id: ((await unwrapped?.secretId(shown, ask)) ?? shown).reveal(),
      }))
    }
    case 'kubernetes':
    case 'jwt': {
      const { mount, role, tokenFile } = settings
      const read = (): Promise<Secret> => secretOf(tokenFile)
      return login(mount, read, (shown) => ({ role, jwt: shown.reveal() }))
    }
    case 'cert': {
      // The certificate itself is shown in the TLS handshake.
      const { mount, role } = settings
      const read = constant(new Secret(''))
      return login(mount, read, () => (role === undefined ? {} : { name: role }))
    }
  }
}

function login(
  mount: string,
  read: () => Promise<Secret>,
  credentials: (shown: Secret, ask: Ask) => object | Promise<object>,
): Authentication {
  const shown = new Shown(read)
  const path = `auth/${mount}/login`
  return {
    name: `login at auth/${mount}`,
    makesTokens: true,
    hasAnother: () => shown.isOld(),
    obtain: (ask) =>
      shown.show(async (secret) => {
        const body = await credentials(secret, ask)
        const { auth } = await ask({ method: 'POST', path, body })
        if (auth?.token === undefined) throw new VaultProblem('failing', `${path} gave no token`)
        const { token, leaseMs, renewable } = auth
        return { token, leftMs: leaseMs === 0 ? undefined : leaseMs, fullMs: leaseMs, renewable }
      }),
  }
}

function givenToken(read: () => Promise<Secret>): Authentication {
  const shown = new Shown(read)
  return {
    name: 'the token that was given',
    makesTokens: false,
    hasAnother: () => shown.isOld(),
    obtain: (ask) =>
      shown.show(async (token) => {
        const { data } = await ask({ method: 'GET', path: 'auth/token/lookup-self', token })
        // ttl is 0 for tokens without an end, and those alone have no time of expiry.
        const ends = typeof data['expire_time'] === 'string'
        return {
          token,
          leftMs: ends ? milliseconds(data['ttl']) : undefined,
          fullMs: milliseconds(data['period']) || milliseconds(data['creation_ttl']),
          renewable: data['renewable'] === true,
        }
      }),
  }
}

function constant(secret: Secret): () => Promise<Secret> {
  return () => Promise.resolve(secret)
}

/** What Vault was shown, so that another in its place is noticed. */
class Shown {
  readonly #read: () => Promise<Secret>
  /** Of what Vault has accepted or refused. */
  #digest: string | undefined

  constructor(read: () => Promise<Secret>) {
    this.#read = read
  }

  async show<T>(use: (secret: Secret) => Promise<T>): Promise<T> {
    const secret = await this.#read()
    this.#digest = digest(secret)
    try {
      return await use(secret)
    } catch (error) {
      // A Vault that is away has judged nothing.
      if (error instanceof VaultProblem && mayPass(error)) this.#digest = undefined
      throw error
    }
  }

  async isOld(): Promise<boolean> {
    return digest(await this.#read()) !== this.#digest
  }
}

function digest(secret: Secret): string {
  return createHash('sha256').update(secret.reveal()).digest('base64')
}
