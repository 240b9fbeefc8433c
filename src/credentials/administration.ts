// One target's administrative connection: makes a database role and removes one, and lets others look.
// Ignorant of grants, leases and when to do it. Needs a login with CREATEROLE that may grant what
// `creation` grants.
// PostgreSQL documentation: "Database Roles", and "Dropping Roles" for the order of a removal.

import { setTimeout as sleep } from 'node:timers/promises'
import { DatabaseError, escapeIdentifier, escapeLiteral, Pool, type PoolClient } from 'pg'
import { Failure } from '../errors.ts'
import type { Secret } from '../secret.ts'
import { renderCreation, timestamp } from './creation.ts'
import { type OpenSession, SessionStream } from './session-stream.ts'

/** What becomes of the tables and other objects that a role leaves behind. */
export type OwnedObjects = { readonly reassignTo: string } | 'drop'

/** A database that the broker manages. The config's targets have this shape. */
export interface BrokerTarget {
  readonly database: string
  readonly connectTimeoutMs: number
  readonly credentials: {
    readonly broker: {
      readonly user: string
      readonly password: Secret
      readonly owned: OwnedObjects
      /** Statements by pgwarden role. */
      readonly creation: ReadonlyMap<string, readonly string[]>
    }
  }
}

/**
 * Logs in to a target by its name, on a server that can be written to. Implemented by upstream/: the
 * broker's own login is worth more than any that it makes, and goes no less guarded.
 */
export type Connect = (request: {
  readonly target: string
  readonly parameters: ReadonlyMap<string, string>
  readonly password: Secret
}) => Promise<OpenSession>

export interface NewDatabaseRole {
  readonly name: string
  /** A SCRAM verifier, never a password: this text may turn up in the server's log. */
  readonly verifier: string
  readonly expiration: number
  /** The pgwarden role whose creation statements apply. */
  readonly role: string
}

/** Asks for rows; nobody checks that they have the fields of `Row`. */
export type Query = <Row extends object>(text: string) => Promise<readonly Row[]>

const statementTimeout = 10_000
const backendsGoneWithin = 5_000
const preparing = 'no database login can be prepared for'

export class Administration {
  readonly #name: string
  readonly #target: BrokerTarget
  readonly #pool: Pool

