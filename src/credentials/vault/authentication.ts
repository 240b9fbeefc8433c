// The ways to a Vault token: one that was given to us, or a login by AppRole, Kubernetes service account,
// JWT or TLS certificate. What lies in files is read again at every login, since whoever put it there
// renews it there. Ignorant of how long a token is used.
// Vault's documentation: "Auth methods".

import { createHash } from 'node:crypto'
import { Secret } from '../../secret.ts'
import { VaultProblem } from './problem.ts'
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
  /** Whether another token lies there than the one obtained last. */
  hasAnother(): Promise<boolean>
}

export function authentication(settings: AuthSettings): Authentication {
  switch (settings.method) {
    case 'token':
      return givenToken(settings.token)
    case 'approle': {
      const { mount, roleId, secretIdFile, wrapped } = settings
      const unwrapped = wrapped ? new WrappedSecretId(secretIdFile, mount) : undefined
      return login(mount, async (ask) => ({
        role_id: roleId.reveal(),
        secret_id: (
          await (unwrapped === undefined ? secretOf(secretIdFile) : unwrapped.secretId(ask))
        ).reveal(),
      }))
    }
    case 'kubernetes':
    case 'jwt': {
      const { mount, role, tokenFile } = settings
      return login(mount, async () => ({ role, jwt: (await secretOf(tokenFile)).reveal() }))
    }
    case 'cert': {
      // The certificate itself is shown in the TLS handshake.
      const { mount, role } = settings
      return login(mount, () => Promise.resolve(role === undefined ? {} : { name: role }))
    }
  }
}

function login(mount: string, credentials: (ask: Ask) => Promise<object>): Authentication {
  return {
    name: `login at auth/${mount}`,
    makesTokens: true,
    hasAnother: () => Promise.resolve(false),
    obtain: async (ask) => {
      const path = `auth/${mount}/login`
      const { auth } = await ask({ method: 'POST', path, body: await credentials(ask) })
      if (auth?.token === undefined) throw new VaultProblem('failing', `${path} gave no token`)
      const { token, leaseMs, renewable } = auth
      return { token, leftMs: leaseMs === 0 ? undefined : leaseMs, fullMs: leaseMs, renewable }
    },
  }
}

function givenToken(source: Secret | { readonly file: string }): Authentication {
  const read = (): Promise<Secret> =>
    source instanceof Secret ? Promise.resolve(source) : secretOf(source.file)
  let obtained: string | undefined
  return {
    name: 'the token that was given',
    makesTokens: false,
    hasAnother: async () => obtained !== undefined && digest(await read()) !== obtained,
    obtain: async (ask) => {
      const token = await read()
      const { data } = await ask({ method: 'GET', path: 'auth/token/lookup-self', token })
      obtained = digest(token)
      // ttl is 0 for tokens without an end, and those alone have no time of expiry.
      const left = typeof data['expire_time'] === 'string' ? milliseconds(data['ttl']) : undefined
      return {
        token,
        leftMs: left,
        fullMs: milliseconds(data['period']) || milliseconds(data['creation_ttl']),
        renewable: data['renewable'] === true,
      }
    },
  }
}

function digest(token: Secret): string {
  return createHash('sha256').update(token.reveal()).digest('base64')
}
