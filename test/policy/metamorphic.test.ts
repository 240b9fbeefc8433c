// What must hold of any statement, whatever it is: tried on every other statement of the corpora.

import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { type Least, leastRole, policy, roleNames } from './predefined.ts'

const corpus = new URL('../fixtures/corpus/', import.meta.url)

/** Only what parses: of the rest nothing is promised but that it is denied. */
const statements = readdirSync(corpus)
  .filter((file) => file.endsWith('.ndjson'))
  .flatMap((file) => readFileSync(new URL(file, corpus), 'utf8').trimEnd().split('\n'))
  .map((line) => (JSON.parse(line) as { readonly sql: string }).sql)
  .filter((_, index) => index % 2 === 0)
  .filter((sql) => policy.judgeText('admin', sql).analysis.type === 'parsed')

const order: readonly string[] = [...roleNames, 'nobody']

function stricter(one: string, other: string): string {
  return order.indexOf(one) > order.indexOf(other) ? one : other
}

/** The statements for which `holds` is not true. */
function exceptions(holds: (sql: string, index: number) => boolean): readonly string[] {
  return statements.filter((sql, index) => !holds(sql, index))
}

describe('whatever the statement', () => {
  it('is one of many', () => expect(statements.length).toBeGreaterThan(500))

  it('comments and white space around it change nothing', () => {
    expect(
      exceptions(
        (sql) => leastRole(`/* a /* b */ */\r\n ${sql}\n -- ; DROP TABLE t`) === leastRole(sql),
      ),
    ).toEqual([])
  })

  it('two in a string need what the stricter one needs', () => {
    expect(
      exceptions((sql, index) => {
        const other = statements[(index * 7 + 13) % statements.length] ?? ''
        // A name that the first one prepares is known to the second.
        return leastRole(`${sql}\n;\n${other}`) === stricter(leastRole(sql), leastRole(other))
      }),
    ).toEqual([])
  })

  it.each<[string, (sql: string) => string, Least]>([
    ['EXPLAIN', (sql) => `EXPLAIN (ANALYZE) ${sql}`, 'read_only'],
    ['PREPARE', (sql) => `PREPARE p AS ${sql}`, 'read_only'],
    ['DECLARE', (sql) => `DECLARE c CURSOR WITH HOLD FOR ${sql}`, 'read_only'],
    ['COPY', (sql) => `COPY (${sql.replace(/;\s*$/, '')}\n) TO STDOUT`, 'read_only'],
    ['a CTE', (sql) => `WITH c AS (${sql.replace(/;\s*$/, '')}\n) SELECT 1`, 'read_only'],
    ['a sub-query', (sql) => `SELECT (${sql.replace(/;\s*$/, '')}\n)`, 'read_only'],
    ['CREATE TABLE AS', (sql) => `CREATE TABLE x AS ${sql}`, 'read_full_write'],
    ['a view', (sql) => `CREATE VIEW v AS ${sql}`, 'read_full_write'],
    ['a rule', (sql) => `CREATE RULE r AS ON INSERT TO t DO ${sql}`, 'read_full_write'],
  ])('inside %s it needs no less', (_, wrap, own) => {
    let wrapped = 0
    const lost = exceptions((sql) => {
      const text = wrap(sql)
      const { analysis } = policy.judgeText('admin', text)
      // Not everything can stand there; what cannot is denied to all, or is a column's name.
      if (/^\w+;?$/.test(sql) || analysis.type === 'unparsable' || analysis.statements.length !== 1)
        return true
      wrapped++
      const needs = order.indexOf(leastRole(text))
      return needs >= order.indexOf(stricter(leastRole(sql), own))
    })
    expect(lost).toEqual([])
    expect(wrapped).toBeGreaterThan(50)
  })
})
