// Random, seeded SQL over the database of test/fixtures/state-proof.sql, and random ways of sending it.
// About half of it is harmless and runs; the rest hides a trap (random-traps.ts) somewhere in it, and
// whether that is refused by pgwarden, stopped by the server or wrong in itself is all the same as long
// as nothing changes.

import type { FrontendMessage } from '../../src/wire/frontend.ts'
import { pick, type Random } from './random-session.ts'
import { traps, utilities, writes } from './random-traps.ts'
import { bind, execute, parse, sql, sync } from './scripted-session.ts'

/** Numbers that only the database knows, for messages that name by number what no text shows. */
export interface Numbers {
  /** Types whose input runs code, with a value for each. */
  readonly types: readonly (readonly [oid: number, value: string])[]
  /** Functions for FunctionCall. */
  readonly functions: readonly number[]
}

/** Which expressions are a trap for the role. */
export type TrapKind = keyof typeof traps

/** One thing that a client does, told apart from the next by the ReadyForQuery of its messages. */
export interface Attempt {
  readonly messages: readonly FrontendMessage[]
}

interface Column {
  readonly integer: string
  readonly text: string
}

interface Grammar {
  readonly random: Random
  /** Whether traps may be put in, and which. */
  readonly trap: boolean
  readonly kinds: readonly TrapKind[]
  /** Makes an alias that is not in use. */
  readonly alias: () => string
}

const tables: readonly (readonly [source: string, integer: string, text: string])[] = [
  ['t', 'a', 'b'],
  ['public.u', 'a', 'b'],
  ['orders', 'customer_id', 'status'],
  ['customers', 'id', 'name'],
  ['products', 'stock', 'category'],
  ['employees', 'id', 'dept'],
  ['events', 'user_id', 'kind'],
  ['v_orders', 'id', 'name'],
  ['active_users', 'id', 'email'],
  ['sales.leads', 'id', 'phone'],
  ['guarded', 'a', 'owner'],
  ['pg_catalog.pg_namespace', 'nspowner::int', 'nspname'],
  ['information_schema.triggers', 'action_order', 'trigger_name'],
]

/** What one session sends before the next ReadyForQuery; the same for the same random numbers. */
export function attempt(random: Random, numbers: Numbers, kinds: readonly TrapKind[]): Attempt {
  let aliases = 0
  const grammar: Grammar = { random, trap: random() < 0.45, kinds, alias: () => `q${++aliases}` }
  if (grammar.trap && random() < 0.04) return { messages: byNumber(random, numbers) }
  return { messages: sent(random, statement(grammar)) }
}

interface Text {
  readonly text: string
  /** What may stand behind EXPLAIN, PREPARE, DECLARE and in COPY. */
  readonly isQuery: boolean
}

function statement(grammar: Grammar): Text {
  const { random, trap } = grammar
  if (trap && random() < 0.3) return { text: pick(random, utilities), isQuery: false }
  if (trap && random() < 0.2) {
    const text = random() < 0.5 ? pick(random, writes) : `${pick(random, writes)} RETURNING 1`
    return { text, isQuery: true }
  }
  if (!trap && random() < 0.15) return { text: pick(random, harmless), isQuery: false }
  return { text: query(grammar, 2), isQuery: true }
}

const harmless: readonly string[] = [
  'SHOW ALL',
  'SHOW search_path',
  "SET application_name = 'proof'",
  "SET LOCAL work_mem = '8MB'",
  "SET TIME ZONE 'UTC'",
  'SET TRANSACTION READ ONLY',
  'SET default_transaction_read_only = on',
  'SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ',
  'RESET ALL',
  'RESET work_mem',
  'SET CONSTRAINTS ALL DEFERRED',
  'LISTEN canary',
  'UNLISTEN *',
  'COPY t TO STDOUT',
  'COPY orders (id, total) TO STDOUT (FORMAT csv, HEADER)',
  'BEGIN READ ONLY; SELECT count(*) FROM t; COMMIT',
  'BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT 1; COMMIT AND CHAIN; SELECT 2; ROLLBACK',
  'BEGIN; SAVEPOINT a; SELECT 1/0',
  'BEGIN; SAVEPOINT a; SELECT 1; ROLLBACK TO a; RELEASE a; COMMIT',
  'BEGIN; LOCK TABLE t IN ACCESS SHARE MODE; TABLE t; COMMIT',
  'DISCARD PLANS',
  'DISCARD ALL',
]

function query(grammar: Grammar, depth: number): string {
  const { random } = grammar
  const roll = random()
  if (depth > 0 && roll < 0.12) return withQuery(grammar, depth - 1)
  if (depth > 0 && roll < 0.2) {
    const operator = pick(random, ['UNION', 'UNION ALL', 'INTERSECT', 'EXCEPT'])
    return `${select(grammar, depth - 1)} ${operator} ${select(grammar, depth - 1)}`
  }
  if (roll < 0.26) {
    const row = (): string => `(${integer(grammar, [], 1)}, ${text(grammar, [], 1)})`
    return `VALUES ${row()}, ${row()}`
  }
  return select(grammar, depth)
}

