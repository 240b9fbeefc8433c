import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { analyse, loadParser } from '../../src/sql/analyse.ts'
import type { Statement, Unparsable } from '../../src/sql/facts.ts'

const limits = { maxBytes: 1024 * 1024 }

beforeAll(loadParser)

describe('facts of a statement', () => {
  it.each([
    ['SELECT 1', 'SELECT', 'READ'],
    ['SELECT 1 INTO x', 'SELECT INTO', 'DDL'],
    ['SELECT 1 FROM t FOR UPDATE', 'SELECT FOR UPDATE', 'WRITE'],
    ['CREATE TABLE x AS SELECT 1', 'CREATE TABLE AS', 'DDL'],
    ['TRUNCATE t', 'TRUNCATE TABLE', 'WRITE'],
    ["COPY t TO PROGRAM 'x'", 'COPY', 'WRITE'],
    ['EXPLAIN SELECT 1', 'EXPLAIN', 'READ'],
    ['EXPLAIN DELETE FROM t', 'EXPLAIN', 'WRITE'],
    ['BEGIN READ WRITE', 'BEGIN', 'MISC'],
    ['ROLLBACK TO a', 'ROLLBACK', 'MISC'],
    ['LOCK TABLE t', 'LOCK TABLE', 'MISC'],
    ['CREATE USER x', 'CREATE ROLE', 'ROLE'],
    ['ALTER VIEW v RENAME TO w', 'ALTER VIEW', 'DDL'],
    ['ALTER INDEX i OWNER TO x', 'ALTER INDEX', 'DDL'],
    ['DROP MATERIALIZED VIEW v', 'DROP MATERIALIZED VIEW', 'DDL'],
    ["DO ''", 'DO', 'FUNCTION'],
    ['SET a.b = 1', 'SET', 'MISC_SET'],
    ['DISCARD ALL', 'DISCARD ALL', 'MISC'],
    ['WITH d AS (DELETE FROM t) SELECT 1', 'SELECT', 'WRITE'],
  ])('%s is a %s of class %s', (sql, tag, statementClass) => {
    expect(only(sql)).toMatchObject({ tag, class: statementClass, opaque: undefined })
  })

  it('says where each action hides', () => {
    const sql = 'EXPLAIN WITH d AS (DELETE FROM t RETURNING 1) SELECT (SELECT 1 FROM t FOR SHARE)'
    expect(only(sql).actions.map(({ command, where }) => `${command}: ${where}`)).toEqual([
      'EXPLAIN: top level',
      'SELECT: EXPLAIN',
      'SELECT FOR SHARE: a sub-query',
      'DELETE: common table expression "d"',
    ])
  })

  it('lists relations as written, read and written, but not names of WITH or aliases', () => {
    const sql = `WITH c AS (SELECT * FROM a) INSERT INTO s."T" SELECT x.* FROM c, b AS x`
    expect(only(sql).relations).toEqual(
      expect.arrayContaining([
        { schema: 's', name: 'T', access: 'write' },
        { schema: undefined, name: 'a', access: 'read' },
        { schema: undefined, name: 'b', access: 'read' },
      ]),
    )
    expect(only(sql).relations).toHaveLength(3)
  })

  it('names operators, also those that words stand for', () => {
    const operators = (sql: string) => only(sql).operators.map(({ schema, name }) => [schema, name])
    const plain = (...names: readonly string[]) => names.map((name) => [undefined, name])
    expect(operators('SELECT a === 1')).toEqual(plain('==='))
    expect(operators('SELECT a OPERATOR(s.@@) 1')).toEqual([['s', '@@']])
    expect(operators('SELECT -a')).toEqual(plain('-'))
    expect(operators('SELECT a IN (1), a IN (SELECT 1)')).toEqual(plain('='))
    expect(operators('SELECT a NOT IN (1)')).toEqual(plain('<>'))
    expect(operators('SELECT a BETWEEN 1 AND 2')).toEqual(plain('>=', '<='))
    expect(operators('SELECT a NOT BETWEEN SYMMETRIC 1 AND 2')).toEqual(plain('<', '>'))
    expect(operators("SELECT a LIKE 'x'")).toEqual(plain('~~'))
    expect(operators('SELECT a <-> ALL (SELECT 1)')).toEqual(plain('<->'))
    expect(operators('SELECT CASE a WHEN 1 THEN 2 END')).toEqual(plain('='))
    expect(operators('SELECT 1 FROM t NATURAL JOIN u')).toEqual(plain('='))
    expect(operators('SELECT 1 FROM t JOIN u USING (a)')).toEqual(plain('='))
    expect(operators('SELECT 1 ORDER BY 1 USING ~<~')).toEqual(plain('~<~'))
    expect(operators('SELECT NULLIF(a, b), a IS DISTINCT FROM b')).toEqual(plain('='))
    expect(operators('SELECT CASE WHEN a THEN 1 END')).toEqual([])
  })

  it('names types wherever they are declared, but not the words of the grammar', () => {
    const types = (sql: string) => only(sql).types.map(({ schema, name }) => [schema, name])
    expect(types('SELECT 1::int, 2::s.d[], CAST(a AS e(3))')).toEqual([
      ['s', 'd'],
      [undefined, 'e'],
    ])
    expect(types("SELECT d '1'")).toEqual([[undefined, 'd']])
    expect(types("SELECT * FROM json_to_record('{}') AS x(a d)")).toEqual([[undefined, 'd']])
    expect(types('SELECT * FROM ROWS FROM (f() AS (a d)) AS x')).toEqual([[undefined, 'd']])
    expect(types("SELECT * FROM XMLTABLE('/' PASSING a COLUMNS x d)")).toEqual([[undefined, 'd']])
    expect(types("SELECT * FROM JSON_TABLE(a, '$' COLUMNS (x d))")).toEqual([[undefined, 'd']])
    expect(types("SELECT JSON_VALUE(a, '$' RETURNING d)")).toEqual([[undefined, 'd']])
    expect(types('SELECT XMLSERIALIZE(CONTENT a AS d)')).toEqual([[undefined, 'd']])
    expect(types('PREPARE p (d) AS SELECT $1')).toEqual([[undefined, 'd']])
  })

  it('names the constructs that an older grammar would take for calls', () => {
    const constructs = (sql: string) =>
      only(sql)
        .functions.filter(({ notation }) => notation === 'syntax')
        .map(({ name, since }) => [name, since])
    expect(constructs("SELECT json_value('{}', '$')")).toEqual([['json_value', 170_000]])
    expect(constructs("SELECT JSON_ARRAY(SELECT 1), json_objectagg('a': 1)")).toEqual(
      expect.arrayContaining([
        ['json_array', 160_000],
        ['json_objectagg', 160_000],
      ]),
    )
    expect(constructs('SELECT json_build_array(1), json_agg(a) FROM t')).toEqual([])
  })

  it('sees a sub-query below every field, whatever the field is called', () => {
    const sql = 'SELECT json_objectagg(1: (WITH d AS (DELETE FROM t RETURNING 1) TABLE d))'
    expect(only(sql).actions).toContainEqual({
      command: 'DELETE',
      class: 'WRITE',
      where: 'common table expression "d"',
    })
  })

  it('tells the two ends of a COPY, and what cursors are for', () => {
    expect(only('COPY t FROM STDIN').copies).toEqual([{ direction: 'from', endpoint: 'client' }])
    expect(only("COPY t TO '/x'").copies).toEqual([{ direction: 'to', endpoint: 'file' }])
    expect(only("COPY t FROM PROGRAM 'x'").copies).toEqual([
      { direction: 'from', endpoint: 'program' },
    ])
    expect(only('DECLARE c CURSOR WITH HOLD FOR SELECT 1').declares).toMatchObject({
      name: 'c',
      hold: true,
      statement: { tag: 'SELECT' },
    })
    expect(only('DECLARE c NO SCROLL CURSOR FOR SELECT 1').declares).toMatchObject({ hold: false })
    expect(only('FETCH ALL FROM c').fetches).toBe('c')
    expect(only('MOVE 1 IN c').fetches).toBe('c')
    expect(only('CLOSE c').closes).toBe('c')
    expect(['CLOSE ALL', 'DISCARD ALL'].map((sql) => only(sql).closes)).toEqual(['*', '*'])
  })

  it('knows settings by the name that the server compares', () => {
    expect(only(`SET LOCAL "TimeZone" = 'UTC'`).settings).toEqual([
      { name: 'timezone', kind: 'set', values: ['UTC'], by: 'SET' },
    ])
    expect(only('START TRANSACTION READ ONLY').settings).toEqual([
      { name: 'transaction_read_only', kind: 'set', values: ['on'], by: 'START TRANSACTION' },
    ])
    expect(only('SELECT set_config(a, $1, true) FROM t').settings).toEqual([
      { name: '?', kind: 'set', values: undefined, by: 'set_config' },
    ])
    expect(only('RESET ALL').settings).toMatchObject([{ name: '*', kind: 'reset' }])
  })

  it('keeps what a PREPARE stands for, and what DEALLOCATE takes away', () => {
    expect(only('PREPARE p AS DELETE FROM t').prepares).toMatchObject({
      name: 'p',
      statement: { tag: 'DELETE', class: 'WRITE' },
    })
    expect(only('DEALLOCATE p').deallocates).toBe('p')
    expect(only('DEALLOCATE ALL').deallocates).toBe('*')
    expect(only('DISCARD ALL').deallocates).toBe('*')
    expect(only('CREATE TABLE x AS EXECUTE p').executes).toBe('p')
  })

  it('cuts each text out by bytes, also behind letters of more than one', () => {
    expect(statements("SELECT 'é😀'; SELECT 2 ;").map(({ text }) => text)).toEqual([
      "SELECT 'é😀'",
      'SELECT 2',
    ])
  })

  it('reads SQL whose comments the parser stumbles over', () => {
    expect(only('SELECT 1 WHERE 2 NOT /* é */ IN (1)').tag).toBe('SELECT')
    expect(only('SELECT a FROM t ORDER BY a NULLS -- x\n FIRST').tag).toBe('SELECT')
    expect(statements('SELECT 1 WHERE 1 NOT /* ; */ IN (2); DROP TABLE t')).toHaveLength(2)
  })
})

