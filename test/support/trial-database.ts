// What a server itself answers to a text: as superuser, without pgwarden, each text in a new session and
// with simple query messages. What a text did is undone before the next one: by a rollback where it ran
// in our transaction, else by a new copy of the database. Ignorant of what the texts are.

import { once } from 'node:events'
import type { BackendMessage } from '../../src/wire/backend.ts'
import type { FrontendMessage } from '../../src/wire/frontend.ts'
import { sqlstates } from './answers.ts'
import { connectedTo, type FreshDatabase, freshDatabase } from './databases.ts'
import { sessionAt } from './upstream.ts'
import { WireClient } from './wire-client.ts'

/** What VACUUM and its like answer within a transaction block. */
const notInTransaction = '25001'

/** A number that moves on with every transaction that writes. */
const nextTransaction = 'SELECT pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())'

export class TrialDatabase {
  readonly #adminUrl: string
  readonly #original: FreshDatabase
  readonly #copy: string
  #spoiled = true

  private constructor(adminUrl: string, original: FreshDatabase) {
    this.#adminUrl = adminUrl
    this.#original = original
    this.#copy = `${original.name}_copy`
  }

  /** `schema` makes the database that every text finds. */
  static async create(adminUrl: string, schema: string): Promise<TrialDatabase> {
    const original = await freshDatabase(adminUrl, 'trial')
    await connectedTo(original.url, (client) => client.query(schema))
    return new TrialDatabase(adminUrl, original)
  }

  /** `ok`, or the SQLSTATE of the first error. */
  async answer(sql: string): Promise<string> {
    const within = await this.#ask('BEGIN', sql, 'ROLLBACK')
    // More than one end: the text has left our transaction, and what it did may stay.
    const undone = within.filter(endsTransaction).length <= 1
    this.#spoiled = !undone && hasWritten(within)
    const [state = 'ok'] = sqlstates(within)
    if (state !== notInTransaction) return state
    const alone = await this.#ask(sql)
    this.#spoiled = hasWritten(alone)
    return sqlstates(alone)[0] ?? 'ok'
  }

  async drop(): Promise<void> {
    await this.#administer(`DROP DATABASE IF EXISTS "${this.#copy}" WITH (FORCE)`)
    await this.#original.drop()
  }

  /** All that a new session hears to the texts. */
  async #ask(...texts: readonly string[]): Promise<readonly BackendMessage[]> {
    if (this.#spoiled) await this.#renew()
    const wire = await this.#connect()
    const messages = [nextTransaction, ...texts, nextTransaction].flatMap(withEmptyFiles)
    try {
      wire.says(...messages, { type: 'terminate' })
      // By then the server has let go of all that the session held.
      if (!wire.ended) await once(wire.socket, 'end')
      return wire.heard
    } finally {
      wire.close()
    }
  }

  async #connect(): Promise<WireClient> {
    return WireClient.over(await sessionAt(this.#adminUrl, this.#copy))
  }

  async #renew(): Promise<void> {
    await this.#administer(
      `DROP DATABASE IF EXISTS "${this.#copy}" WITH (FORCE)`,
      `CREATE DATABASE "${this.#copy}" TEMPLATE "${this.#original.name}"`,
    )
    this.#spoiled = false
  }

  async #administer(...statements: readonly string[]): Promise<void> {
    await connectedTo(this.#adminUrl, async (client) => {
      for (const statement of statements) await client.query(statement)
    })
  }
}

/** The text, and empty files should it ask for some. Where it does not, the server ignores them. */
function withEmptyFiles(text: string): readonly FrontendMessage[] {
  const query = { type: 'query', text: Buffer.from(text) } as const
  return [query, { type: 'copyDone' }, { type: 'copyDone' }]
}

function endsTransaction(message: BackendMessage): boolean {
  return message.type === 'commandComplete' && /^(COMMIT|ROLLBACK)$/.test(message.tag)
}

/** Whether the transaction number that was asked for first and last has moved on, or was not answered. */
function hasWritten(heard: readonly BackendMessage[]): boolean {
  const rows = heard.filter((message) => message.type === 'dataRow')
  const [before, after] = [rows[0], rows.at(-1)].map((row) => row?.values[0]?.toString())
  return rows.length < 2 || before !== after
}
