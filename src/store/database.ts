// A pool of connections to the store's PostgreSQL in which every wait has a limit, and whose failures
// are fit to be shown to a client. Ignorant of what is stored.

import { DatabaseError, Pool, type PoolClient, type QueryResultRow } from 'pg'
import { Failure } from '../errors.ts'
import type { Secret } from '../secret.ts'
import { withinMs } from '../waiting.ts'

export interface DatabaseOptions {
  /** `postgres://user:password@host:port/database` */
  readonly url: Secret
  readonly connections?: number
  /** For a connection, from the pool or new. */
  readonly connectTimeoutMs?: number
  /** For one statement. */
  readonly statementTimeoutMs?: number
  /** Hears of connections that broke while nobody used them. */
  readonly onProblem: (error: unknown) => void
}

/** What can be said to the store, inside a transaction or outside. */
export interface Statements {
  rows<Row extends QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]>
  /** How many rows the statement touched. */
  run(text: string, values?: unknown[]): Promise<number>
}

/** For all connections to be over. */
const closeMs = 2_000

export class Database implements Statements {
  readonly #pool: Pool

  /** Connects to nothing yet. @throws Failure invalid_configuration when the URL is not one. */
  constructor(options: DatabaseOptions) {
    const { connections = 10, connectTimeoutMs = 5_000, statementTimeoutMs = 5_000 } = options
    this.#pool = new Pool({
      connectionString: connectionString(options.url),
      max: connections,
      connectionTimeoutMillis: connectTimeoutMs,
      idleTimeoutMillis: 30_000,
      statement_timeout: statementTimeoutMs,
      // A server that has vanished cannot keep its own limit; this one is ours, a little later.
      query_timeout: statementTimeoutMs + 1_000,
      keepAlive: true,
      // One that cannot be closed does not keep the process from its end.
      allowExitOnIdle: true,
      // The driver reads times in no other style, whatever the server's configuration prefers.
      options: '-c datestyle=ISO',
      fallback_application_name: 'pgwarden store',
    })
    // Without a listener a broken idle connection would end the process.
    this.#pool.on('error', options.onProblem)
  }

  /** How many connections are in use and at hand, and how many calls wait for one. */
  get connections(): { readonly busy: number; readonly idle: number; readonly waiting: number } {
    const { totalCount, idleCount, waitingCount } = this.#pool
    return { busy: totalCount - idleCount, idle: idleCount, waiting: waitingCount }
  }

  async rows<Row extends QueryResultRow>(text: string, values: unknown[] = []): Promise<Row[]> {
    const result = await this.#pool.query<Row>(text, values).catch(rethrow)
    return result.rows
  }

  async run(text: string, values: unknown[] = []): Promise<number> {
    const result = await this.#pool.query(text, values).catch(rethrow)
    return result.rowCount ?? 0
  }

  /**
   * Commits what `work` has done when it resolves, else nothing. A connection that is lost while it commits
   * leaves open whether it has: that is a Failure cannot_connect_now like every other outage.
   */
  async transaction<T>(work: (statements: Statements) => Promise<T>): Promise<T> {
    const client = await this.#pool.connect().catch(rethrow)
    let broken = false
    const lost = (): void => {
      broken = true
    }
    // Between two statements nobody else listens, and an error that nobody hears ends the process.
    client.on('error', lost)
    try {
      await client.query('begin').catch(rethrow)
      const result = await work(statementsOn(client))
      await client.query('commit').catch(rethrow)
      return result
    } catch (error) {
      await client.query('rollback').catch(lost)
      throw error
    } finally {
      client.off('error', lost)
      client.release(broken)
    }
  }

  /** Within a limit: a server that has fallen silent never says that a connection is over. */
  async close(): Promise<void> {
    await withinMs(closeMs, this.#pool.end())
  }
}

function statementsOn(client: PoolClient): Statements {
  return {
    rows: async <Row extends QueryResultRow>(text: string, values: unknown[] = []) =>
      (await client.query<Row>(text, values).catch(rethrow)).rows,
    run: async (text, values = []) =>
      (await client.query(text, values).catch(rethrow)).rowCount ?? 0,
  }
}

/** The URL in clear, checked first: the driver's complaint about a bad one would quote the password. */
export function connectionString(url: Secret): string {
  const text = url.reveal()
  if (/^postgres(ql)?:\/\//.test(text) && URL.canParse(text)) return text
  throw new Failure('invalid_configuration', {
    message: 'the URL of the store cannot be read',
    hint: 'Write it as postgres://user:password@host:port/database, with special characters percent-encoded.',
  })
}

/**
 * Anything that only says "not now" becomes a Failure without a word about where the store is or who
 * we are there; that is in the cause, for the log. An error in what we asked is a defect, and stays one.
 */
export function storeFailure(error: unknown): unknown {
  if (error instanceof DatabaseError && !isOutage(error.code ?? '')) return error
  return new Failure(
    'cannot_connect_now',
    {
      message: 'pgwarden cannot reach its store',
      detail: 'Access cannot be checked at the moment.',
      hint: 'Try again in a moment; if it stays like this, tell your administrator.',
    },
    { cause: error },
  )
}

// Connection (08), login (28), no such database (3D), resources (53), operator and shutdown (57).
function isOutage(sqlstate: string): boolean {
  return /^(08|28|3D|53|57)/.test(sqlstate)
}

function rethrow(error: unknown): never {
  throw storeFailure(error)
}
