// A control plane to talk to: which one is meant, and with what credential. An API key of the environment
// comes first; else the login that is kept, refreshed when its time is over.

import type { Clock } from '../clock.ts'
import { Failure } from '../errors.ts'
import { Secret } from '../secret.ts'
import { Api } from './api.ts'
import { CredentialsFile, credentialsPath, type Login } from './credentials-file.ts'
import { type DeviceCode, giveBack, logIn, refresh } from './device-login.ts'
import { Exchange, type Fetch } from './exchange.ts'
import { serverUrl } from './server-url.ts'

export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly fetch: Fetch
  readonly clock: Clock
  readonly pause: (milliseconds: number) => Promise<void>
  readonly version: string
}

/** A token that is as good as over when the server sees it is refreshed first. */
const freshMs = 30_000

export class Client {
  readonly server: URL
  readonly api: Api
  readonly #around: Surroundings
  readonly #file: CredentialsFile

  private constructor(server: URL, file: CredentialsFile, around: Surroundings) {
    this.server = server
    this.#file = file
    this.#around = around
    this.api = this.#apiWith(() => this.#credential())
  }

  /** `url`, else PGWARDEN_URL, else the server that was logged in to last. */
  static async open(url: string | undefined, around: Surroundings): Promise<Client> {
    const file = new CredentialsFile(credentialsPath(around.env))
    const named = url ?? set(around.env['PGWARDEN_URL']) ?? (await file.current())
    if (named === undefined) {
      throw new Failure('unauthenticated', {
        message: 'it is not known which server is meant',
        hint: 'Log in with pgwarden login URL, or name it with --url or PGWARDEN_URL.',
      })
    }
    return new Client(serverUrl(named), file, around)
  }

  /** Whether the credential is an API key: there is nothing to log in for then. */
  get hasKey(): boolean {
    return this.#key() !== undefined
  }

  /** Asks the server how, and the person to do it. The login is kept. */
  async logIn(onCode: (code: DeviceCode) => void, signal: AbortSignal): Promise<void> {
    const { issuer, clientId, scopes = [] } = await this.#apiWith(nobody).loginTerms()
    if (issuer === undefined || clientId === undefined) {
      throw new Failure('unauthenticated', {
        message: `${this.server.origin} has no identity provider to log in at`,
        hint: 'Put an API key that was made for you into PGWARDEN_API_KEY.',
      })
    }
    const login = await logIn({ issuer, clientId, scopes }, this.#around, onCode, signal)
    await this.#file.keep(this.server, login)
  }

  /** Whether there was a login. It is forgotten here first, whatever the provider says. */
  async logOut(): Promise<boolean> {
    const login = await this.#file.find(this.server)
    if (login === undefined) return false
    await this.#file.forget(this.server)
    await giveBack(login, this.#around)
    return true
  }

  async #credential(): Promise<Secret> {
    const key = this.#key()
    if (key !== undefined) return key
    const login = await this.#file.find(this.server)
    if (login === undefined) throw this.#notLoggedIn('you are not logged in to')
    if (this.#isFresh(login)) return login.bearer
    const renewed = await refresh(login, this.#around)
    if (renewed !== undefined) {
      await this.#file.renew(this.server, renewed)
      return renewed.bearer
    }
    // Another command may have been faster, and a refresh token is often good for one use.
    const now = await this.#file.find(this.server)
    if (now !== undefined && this.#isFresh(now)) return now.bearer
    throw this.#notLoggedIn('your login has ended at')
  }

  #isFresh({ expiresAt }: Login): boolean {
    return expiresAt - this.#around.clock.now() > freshMs
  }

  #notLoggedIn(what: string): Failure {
    const { href, origin, pathname } = this.server
    return new Failure('unauthenticated', {
      message: `${what} ${origin}`,
      hint: `Run pgwarden login ${pathname === '/' ? origin : href} or put an API key into PGWARDEN_API_KEY.`,
    })
  }

  #key(): Secret | undefined {
    const key = set(this.#around.env['PGWARDEN_API_KEY'])
    return key === undefined ? undefined : new Secret(key)
  }

  #apiWith(credential: () => Promise<Secret | undefined>): Api {
    const { fetch, pause, version } = this.#around
    return new Api(new Exchange({ server: this.server, credential, fetch, pause, version }))
  }
}

const nobody = (): Promise<undefined> => Promise.resolve(undefined)

/** An empty variable is none. */
function set(value: string | undefined): string | undefined {
  return value === '' ? undefined : value
}
