// Random, seeded, legal conversations: what a client may send, in an order that no client would think
// of. The server's answer to each is determined by the messages alone, not by their timing, so that
// two runs against equal databases can be compared.

import type { FrontendMessage } from '../../src/wire/frontend.ts'
import { bind, execute, parse, sql, sync } from './scripted-session.ts'

/** The tables and rows that the conversations speak of. */
export const randomSchema = `
  CREATE TABLE t (a int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, b text);
  INSERT INTO t SELECT n, 'row ' || n FROM generate_series(1, 5) n;
  CREATE FUNCTION says(text) RETURNS text LANGUAGE plpgsql AS
    $$ BEGIN RAISE NOTICE '%', $1; RETURN $1; END $$;
`

export type Random = () => number

/** A generator of numbers below 1 that is the same for the same seed (mulberry32). */
export function seeded(seed: number): Random {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

export function pick<T>(random: Random, from: readonly T[]): T {
  const found = from[Math.floor(random() * from.length)]
  if (found === undefined) throw new RangeError('nothing to pick from')
  return found
}

const plain = [
  'SELECT 1',
  'SELECT * FROM t ORDER BY a LIMIT 3',
  'SELECT generate_series(1, 4)',
  "SELECT says('hello')",
  'SELECT 1/0',
  'SELECT nowhere',
  'SELECT a, 1/(a - 3) FROM t ORDER BY a',
  "INSERT INTO t VALUES (6, 'six') RETURNING a",
  "INSERT INTO t VALUES (1, 'again')",
  'UPDATE t SET b = b || a WHERE a < 3',
  'DELETE FROM t WHERE a > 4',
  'BEGIN',
  'COMMIT',
  'ROLLBACK',
  'SAVEPOINT s',
  'ROLLBACK TO SAVEPOINT s',
  'RELEASE s',
  'SHOW application_name',
  "SET application_name = 'x'",
  "SET LOCAL application_name = 'y'",
  'RESET application_name',
  'EXPLAIN (COSTS off) SELECT 1',
  'COPY t TO STDOUT',
  'COPY (SELECT 1 WHERE false) TO STDOUT',
  'COPY t TO STDOUT (FORMAT binary)',
  'COPY (SELECT 1/(3 - n) FROM generate_series(1, 5) n) TO STDOUT',
  'LISTEN c',
  "NOTIFY c, 'n'",
  'SET CONSTRAINTS ALL IMMEDIATE',
  'PREPARE n1 AS SELECT * FROM t ORDER BY a',
  'PREPARE n2 AS DELETE FROM t WHERE a = 2 RETURNING b',
  'DEALLOCATE n1',
  'DEALLOCATE n2',
  'DEALLOCATE ALL',
  'DISCARD ALL',
  'DECLARE c CURSOR FOR SELECT * FROM t ORDER BY a',
  'DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT a FROM t ORDER BY a',
  'DECLARE h CURSOR WITH HOLD FOR SELECT b FROM t ORDER BY a',
  'DECLARE p1 CURSOR FOR SELECT says(b) FROM t ORDER BY a',
  'FETCH 1 FROM h',
  'CLOSE h',
  'FETCH 2 FROM c',
  'MOVE 1 FROM c',
  'CLOSE c',
  'FETCH ALL FROM p1',
  'CLOSE p1',
  'CLOSE ALL',
] as const

/** By simple query only. */
const strings = [
  '',
  ';',
  'SELEC',
  'EXECUTE n1',
  'EXECUTE n2',
  'SELECT 1; SELECT 2',
  'SELECT 1; SELECT 1/0; SELECT 2',
  'BEGIN; SELECT 1; COMMIT',
  'SELECT 1; COPY t TO STDOUT; SELECT 2',
  'DEALLOCATE ALL; PREPARE n1 AS SELECT 7; EXECUTE n1',
  'PREPARE n2 AS SELECT 8; SELECT 1/0',
  'BEGIN; DECLARE c CURSOR FOR SELECT generate_series(1, 5); FETCH 2 FROM c',
  'CLOSE c; DECLARE c CURSOR FOR SELECT 7 AS seven',
  'DECLARE h CURSOR WITH HOLD FOR SELECT 1; SELECT 1/0',
  'CLOSE ALL; DECLARE p2 CURSOR WITH HOLD FOR SELECT * FROM t ORDER BY a; FETCH p2',
] as const

const copies = [
  'COPY t FROM STDIN',
  'COPY t FROM STDIN (FREEZE)',
  'COPY t (a) FROM STDIN',
  'COPY t FROM STDIN WHERE 1/(a - 8) > 0',
  'COPY t FROM STDIN (FORMAT binary)',
] as const

/** By simple query only. */
const copyStrings = [
  'SELECT 1; COPY t FROM STDIN; SELECT 2',
  'COPY t FROM STDIN; COPY t (a) FROM STDIN',
  'COPY t TO STDOUT; COPY t FROM STDIN; COPY t TO STDOUT',
  'BEGIN; COPY t FROM STDIN; COMMIT',
  'COPY t FROM STDIN; SELECT 1/0; COPY t FROM STDIN',
  'COPY t FROM STDIN; SELECT nowhere',
] as const

const rows = [
  '7\tseven\n',
  '8\teight\n',
  'not a number\n',
  '9\tni',
  'ne\n',
  '1\tagain\n',
  '\\.\n',
  `10\t${'long '.repeat(4_000)}\n`,
] as const

/** PostgreSQL documentation, "COPY": file formats, binary. */
const binaryRows: readonly Buffer[] = [
  Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1'),
  Buffer.from('\0\x02\0\0\0\x04\0\0\0\x07\0\0\0\x05seven', 'latin1'),
  Buffer.from('\0\x02\0\0\0\x04\0\0', 'latin1'),
  Buffer.from('\0\x08\xff\xff\xff\xff', 'latin1'),
  Buffer.from('\xff\xff', 'latin1'),
]

/** A conversation. `mark` is put into every text, to find it again in logs. */
export function conversation(random: Random, mark: () => string): readonly FrontendMessage[] {
  const messages: FrontendMessage[] = []
  const steps = 1 + Math.floor(random() * 14)
  for (let step = 0; step < steps; step++) messages.push(...oneStep(random, mark))
  return messages
}

function oneStep(random: Random, mark: () => string): readonly FrontendMessage[] {
  const text = (): string => `${pick(random, plain)} ${mark()}`
  const name = (): string => pick(random, ['', '', 'n1', 'n2'])
  const portal = (): string => pick(random, ['', '', 'p1', 'p2'])
  // A failed Query leaves an unnamed portal behind, and PostgreSQL 18.4 dies of a message about it
  // alone: the unnamed portal is named only behind the Bind that makes it.
  const named = (): string => pick(random, ['p1', 'p2', 'c', 'h'])
  const limit = (): number => pick(random, [0, 0, 1, 2])
  const end = (): readonly FrontendMessage[] => (random() < 0.7 ? [sync] : [])
  switch (Math.floor(random() * 14)) {
    case 0:
    case 1:
    case 2:
      return [sql(text())]
    case 3:
      return [sql(`${pick(random, strings)} ${mark()}`)]
    case 4:
    case 5: {
      const [statement, at] = [name(), portal()]
      const described: readonly FrontendMessage[] =
        random() < 0.5 ? [{ type: 'describe', target: 'portal', name: at }] : []
      return [
        parse(text(), statement),
        bind(statement, at),
        ...described,
        execute(at, limit()),
        ...end(),
      ]
    }
    case 6:
      return [parse(text(), name()), ...end()]
    case 7:
      return [bind(name(), portal()), ...end()]
    case 8:
      return [execute(named(), limit()), ...end()]
    case 9:
      return [
        { type: random() < 0.5 ? 'describe' : 'close', target: 'statement', name: name() },
        { type: random() < 0.5 ? 'describe' : 'close', target: 'portal', name: named() },
        ...end(),
      ]
    case 10:
      return random() < 0.5 ? [sync] : [{ type: 'flush' }]
    case 11:
      return copyIn(random, mark)
    case 12:
      return [call(random)]
    default:
      return random() < 0.5 ? [sync, sync] : data(random)
  }
}

/** Of the large-object interface, on one object: lo_creat would name it differently in each database. */
function call(random: Random): FrontendMessage {
  const [object, descriptor] = [int4(4711), int4(0)]
  const [oid, ...args] = pick<readonly [number, ...Buffer[]]>(random, [
    [715, object],
    [964, object],
    [952, object, int4(0x60000)],
    [952, object, int4(0x40000)],
    [955, descriptor, Buffer.from('a few bytes')],
    [955, descriptor, Buffer.alloc(20_000, 'many')],
    [954, descriptor, int4(5)],
    [956, descriptor, int4(0), int4(0)],
    [958, descriptor],
    [1004, descriptor, int4(3)],
    [953, descriptor],
    // Too few arguments, and one that is no number.
    [954, descriptor],
    [958, Buffer.from('x')],
  ])
  const resultFormat = pick(random, [0, 1])
  return { type: 'functionCall', oid, argumentFormats: [1], arguments: args, resultFormat }
}

function int4(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

/** COPY FROM STDIN with all of its data at once; with a Sync before it, as many drivers send. */
function copyIn(random: Random, mark: () => string): readonly FrontendMessage[] {
  if (random() < 0.3) {
    // A second COPY's data means nothing where there is none.
    return [sql(`${pick(random, copyStrings)} ${mark()}`), ...data(random), ...data(random)]
  }
  const text = `${pick(random, copies)} ${mark()}`
  if (random() < 0.5) return [sql(text), ...data(random, text.includes('binary'))]
  // FREEZE fails between asking for data and reading any. Whether the server then reads an early Sync
  // as one is for it to know: a client that sends one must take either number of ReadyForQuery.
  const early = random() < 0.5 && !text.includes('FREEZE') ? [sync] : []
  const sent = data(random, text.includes('binary'))
  return [parse(text), bind(), execute(), ...early, ...sent, sync]
}

function data(random: Random, binary = false): readonly FrontendMessage[] {
  const count = Math.floor(random() * 4)
  const sent = Array.from({ length: count }, (_, n): FrontendMessage => {
    const rowOf = (): Buffer => Buffer.from(pick(random, rows))
    // Mostly in the order that a file has them.
    const binaryRow = (): Buffer => binaryRows[n] ?? pick(random, binaryRows)
    return { type: 'copyData', data: binary && random() < 0.9 ? binaryRow() : rowOf() }
  })
  const last: FrontendMessage =
    random() < 0.8 ? { type: 'copyDone' } : { type: 'copyFail', message: 'gave up' }
  return [...sent, last]
}
