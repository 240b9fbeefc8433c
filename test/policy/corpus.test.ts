// The corpora: what each role may run, statement by statement. They only grow.

import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { policy, roleNames } from './predefined.ts'

const corpus = new URL('../fixtures/corpus/', import.meta.url)

describe('every example of the catalogue, for all four roles', () => {
  const [, ...rows] = read('examples.tsv')
  for (const row of rows) {
    const [id = '', category = '', escaped = '', ...verdicts] = row.split('\t')
    const sql = decodeEscapes(escaped)
    it(`${id} ${category}: ${sql.slice(0, 70)}`, () => {
      const outcomes = roleNames.map((role) => policy.judgeText(role, sql).decision.outcome)
      expect(outcomes).toEqual(verdicts.slice(0, roleNames.length))
    })
  }
})

// Captured from a server's log while the tools did their work on a database with a bit of everything.
describe.each([
  { file: 'psql.ndjson', role: 'read_only', what: 'backslash commands and tab completion of psql' },
  { file: 'pg_dump.ndjson', role: 'read_only', what: 'pg_dump' },
  { file: 'pgbench.ndjson', role: 'read_limited_write', what: 'pgbench' },
])('lets $role use $what', ({ file, role }) => {
  /** What a tool asks and the role may not have: a subscription's connection string, mapped users. */
  const denied = new Map([
    ['psql-074', 'relation pg_catalog.pg_subscription: reading sensitive catalogs'],
    ['psql-078', 'relation pg_catalog.pg_user_mappings: reading sensitive catalogs'],
    ['psql-147', 'relation pg_catalog.pg_subscription: reading sensitive catalogs'],
    ['pg_dump-070', 'relation pg_subscription: reading sensitive catalogs'],
  ])
  it.each(read(file).map(parse))('$id $sql', ({ id, sql }) => {
    const { decision } = policy.judgeText(role, sql)
    if (denied.has(id)) expect(decision).toMatchObject({ outcome: 'deny', reason: denied.get(id) })
    else expect(decision).toMatchObject({ outcome: 'allow' })
  })
})

function read(file: string): readonly string[] {
  return readFileSync(new URL(file, corpus), 'utf8').trimEnd().split('\n')
}

function parse(line: string): { readonly id: string; readonly sql: string } {
  const value: unknown = JSON.parse(line)
  if (typeof value !== 'object' || value === null || !('id' in value) || !('sql' in value)) {
    throw new TypeError(`not a line of a corpus: ${line}`)
  }
  return { id: String(value.id), sql: String(value.sql) }
}

function decodeEscapes(text: string): string {
  const escapes: Readonly<Record<string, string>> = {
    n: '\n',
    r: '\r',
    t: '\t',
    v: '\v',
    f: '\f',
    '\\': '\\',
  }
  return text.replace(/\\([nrtvf\\])/g, (_, letter: string) => escapes[letter] ?? letter)
}