  /** `onProblem` hears of connections that broke while nobody used them. */
  constructor(
    name: string,
    target: BrokerTarget,
    connect: Connect,
    onProblem: (error: unknown) => void,
  ) {
    this.#name = name
    this.#target = target
    const { user, password } = target.credentials.broker
    const parameters = new Map([
      ['user', user],
      ['database', target.database],
      ['client_encoding', 'UTF8'],
      ['application_name', 'pgwarden broker'],
      ['statement_timeout', String(statementTimeout)],
      ['lock_timeout', String(statementTimeout / 2)],
    ])
    this.#pool = new Pool({
      stream: () => new SessionStream(() => connect({ target: name, parameters, password })),
      // Whatever PGSSLMODE says: the session comes with its TLS, and with everything above.
      ssl: false,
      max: 4,
      // What waits for a free connection must not wait for ever; connecting has its own limit below.
      connectionTimeoutMillis: target.connectTimeoutMs + 1_000,
      idleTimeoutMillis: 10_000,
      query_timeout: statementTimeout + 1_000,
    })
    this.#pool.on('error', onProblem)
  }

  close(): Promise<void> {
    return this.#pool.end()
  }

  /** All of it or nothing: the role with its membership. @throws Failure */
  async createRole(wanted: NewDatabaseRole): Promise<void> {
    const { name, verifier, expiration, role } = wanted
    const statements = this.#target.credentials.broker.creation.get(role)
    if (statements === undefined) {
      throw new Failure('invalid_authorization', {
        message: `target "${this.#name}" has no role "${role}"`,
        hint: 'Ask for another role, or ask your administrator to add this one to the target.',
      })
    }
    const create =
      `create role ${escapeIdentifier(name)} login nosuperuser nocreatedb nocreaterole` +
      ` noreplication nobypassrls password ${escapeLiteral(verifier)}` +
      ` valid until ${timestamp(expiration)}`
    const grants = renderCreation(statements, { name, expiration })
    await this.#connected(preparing, (client) => inTransaction(client, [create, ...grants]))
  }

  /**
   * Ends the role's sessions, hands over or drops what it owns, and drops it. To be repeated until it
   * succeeds; a role that is gone already is a success. @throws Failure
   */
  async removeRole(name: string): Promise<void> {
    await this.#connected(preparing, async (client) => {
      const found = await client.query<{ superuser: boolean }>(
        `select (select rolsuper from pg_roles where rolname = current_user) as superuser
           from pg_roles where rolname = $1`,
        [name],
      )
      const [administrator] = found.rows
      if (administrator === undefined) return
      const role = escapeIdentifier(name)
      // First the door, then the room: otherwise a client that reconnects at once outruns us.
      await client.query(`alter role ${role} nologin`)
      // PostgreSQL 16 and later: whoever made a role may grant it, but does not have its rights yet,
      // and without them may neither end its sessions nor touch what it owns. A superuser may anyway.
      if (!administrator.superuser) await client.query(`grant ${role} to current_user`)
      await endBackends(client, name)
      await inTransaction(client, [...this.#handOver(role), `drop role ${role}`])
    })
  }

  /**
   * Lets `work` ask what it wants, in one read-only transaction with one view of the database. When
   * `signal` is aborted the connection goes, and with it the query. @throws Failure
   */
  async inspect<T>(work: (query: Query) => Promise<T>, signal: AbortSignal): Promise<T> {
    return this.#connected('the catalog cannot be read of', async (client) => {
      await client.query('begin isolation level repeatable read read only')
      const query: Query = async <Row extends object>(text: string) =>
        (await client.query<Row>(text)).rows
      const result = await Promise.race([work(query), rejection(signal)])
      await client.query('commit')
      return result
    })
  }

  /** DROP OWNED after REASSIGN OWNED finds no objects any more, only privileges. Never CASCADE. */
  #handOver(role: string): string[] {
    const { owned } = this.#target.credentials.broker
    if (owned === 'drop') return [`drop owned by ${role}`]
    return [
      `reassign owned by ${role} to ${escapeIdentifier(owned.reassignTo)}`,
      `drop owned by ${role}`,
    ]
  }

  /** `what` begins the sentence on a failure that ends with the target's name. */
  async #connected<T>(what: string, work: (client: PoolClient) => Promise<T>): Promise<T> {
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

  /** The cause names host and login, for the log; a client learns only which target it is. */
  #failure(what: string, error: unknown): Failure {
    const reached =
      error instanceof DatabaseError ||
      (error instanceof Failure && error.code !== 'upstream_unreachable')
    return new Failure(
      reached ? 'cannot_connect_now' : 'upstream_unreachable',
      {
        message: reached
          ? `${what} target "${this.#name}"`
          : `target "${this.#name}" cannot be reached`,
        hint: 'Try again in a moment; if it stays like this, tell your administrator.',
      },
      { cause: error instanceof Failure ? error.cause : error },
    )
  }
}

/** Never resolves. */
function rejection(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    if (signal.aborted) reject(signal.reason)
  })
}

async function inTransaction(client: PoolClient, statements: readonly string[]): Promise<void> {
  await client.query('begin')
  for (const statement of statements) await client.query(statement)
  // COMMIT of a failed transaction would answer ROLLBACK; but then a statement has thrown before.
  await client.query('commit')
}

/** Until none is left: a backend that is told to end still has to roll back. */
async function endBackends(client: PoolClient, role: string): Promise<void> {
  const pause = 25
  for (let waited = 0; waited <= backendsGoneWithin; waited += pause) {
    const { rowCount } = await client.query(
      'select pg_terminate_backend(pid) from pg_stat_activity where usename = $1',
      [role],
    )
    if (rowCount === 0) return
    await sleep(pause)
  }
  throw new Error(`sessions of ${role} do not end`)
}
