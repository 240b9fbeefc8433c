// The sink PostgreSQL: a row for each record in a table that people search. The event's id is its key, so
// what is sent twice is there once. Ignorant of files, and of when to try again.
// PostgreSQL documentation: INSERT ... ON CONFLICT; JSON types (what jsonb cannot hold).

import { Client, DatabaseError } from 'pg'
import type { Shipment } from '../audit/outbox.ts'
import type { PostgresqlSettings } from '../audit/sink-settings.ts'
import { unlessAborted } from '../waiting.ts'
import { insertion, quotedTable, schemaOf, tableDefinition } from './postgresql-table.ts'
import { type Sink, SinkProblem } from './sink.ts'

const connectMs = 5_000
const statementMs = 20_000
const farewellMs = 1_000

export class PostgresqlSink implements Sink {
  readonly #settings: PostgresqlSettings
  readonly #insertion: string
  #client: Client | undefined

  constructor(settings: PostgresqlSettings) {
    this.#settings = settings
    this.#insertion = insertion(settings.table)
  }

  async send(batch: readonly Shipment[], signal: AbortSignal): Promise<void> {
    try {
      const client = await unlessAborted(signal, this.#connected())
      const columns = [
        batch.map(({ event }) => event),
        batch.map(({ chain }) => chain),
        batch.map(({ sequence }) => sequence),
        batch.map(({ time }) => time),
        batch.map(({ type }) => type),
        batch.map(({ line }) => withinJsonb(line.toString())),
      ]
      await unlessAborted(signal, client.query(this.#insertion, columns))
    } catch (error) {
      await this.close()
      throw new SinkProblem(sentenceFor(error))
    }
  }

  async close(): Promise<void> {
    const client = this.#client
    this.#client = undefined
    if (client === undefined) return
    // A server that does not answer is not waited for.
    await unlessAborted(AbortSignal.timeout(farewellMs), client.end()).catch(() => undefined)
  }

  async #connected(): Promise<Client> {
    if (this.#client !== undefined) return this.#client
    const client = new Client({
      connectionString: connectionString(this.#settings),
      connectionTimeoutMillis: connectMs,
      statement_timeout: statementMs,
      // A server that has vanished cannot keep its own limit; this one is ours, a little later.
      query_timeout: statementMs + 1_000,
      keepAlive: true,
      fallback_application_name: 'pgwarden audit',
    })
    this.#client = client
    // Between two batches nobody else listens, and an error that nobody hears ends the process.
    client.on('error', () => {
      if (this.#client === client) this.#client = undefined
    })
    await client.connect()
    await this.#makeTable(client)
    return client
  }

  /** Whoever may not make it finds it made by somebody else, or says so in the log until then. */
  async #makeTable(client: Client): Promise<void> {
    const { table } = this.#settings
    const schema = schemaOf(table)
    const { rows } = await client.query<{ table: boolean; schema: boolean }>(
      'select to_regclass($1) is not null as table, to_regnamespace($2) is not null as schema',
      [quotedTable(table), schema ?? 'public'],
    )
    if (rows[0]?.table === true) return
    if (schema !== undefined && rows[0]?.schema !== true) {
      await client.query(`create schema if not exists "${schema}"`)
    }
    await client.query(tableDefinition(table))
  }
}

/** Checked first: the driver's complaint about a bad one would quote the password. */
function connectionString({ url }: PostgresqlSettings): string {
  const text = url.reveal()
  if (/^postgres(ql)?:\/\//.test(text) && URL.canParse(text)) return text
  throw new SinkProblem('the URL of the database cannot be read')
}

/** jsonb refuses the character NUL and halves of surrogate pairs: they become U+FFFD there. */
function withinJsonb(line: string): string {
  if (!/\\u(0000|d[89a-f])/i.test(line)) return line
  const record: unknown = JSON.parse(line, (_, value: unknown) =>
    typeof value === 'string' ? Buffer.from(value.replaceAll('\0', '\ufffd')).toString() : value,
  )
  return JSON.stringify(record)
}

/** Without the server's detail, which quotes what it refuses. */
function sentenceFor(error: unknown): string {
  if (error instanceof DatabaseError) return `${error.message} (SQLSTATE ${error.code})`
  return error instanceof Error ? error.message : String(error)
}