describe('what cannot be read', () => {
  it.each([
    ['SELEC 1', 'syntax_error'],
    ["SELECT 'a", 'syntax_error'],
    ['SELECT 1\0; DROP TABLE t', 'invalid_text'],
    ['SELECT \ud800', 'invalid_text'],
    [`SELECT '${'x'.repeat(1024 * 1024)}'`, 'statement_too_large'],
    [`SELECT ${'('.repeat(20_000)}1`, 'statement_too_complex'],
    [`SELECT ${'1+'.repeat(20_000)}1`, 'statement_too_complex'],
  ])('%.20s... is %s', (sql, code) => {
    expect(unparsable(sql).code).toBe(code)
  })

  it('does not spoil the parser for others, however often it is sent', async () => {
    const deep = `SELECT ${'1+'.repeat(20_000)}1`
    for (let i = 0; i < 100; i++) {
      expect(unparsable(deep).code).toBe('statement_too_complex')
      await new Promise((resolve) => setTimeout(resolve, 15))
    }
    expect(only('SELECT 1').tag).toBe('SELECT')
  }, 30_000)

  it('denies, and recovers by itself, when it is sent faster than parsers can be made', async () => {
    const deep = `SELECT ${'1+'.repeat(20_000)}1`
    for (let i = 0; i < 5; i++) expect(unparsable(deep).code).toBe('statement_too_complex')
    // Long texts wait for a new parser; short ones, which cannot break theirs, never do.
    const long = `SELECT ${'1, '.repeat(5_000)}1`
    expect(unparsable(long).code).toBe('statement_too_complex')
    expect(only('SELECT 1').tag).toBe('SELECT')
    await expect.poll(() => analyse(long, limits).type).toBe('parsed')
  })
})

