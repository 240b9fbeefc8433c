// The statements of evasions.tsv: for each the least role that may run it, and what a server answers a
// superuser who sends it as the first text of a new session on the database of fixture.sql.
// One row a line: id, category, statement, least role, SQLSTATE (or `ok`) of PostgreSQL 15 and of 18,
// note. In a statement \n \r \t \v \f \\ stand for the characters.

import { readFileSync } from 'node:fs'
import { unescaped } from './corpora.ts'

const folder = new URL('../fixtures/corpus/', import.meta.url)

export interface Evasion {
  readonly id: string
  readonly category: string
  readonly sql: string
  /** Name of the least role that may run it; `nobody` when even admin may not. */
  readonly least: string
  /** What each release answers: `ok`, or the SQLSTATE of the error. */
  readonly answers: Readonly<Record<'15' | '18', string>>
  /** What a report calls it: id, category and the beginning of the text. */
  readonly title: string
}

/** SQL that makes the database the statements speak of. */
export const fixture = readFileSync(new URL('fixture.sql', folder), 'utf8')

/** Roles of the whole server that must exist beside the fixture. */
export const fixtureRoles = ['trial_reader', 'trial_owner'] as const

export const evasions: readonly Evasion[] = readFileSync(new URL('evasions.tsv', folder), 'utf8')
  .trimEnd()
  .split('\n')
  .slice(1)
  .map(parse)

function parse(line: string): Evasion {
  const [id, category, escaped, least, older, newer] = line.split('\t')
  if (!(id && category && escaped !== undefined && least && older && newer)) {
    throw new TypeError(`not a row of the corpus: ${line}`)
  }
  const start = escaped.length > 90 ? `${escaped.slice(0, 90)}...` : escaped
  const title = `${id} ${category}: ${start}`
  return {
    id,
    category,
    sql: unescaped(escaped),
    least,
    answers: { 15: older, 18: newer },
    title,
  }
}
