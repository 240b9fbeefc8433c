// A picture of all that a statement could change on a server: every row of every table and system
// catalog of a database, settings, locks, counters, and every file below the data directory. Taken over
// SQL, as superuser, so that it needs no program and no access to the server's disk.

import { Client } from 'pg'
import { connectedTo } from './databases.ts'
import { findPgDump, runProgram } from './psql.ts'

/** What there is, by name: as text where that is short, else as a digest. */
export type Picture = ReadonlyMap<string, string>

/** Sees one database of one server; its own presence is in every picture alike. */
export class Observer {
  readonly #client: Client
  readonly #url: string
  readonly #heard: string[] = []
  #processId = 0

  private constructor(url: string) {
    this.#client = new Client({ connectionString: url })
    this.#url = url
  }

  /** Listens to `channels` from here on: a notification cannot be found out later. */
  static async at(url: string, channels: readonly string[]): Promise<Observer> {
    const observer = new Observer(url)
    const client = observer.#client
    client.on('notification', ({ channel, payload }) => {
      observer.#heard.push(`${channel} ${payload ?? ''}`)
    })
    // Being terminated is a change like any other: the next picture cannot be taken.
    client.on('error', () => undefined)
    await client.connect()
    await client.query(channels.map((channel) => `LISTEN ${channel}`).join(';'))
    observer.#processId = await observer.#value<number>('pg_backend_pid()')
    return observer
  }

  async leave(): Promise<void> {
    await this.#client.end()
  }