function withQuery(grammar: Grammar, depth: number): string {
  const { random, trap } = grammar
  const body =
    trap && random() < 0.4 ? `${pick(random, writes)} RETURNING 1` : select(grammar, depth)
  const name = grammar.alias()
  const recursive = 'RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 5), '
  const kind = pick(random, ['', 'MATERIALIZED ', 'NOT MATERIALIZED '])
  const from = random() < 0.5 ? `SELECT * FROM ${name}` : select(grammar, depth)
  return `WITH ${random() < 0.3 ? recursive : ''}${name} AS ${kind}(${body}) ${from}`
}

/** Always of one integer and one text, so that any two can be put together. */
function select(grammar: Grammar, depth: number): string {
  const { random } = grammar
  const sources = Array.from({ length: 1 + Math.floor(random() * 2) }, () => source(grammar, depth))
  const columns = sources.map(({ column }) => column)
  const joined = sources.map((one) => one.sql)
  const from =
    random() < 0.4 && joined.length > 1
      ? joined
          .join(` ${pick(random, ['JOIN', 'LEFT JOIN'])} `)
          .concat(` ON ${condition(grammar, columns, 1)}`)
      : joined.join(', ')
  if (random() < 0.2) {
    const key = text(grammar, columns, 0)
    return `SELECT count(*)::int + ${integer(grammar, [], 1)}, ${key} FROM ${from} GROUP BY ${key} HAVING count(*) > 0`
  }
  return [
    `SELECT ${random() < 0.1 ? 'DISTINCT ' : ''}${integer(grammar, columns, depth)}, ${text(grammar, columns, depth)}`,
    ` FROM ${from}`,
    random() < 0.6 ? ` WHERE ${condition(grammar, columns, depth)}` : '',
  ].join('')
}

function source(
  grammar: Grammar,
  depth: number,
): { readonly sql: string; readonly column: Column } {
  const { random } = grammar
  const name = grammar.alias()
  const column = { integer: `${name}.i`, text: `${name}.s` }
  const roll = random()
  if (depth > 0 && roll < 0.2)
    return { sql: `(${select(grammar, depth - 1)}) ${name}(i, s)`, column }
  if (roll < 0.3) {
    const last = integer(grammar, [], 0)
    return {
      sql: `generate_series(1, ${last} % 10) ${name}`,
      column: { integer: name, text: `${name}::text` },
    }
  }
  if (roll < 0.35) {
    return { sql: `unnest(ARRAY[1, 2], ARRAY['x', 'y']) ${name}(i, s)`, column }
  }
  const [table, integerColumn, textColumn] = pick(random, tables)
  const sample = random() < 0.05 && /^(t|orders)$/.test(table) ? ' TABLESAMPLE system (50)' : ''
  return {
    sql: `${table} ${name}${sample}`,
    column: { integer: `${name}.${integerColumn}`, text: `${name}.${textColumn}::text` },
  }
}

function integer(grammar: Grammar, columns: readonly Column[], depth: number): string {
  const { random } = grammar
  if (grammar.trap && random() < 0.4) {
    const argument = String(1 + Math.floor(random() * 9))
    return pick(random, traps[pick(random, grammar.kinds)](argument))
  }
  const leaf = (): string =>
    columns.length > 0 && random() < 0.7
      ? pick(random, columns).integer
      : String(Math.floor(random() * 100))
  if (depth === 0) return leaf()
  const one = (): string => integer(grammar, columns, depth - 1)
  switch (Math.floor(random() * 12)) {
    case 0:
      return `(${one()} ${pick(random, ['+', '-', '|', '&'])} ${one()}) % 1000`
    case 1:
      return `coalesce(${one()}, ${one()})`
    case 2:
      return `CASE WHEN ${condition(grammar, columns, depth - 1)} THEN ${one()} ELSE ${one()} END`
    case 3:
      return `length(${text(grammar, columns, depth - 1)})`
    case 4:
      return `(SELECT count(*)::int FROM (${select(grammar, depth - 1)}) AS ${grammar.alias()})`
    case 5:
      return `greatest(${one()}, ${one()})`
    case 6:
      return `(ARRAY[${one()}, ${one()}])[1]`
    case 7:
      return `pure_udf(${one()})`
    case 8:
      return `(${one()} <+> 1)`
    case 9:
      return `(${one()})::numeric(12, 2)::int`
    default:
      return leaf()
  }
}

function text(grammar: Grammar, columns: readonly Column[], depth: number): string {
  const { random } = grammar
  const leaf = (): string =>
    columns.length > 0 && random() < 0.7
      ? pick(random, columns).text
      : pick(random, [
          "'x'::text",
          "''::text",
          "$$it's$$::text",
          "E'\\n'::text",
          "U&'\\0041'::text",
        ])
  if (depth === 0) return leaf()
  const one = (): string => text(grammar, columns, depth - 1)
  switch (Math.floor(random() * 9)) {
    case 0:
      return `(${one()} || ${one()})`
    case 1:
      return `upper(${one()})`
    case 2:
      return `substring(${one()} FROM 1 FOR 2)`
    case 3:
      return `(${integer(grammar, columns, depth - 1)})::text`
    case 4:
      return `to_json(${integer(grammar, columns, depth - 1)})::text`
    case 5:
      return `concat(${one()}, ${integer(grammar, columns, depth - 1)})`
    case 6:
      return `(ROW('Main St', ${one()})::place).city`
    default:
      return leaf()
  }
}

