// Makes a database role on a target and removes one. Ignorant of grants, leases and when to do it. Needs a
// login with CREATEROLE that may grant what `creation` grants.
// PostgreSQL documentation: "Database Roles", and "Dropping Roles" for the order of a removal.

import { escapeIdentifier, escapeLiteral, type PoolClient } from 'pg'
import { Failure } from '../errors.ts'
import type { Secret } from '../secret.ts'
import { AdministrativeConnection, type Connect } from './administrative-connection.ts'
import { endBackends } from './backends.ts'
import { renderCreation, timestamp } from './creation.ts'
import { NotIssued, noSuchRole } from './engine.ts'

/** What becomes of the tables and other objects that a role leaves behind. */
export type OwnedObjects = { readonly reassignTo: string } | 'drop'

/** A database that the broker manages. The config's targets have this shape. */
export interface BrokerTarget {
  readonly database: string
  readonly connectTimeoutMs: number
  readonly servers: readonly { readonly host: string; readonly port: number }[]
  readonly targetSessionAttrs: string
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

export interface NewDatabaseRole {
  readonly name: string
  /** A SCRAM verifier, never a password: this text may turn up in the server's log. */
  readonly verifier: string
  readonly expiration: number
  /** The pgwarden role whose creation statements apply. */
  readonly role: string
}

const preparing = 'no database login can be prepared for'

export class Administration {
  readonly #name: string
  readonly #target: BrokerTarget
  readonly #connection: AdministrativeConnection

  /** `onProblem` hears of connections that broke while nobody used them. */
  constructor(
    name: string,
    target: BrokerTarget,
    connect: Connect,
    onProblem: (error: unknown) => void,
  ) {
    this.#name = name
    this.#target = target
    this.#connection = new AdministrativeConnection({
      target: name,
      database: target.database,
      connectTimeoutMs: target.connectTimeoutMs,
      applicationName: 'pgwarden broker',
      login: () => Promise.resolve(target.credentials.broker),
      connect,
      onProblem,
    })
  }

  close(): Promise<void> {
    return this.#connection.close()
  }

  /** All of it or nothing: the role with its membership. @throws Failure; NotIssued when it is nothing. */
  async createRole(wanted: NewDatabaseRole): Promise<void> {
    const { name, verifier, expiration, role } = wanted
    const statements = this.#target.credentials.broker.creation.get(role)
    if (statements === undefined) throw new NotIssued(noSuchRole(this.#name, role))
    const create =
      `create role ${escapeIdentifier(name)} login nosuperuser nocreatedb nocreaterole` +
      ` noreplication nobypassrls password ${escapeLiteral(verifier)}` +
      ` valid until ${timestamp(expiration)}`
    const grants = renderCreation(statements, { name, expiration })
    const transaction = { committing: false }
    try {
      await this.#connection.connected(preparing, (client) =>
        inTransaction(client, [create, ...grants], () => {
          transaction.committing = true
        }),
      )
    } catch (error) {
      // The answer to COMMIT may have been lost, or say that it was done here and not yet on a standby.
      if (!(error instanceof Failure) || transaction.committing) throw error
      throw new NotIssued(error)
    }
  }

  /** Until when new sessions may begin with the role's password. @throws Failure */
  async moveEnd(name: string, expiration: number): Promise<void> {
    await this.#connection.connected('a database login cannot be prolonged for', (client) =>
      client.query(`alter role ${escapeIdentifier(name)} valid until ${timestamp(expiration)}`),
    )
  }

  /**
   * Ends the role's sessions, hands over or drops what it owns, and drops it. To be repeated until it
   * succeeds; a role that is gone already is a success. @throws Failure
   */
  async removeRole(name: string): Promise<void> {
    await this.#connection.connected(preparing, async (client) => {
      // A database's owner can set another one for us, with a pg_roles in which nobody is ever found, or
      // functions that would run with our rights. Creation statements may rely on what is set there.
      await client.query('set search_path = pg_catalog')
      const found = await client.query<{ superuser: boolean }>(
        `select (select rolsuper from pg_roles where rolname = current_user) as superuser
           from pg_roles where rolname = $1`,
        [name],
      )
      const [administrator] = found.rows
      if (administrator !== undefined) await this.#remove(client, name, administrator.superuser)
      await client.query('reset search_path')
    })
  }

  async #remove(client: PoolClient, name: string, superuser: boolean): Promise<void> {
    const role = escapeIdentifier(name)
    // First the door, then the room: otherwise a client that reconnects at once outruns us.
    await client.query(`alter role ${role} nologin`)
    // PostgreSQL 16 and later: whoever made a role may grant it, but does not have its rights yet,
    // and without them may neither end its sessions nor touch what it owns. A superuser may anyway.
    if (!superuser) await client.query(`grant ${role} to current_user`)
    await endBackends(client, { role: name })
    await inTransaction(client, [...this.#handOver(role), `drop role ${role}`])
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
}

async function inTransaction(
  client: PoolClient,
  statements: readonly string[],
  onCommit: () => void = () => undefined,
): Promise<void> {
  await client.query('begin')
  for (const statement of statements) await client.query(statement)
  // COMMIT of a failed transaction would answer ROLLBACK; but then a statement has thrown before.
  onCommit()
  await client.query('commit')
}