  /**
   * Sets every hint bit and freezes every row, so that nothing but a change writes to a file from here
   * on: reading alone may not move a byte. Each by a session of its own, since what a session has
   * written is counted when it ends, and autovacuum would come for what it believes new.
   */
  async settle(): Promise<void> {
    for (const command of ['ANALYZE', 'VACUUM (FREEZE, INDEX_CLEANUP ON)']) {
      await connectedTo(this.#url, (client) => client.query(command))
    }
  }

  /** Rows, settings and live state. */
  async state(): Promise<Picture> {
    const relations = await this.#rows<{ name: string }>(`
      SELECT format('%I.%I', nspname, relname) AS name
      FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
      WHERE relkind IN ('r', 'm', 'S') AND relpersistence <> 't' AND nspname <> 'pg_toast'
      ORDER BY 1`)
    const ofRelations = relations.map(({ name }) => section(name, `SELECT * FROM ${name}`))
    const ofViews = Object.entries(liveState).map(([name, query]) => section(name, query))
    const rows = await this.#rows<{ name: string; content: string }>(
      [...ofRelations, ...ofViews].join(' UNION ALL '),
    )
    const settings = await connectedTo(this.#url, (client) =>
      client.query<{ name: string; setting: string }>('SELECT name, setting FROM pg_settings'),
    )
    return new Map([
      ...rows.map(({ name, content }) => [name, content] as const),
      ...settings.rows.map((row) => [`setting ${row.name} of a new session`, row.setting] as const),
      ['notifications', this.#heard.join('\n')],
      ['listening backend', String(this.#processId)],
    ])
  }

  /** Every file below the data directory that reading may not change. */
  async files(): Promise<Picture> {
    await this.#client.query('CHECKPOINT')
    const database = await this.#value<number>(
      '(SELECT oid FROM pg_database WHERE datname = current_database())',
    )
    const mayChange = [...volatileFiles, new RegExp(`^\\./base/(?!${database}/)\\d+/`)]
    const rows = await this.#rows<{ path: string; digest: string }>(fileTree, [
      mayChange.map((pattern) => pattern.source).join('|'),
    ])
    return new Map(rows.map(({ path, digest }) => [path, digest]))
  }

  /** pg_dump's text; undefined where there is no pg_dump, or only one that is too old for the server. */
  async dump(): Promise<string | undefined> {
    const program = findPgDump()
    if (program === undefined) return undefined
    const server = await this.#value<number>("current_setting('server_version_num')::int / 10000")
    const { stdout: version } = await runProgram(program, ['--version'])
    if (Number(/(\d+)/.exec(version)?.[1]) < server) return undefined
    const { stdout, stderr, status } = await runProgram(program, ['--dbname', this.#url])
    if (status !== 0) throw new Error(`pg_dump failed: ${stderr}`)
    // Another random word each time, against servers that send psql commands.
    return stdout.replace(/^\\(un)?restrict .*$/gm, '')
  }

  async #rows<Row extends object>(query: string, values: unknown[] = []): Promise<readonly Row[]> {
    return (await this.#client.query<Row>(query, values)).rows
  }

  async #value<T>(expression: string): Promise<T> {
    const [row] = await this.#rows<{ value: T }>(`SELECT ${expression} AS value`)
    if (row === undefined) throw new Error('a SELECT without FROM has a row')
    return row.value
  }
}

/** What is in one picture and not, or otherwise, in the other. */
export function differences(before: Picture, after: Picture): readonly string[] {
  return [...new Set([...before.keys(), ...after.keys()])]
    .filter((name) => before.get(name) !== after.get(name))
    .map((name) => `${name}: ${difference(before.get(name), after.get(name))}`)
}

/** The first lines that only one of them has. */
function difference(before: string | undefined, after: string | undefined): string {
  if (before === undefined) return 'came into being'
  if (after === undefined) return 'is gone'
  const [was, is] = [before.split('\n'), after.split('\n')]
  const gone = was.filter((line) => !is.includes(line)).map((line) => `- ${line}`)
  const come = is.filter((line) => !was.includes(line)).map((line) => `+ ${line}`)
  const lines = [...gone.slice(0, 2), ...come.slice(0, 2)]
  return lines.length > 0 ? lines.join(' ') : `${is.length - was.length} lines more`
}

/** State of the server that is in no table. */
const liveState: Readonly<Record<string, string>> = {
  'configuration files': `SELECT name, pg_read_file(name) FROM
    (SELECT unnest(ARRAY['postgresql.conf', 'postgresql.auto.conf', 'pg_hba.conf', 'pg_ident.conf'])) f(name)`,
  'settings in files': 'SELECT * FROM pg_file_settings',
  'time of the last reload': 'SELECT pg_conf_load_time()',
  'replication slots': 'SELECT slot_name, slot_type, active FROM pg_replication_slots',
  'progress of replication origins': 'SELECT * FROM pg_replication_origin_status',
  'prepared transactions': 'SELECT * FROM pg_prepared_xacts',
  'locks that are kept': `SELECT locktype, database, relation, classid, objid, mode FROM pg_locks
    WHERE pid <> pg_backend_pid() AND (locktype = 'advisory' OR
      relation IN (SELECT oid FROM pg_class WHERE relnamespace <> 'pg_catalog'::regnamespace))`,
  // A write that was rolled back is counted as well.
  'counters of writes': `SELECT relid, n_tup_ins, n_tup_upd, n_tup_del, vacuum_count, analyze_count,
    autovacuum_count, autoanalyze_count FROM pg_stat_user_tables`,
  'resets of statistics': `SELECT 'database', stats_reset FROM pg_stat_database
    WHERE datname = current_database()
    UNION ALL SELECT 'bgwriter', stats_reset FROM pg_stat_bgwriter
    UNION ALL SELECT 'archiver', stats_reset FROM pg_stat_archiver
    UNION ALL SELECT 'wal', stats_reset FROM pg_stat_wal`,
  // pg_class without what autovacuum notes in it where rows were written.
  relations: `SELECT oid, relname, relnamespace, reltype, relowner, relam, relfilenode, reltablespace,
    relpersistence, relkind, relnatts, relchecks, relhasrules, relhastriggers, relrowsecurity,
    relforcerowsecurity, relispopulated, relreplident, relispartition, relacl, reloptions FROM pg_class`,
  'temporary relations': "SELECT oid, relname FROM pg_class WHERE relpersistence = 't'",
}

/** Below the data directory, what a server writes though nobody changes anything in the database. */
const volatileFiles: readonly RegExp[] = [
  // The log of all databases, and which transactions of theirs have committed.
  /^\.\/pg_wal\/[0-9A-F]{24}$/,
  /^\.\/pg_(xact|subtrans)\/[0-9A-F]{4}$/,
  // Where the last checkpoint is; this picture makes one.
  /^\.\/global\/pg_control$/,
  // Made again by any session that misses it.
  /^\.\/(global|base\/\d+)\/pg_internal\.init$/,
  // Counters, and what the server says about itself.
  /^\.\/pg_stat(_tmp)?\/[a-z_]+\.(stat|tmp)$/,
  /^\.\/(log\/[\w.-]+|current_logfiles|postmaster\.(pid|opts))$/,
]

const fileTree = `
  WITH RECURSIVE tree (path, size, isdir) AS (
    SELECT '.'::text, 0::bigint, true
    UNION ALL
    SELECT below.path, stat.size, stat.isdir
    FROM tree, LATERAL (SELECT tree.path || '/' || pg_ls_dir(tree.path, true, false)) below (path),
      LATERAL pg_stat_file(below.path, true) stat
    WHERE tree.isdir
  )
  SELECT path, md5(pg_read_binary_file(path, 0, size, true)) AS digest FROM tree
  WHERE NOT isdir AND path !~ $1`

/** One row: the name, and the rows of the query, short ones in full. */
function section(name: string, query: string): string {
  const quoted = name.replaceAll("'", "''")
  return `SELECT '${quoted}' AS name, CASE WHEN length(content) < 200000 THEN content ELSE md5(content) END
    AS content FROM (SELECT coalesce(string_agg(r::text, E'\\n' ORDER BY r::text COLLATE "C"), '')
    AS content FROM (${query}) r) rows`
}