function condition(grammar: Grammar, columns: readonly Column[], depth: number): string {
  const { random } = grammar
  const number = (): string => integer(grammar, columns, Math.max(0, depth - 1))
  switch (Math.floor(random() * 7)) {
    case 0:
      return `${number()} ${pick(random, ['<', '=', '<>', '>='])} ${number()}`
    case 1:
      return `${text(grammar, columns, Math.max(0, depth - 1))} LIKE '%e%'`
    case 2:
      return `${number()} IN (${number()}, ${number()})`
    case 3:
      return `${number()} IS NOT NULL`
    case 4:
      return depth > 0 ? `EXISTS (${select(grammar, depth - 1)})` : 'true'
    case 5:
      return depth > 0
        ? `(${condition(grammar, columns, depth - 1)} OR NOT ${condition(grammar, columns, depth - 1)})`
        : 'NOT false'
    default:
      return `${number()} BETWEEN ${number()} AND ${number()}`
  }
}

/** A statement in one of the forms in which it can reach the executor. */
function sent(random: Random, { text, isQuery }: Text): readonly FrontendMessage[] {
  // A denied COPY leaves its data behind.
  const data: readonly FrontendMessage[] = /\bCOPY \w+ FROM STDIN/.test(text)
    ? [{ type: 'copyData', data: Buffer.from('8\teight\n') }, { type: 'copyDone' }]
    : []
  const other = pick(random, ['SELECT 1', 'SHOW TimeZone', 'SELECT count(*) FROM t', ''])
  const end = pick(random, ['COMMIT', 'ROLLBACK'])
  const extended = (statement: string, name = '', portal = ''): readonly FrontendMessage[] => [
    parse(statement, name),
    bind(name, portal),
    { type: 'describe', target: 'portal', name: portal },
    execute(portal, pick(random, [0, 0, 1])),
  ]
  const closed: readonly FrontendMessage[] = [{ type: 'close', target: 'statement', name: 'e1' }]
  switch (Math.floor(random() * (isQuery ? 15 : 8))) {
    case 0:
    case 1:
      return [sql(text), ...data]
    case 2:
      return [sql(`${other}; ${text}; ${other}`), ...data]
    case 3:
      return [sql('BEGIN'), sql(text), ...data, sql(end)]
    case 4:
      return [...extended(text), ...data, sync]
    case 5:
      return [...closed, ...extended(text, 'e1', 'p1'), ...data, sync]
    case 6:
      return [...extended('SELECT 1'), ...extended(text), ...data, ...extended('SELECT 2'), sync]
    case 7:
      return [
        sql('BEGIN'),
        sql('SAVEPOINT s'),
        sql(`-- 1\r${text}`),
        ...data,
        sql('ROLLBACK TO s'),
        sql(end),
      ]
    case 8:
      return [sql(`EXPLAIN ${pick(random, ['', 'ANALYZE ', '(ANALYZE, COSTS off) '])}${text}`)]
    case 9:
      return [sql('DEALLOCATE ALL'), sql(`PREPARE e2 AS ${text}`), sql('EXECUTE e2')]
    case 10:
      return [
        sql('BEGIN'),
        sql(`DECLARE c1 CURSOR FOR ${text}`),
        sql('FETCH 2 FROM c1'),
        sql('MOVE ALL IN c1'),
        sql(end),
      ]
    case 11:
      return [sql(`COPY (${text}) TO STDOUT`)]
    case 12:
      return [sql(`SELECT * FROM (${text}) AS outermost LIMIT 3`)]
    case 13:
      return [parse(text, ''), bind('', 'p2'), execute('p2', 1), execute('p2', 1), sync]
    default:
      return [
        ...closed,
        parse(text, 'e1'),
        sync,
        sql('BEGIN'),
        sql('EXPLAIN ANALYZE EXECUTE e1'),
        sql('EXECUTE e1'),
        sql(end),
      ]
  }
}

/** Types and functions that no text names: the server takes them from the message. */
function byNumber(random: Random, { types, functions }: Numbers): readonly FrontendMessage[] {
  if (types.length === 0 || random() < 0.3) {
    const argument = Buffer.from([0, 0, 0, 1])
    const oid = pick(random, functions)
    return [
      {
        type: 'functionCall',
        oid,
        argumentFormats: [1],
        arguments: [argument],
        resultFormat: 0,
      },
    ]
  }
  const [type, value] = pick(random, types)
  return [
    { type: 'parse', name: '', text: Buffer.from('SELECT $1'), parameterTypes: [type] },
    {
      type: 'bind',
      portal: '',
      statement: '',
      parameterFormats: [],
      parameters: [Buffer.from(value)],
      resultFormats: [],
    },
    execute(),
    sync,
  ]
}