describe('whatever is sent', () => {
  const fragments = fc.constantFrom(
    ...`SELECT|FROM|WITH|AS|(|)|;|,|'|"|$$|/*|*/|--|\n|E'|U&'|\\|DELETE|INTO|t|1|+|::|.|[|]|$1|EXPLAIN|
    COPY|TO|SET|=|é|\u2028|BEGIN|UNION|x|VALUES|FOR UPDATE|CREATE TABLE|PREPARE p AS|GRANT`.split(
      '|',
    ),
  )

  it('never throws, for any text', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), isAnswered), { numRuns: 500 })
  })

  it('never throws, for anything that looks like SQL', () => {
    const texts = fc.array(fragments, { maxLength: 30 }).map((parts) => parts.join(' '))
    fc.assert(fc.property(texts, isAnswered), { numRuns: 3000 })
  })

  function isAnswered(text: string): boolean {
    return ['parsed', 'unparsable'].includes(analyse(text, limits).type)
  }
})

function statements(sql: string): readonly Statement[] {
  const analysis = analyse(sql, limits)
  if (analysis.type === 'unparsable') throw new Error(`${sql}: ${analysis.message}`)
  return analysis.statements
}

function only(sql: string): Statement {
  const [statement, ...rest] = statements(sql)
  if (statement === undefined || rest.length > 0) throw new Error(`not one statement: ${sql}`)
  return statement
}

function unparsable(sql: string): Unparsable {
  const analysis = analyse(sql, limits)
  if (analysis.type === 'parsed') throw new Error(`parsed: ${sql.slice(0, 50)}`)
  return analysis
}
