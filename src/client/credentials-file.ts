// Where logins are kept between commands: one file, for its owner alone, a login for each server. Refused
// when others can read it: what it holds may be in their hands already. Ignorant of how one logs in.

import { randomUUID } from 'node:crypto'
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import * as z from 'zod'
import { Failure } from '../errors.ts'
import { Secret } from '../secret.ts'

/** What an identity provider gave. */
export interface Login {
  readonly issuer: string
  readonly clientId: string
  /** What the control plane is shown. */
  readonly bearer: Secret
  /** Milliseconds since the epoch. */
  readonly expiresAt: number
  readonly refreshToken: Secret | undefined
}

interface Kept {
  /** The server that was logged in to last: the one that is meant when none is named. */
  readonly current: string | undefined
  readonly logins: ReadonlyMap<string, Login>
}

const form = z.object({
  version: z.literal(1),
  current: z.string().optional(),
  servers: z.record(
    z.string(),
    z.object({
      issuer: z.string(),
      clientId: z.string(),
      bearer: z.string(),
      expiresAt: z.number(),
      refreshToken: z.string().optional(),
    }),
  ),
})

/** $XDG_CONFIG_HOME/pgwarden/credentials.json. XDG Base Directory Specification. */
export function credentialsPath(env: Readonly<Record<string, string | undefined>>): string {
  const configured = env['XDG_CONFIG_HOME'] ?? ''
  const home = env['HOME'] ?? homedir()
  return join(
    configured === '' ? join(home, '.config') : configured,
    'pgwarden',
    'credentials.json',
  )
}

export class CredentialsFile {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  /** The server that is meant when none is named. */
  async current(): Promise<string | undefined> {
    return (await this.#read()).current
  }

  async find(server: URL): Promise<Login | undefined> {
    return (await this.#read()).logins.get(server.href)
  }

  async keep(server: URL, login: Login): Promise<void> {
    const { logins } = await this.#read()
    await this.#write({ current: server.href, logins: new Map(logins).set(server.href, login) })
  }

  /** As `keep`, without making it the server that is meant when none is named. */
  async renew(server: URL, login: Login): Promise<void> {
    const { current, logins } = await this.#read()
    await this.#write({ current, logins: new Map(logins).set(server.href, login) })
  }

  async forget(server: URL): Promise<void> {
    const { current, logins } = await this.#read()
    const others = new Map([...logins].filter(([name]) => name !== server.href))
    await this.#write({ current: current === server.href ? undefined : current, logins: others })
  }

  async #read(): Promise<Kept> {
    let text: string
    try {
      await this.#refuseOthers()
      text = await readFile(this.#path, 'utf8')
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
        return { current: undefined, logins: new Map() }
      }
      if (error instanceof Failure) throw error
      throw this.#unusable('it cannot be read', error)
    }
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch (error) {
      throw this.#unusable('it is no JSON', error)
    }
    const read = form.safeParse(value)
    if (!read.success) throw this.#unusable('it is not of the form that it should have', read.error)
    const { current, servers } = read.data
    const logins = Object.entries(servers).map(
      ([server, { bearer, refreshToken, ...plain }]) =>
        [
          server,
          {
            ...plain,
            bearer: new Secret(bearer),
            refreshToken: refreshToken === undefined ? undefined : new Secret(refreshToken),
          },
        ] as const,
    )
    return { current, logins: new Map(logins) }
  }

  async #refuseOthers(): Promise<void> {
    // Windows keeps rights elsewhere, and what it says here means nothing.
    if (process.platform === 'win32') return
    const file = await open(this.#path)
    try {
      const { mode, uid } = await file.stat()
      const own = process.getuid?.()
      if ((mode & 0o077) === 0 && uid === own) return
      throw new Failure('invalid_configuration', {
        message: `${this.#path} holds logins, and others can read or change it`,
        hint: `Run: chmod 600 ${this.#path} - and log in anew where others could have read it.`,
      })
    } finally {
      await file.close()
    }
  }

  /** By a file of its own that takes the place of the old one: half a file is never there. */
  async #write({ current, logins }: Kept): Promise<void> {
    const servers = Object.fromEntries(
      [...logins].map(([server, { bearer, refreshToken, ...plain }]) => [
        server,
        { ...plain, bearer: bearer.reveal(), refreshToken: refreshToken?.reveal() },
      ]),
    )
    const text = JSON.stringify({ version: 1, current, servers }, undefined, 2)
    const draft = `${this.#path}.${randomUUID()}`
    try {
      await mkdir(dirname(this.#path), { recursive: true, mode: 0o700 })
      const file = await open(draft, 'wx', 0o600)
      try {
        await file.writeFile(`${text}\n`)
        await file.sync()
      } finally {
        await file.close()
      }
      await rename(draft, this.#path)
    } catch (error) {
      await rm(draft, { force: true })
      throw this.#unusable('it cannot be written', error)
    }
  }

  #unusable(what: string, cause: unknown): Failure {
    return new Failure(
      'invalid_configuration',
      {
        message: `${this.#path} keeps the logins, and ${what}`,
        ...(cause instanceof Error && 'code' in cause ? { detail: String(cause.code) } : {}),
        hint: 'Remove it and log in again.',
      },
      { cause },
    )
  }
}
