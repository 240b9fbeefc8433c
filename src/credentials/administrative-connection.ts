// pgwarden's own connections to a target: a small pool over sessions that upstream/ opens and logs in, in
// which every wait has a limit, and whose failures tell a client no more than the target's name. Ignorant
// of what is asked, and of whose login it is.

import { DatabaseError, Pool, type PoolClient } from 'pg'
import { Failure } from '../errors.ts'
import type { Secret } from '../secret.ts'
import { type OpenSession, SessionStream } from './session-stream.ts'

/**
 * Logs in to a target by its name. Implemented by upstream/: logins of our own are worth more than those
 * that are issued, and go no less guarded.
 */
export type Connect = (request: {
  readonly target: string
  readonly parameters: ReadonlyMap<string, string>
  readonly password: Secret
}) => Promise<OpenSession>

/** Asks for rows; nobody checks that they have the fields of `Row`. */
export type Query = <Row extends object>(text: string) => Promise<readonly Row[]>

/** A database login of pgwarden's own. */
export interface AdministrativeLogin {
  readonly user: string
  readonly password: Secret
}

export interface AdministrativeConnectionOptions {
  /** The target's name. */
  readonly target: string
  readonly database: string
  readonly connectTimeoutMs: number
  readonly applicationName: string
  /** Asked for each new connection: a password may have been rotated since the last. */
  readonly login: () => Promise<AdministrativeLogin>
  /** Settings of each session besides those that limit it. */
  readonly settings?: readonly (readonly [name: string, value: string])[]
  readonly connect: Connect
  /** Hears of connections that broke while nobody used them. */
  readonly onProblem: (error: unknown) => void
}

const statementTimeout = 10_000

export class AdministrativeConnection {
  readonly #target: string
  readonly #pool: Pool

  /** Connects to nothing yet. */
  constructor(options: AdministrativeConnectionOptions) {
    this.#target = options.target
    this.#pool = new Pool({
      stream: () => new SessionStream(() => openSession(options)),
      // Whatever PGSSLMODE says: the session comes with its TLS, and with everything above.
      ssl: false,
      max: 4,
      // What waits for a free connection must not wait for ever; connecting has its own limit below.
      connectionTimeoutMillis: options.connectTimeoutMs + 1_000,
      idleTimeoutMillis: 10_000,
      query_timeout: statementTimeout + 1_000,
    })
    this.#pool.on('error', options.onProblem)
  }

  close(): Promise<void> {
    return this.#pool.end()
  }

  /** `what` begins the sentence on a failure that ends with the target's name. @throws Failure */
  async connected<T>(what: string, work: (client: PoolClient) => Promise<T>): Promise<T> {
    let client: PoolClient | undefined
    let failed = true
    // The query that runs rejects too; without a listener the event would end the process.
    const ignore = (): void => {}
    try {
      client = await this.#pool.connect()
      client.on('error', ignore)
      const result = await work(client)
      failed = false
      return result
    } catch (error) {
      throw this.#failure(what, error)
    } finally {
      client?.off('error', ignore)
      // A connection on which something failed may be in the middle of anything: not used again.
      client?.release(failed)
    }
  }

  /**
   * Lets `work` ask what it wants, in one read-only transaction with one view of the database. When
   * `signal` is aborted the connection goes, and with it the query. @throws Failure
   */
  async inspect<T>(work: (query: Query) => Promise<T>, signal: AbortSignal): Promise<T> {
    return this.connected('the catalog cannot be read of', async (client) => {
      await client.query('begin isolation level repeatable read read only')
      const query: Query = async <Row extends object>(text: string) =>
        (await client.query<Row>(text)).rows
      const result = await Promise.race([work(query), rejection(signal)])
      await client.query('commit')
      return result
    })
  }

  /** The cause names host and login, for the log; a client learns only which target it is. */
  #failure(what: string, error: unknown): Failure {
    const reached =
      error instanceof DatabaseError ||
      (error instanceof Failure && error.code !== 'upstream_unreachable')
    return new Failure(
      reached ? 'cannot_connect_now' : 'upstream_unreachable',
      {
        message: reached
          ? `${what} target "${this.#target}"`
          : `target "${this.#target}" cannot be reached`,
        hint: 'Try again in a moment; if it stays like this, tell your administrator.',
      },
      { cause: error instanceof Failure ? (error.cause ?? error) : error },
    )
  }
}

async function openSession(options: AdministrativeConnectionOptions): Promise<OpenSession> {
  const { user, password } = await options.login()
  const parameters = new Map([
    ['user', user],
    ['database', options.database],
    ['client_encoding', 'UTF8'],
    ['application_name', options.applicationName],
    ['statement_timeout', String(statementTimeout)],
    ['lock_timeout', String(statementTimeout / 2)],
    ...(options.settings ?? []),
  ])
  return options.connect({ target: options.target, parameters, password })
}

/** Never resolves. */
function rejection(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    if (signal.aborted) reject(signal.reason)
  })
}
