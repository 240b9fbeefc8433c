// The part of a list's statement that is the same for requests and grants: filters, what the caller may see, the
// place where the page before ended. Values are parameters, never text. Ignorant of what the rows are.

import type { Position, Sight } from '../access/desk-store.ts'

interface Filters {
  readonly principal: string | undefined
  readonly target: string | undefined
  readonly role: string | undefined
  readonly sight: Sight | undefined
  readonly after: Position | undefined
  readonly limit: number
}

/** The end of a statement, with its parameters. */
export interface Ending {
  readonly text: string
  readonly values: unknown[]
}

/**
 * `row` is what the statement calls the table, `time` its column that the list is ordered by, newest first.
 * `more` adds conditions of its own; what it is given puts a value into the statement.
 */
export function ending(
  row: string,
  time: string,
  filters: Filters,
  more: (parameter: (value: unknown) => string) => readonly string[],
): Ending {
  const { principal, target, role, sight, after, limit } = filters
  const values: unknown[] = []
  const parameter = (value: unknown): string => `$${values.push(value)}`
  const conditions = [...more(parameter)]
  for (const [column, value] of Object.entries({ principal, target, role })) {
    if (value !== undefined) conditions.push(`${row}.${column} = ${parameter(value)}`)
  }
  if (sight !== undefined) conditions.push(seen(row, sight, parameter))
  if (after !== undefined) {
    const place = `${parameter(new Date(after.at))}, ${parameter(after.id)}`
    conditions.push(`(${row}.${time}, ${row}.id) < (${place})`)
  }
  const where = conditions.length === 0 ? '' : `where ${conditions.join(' and ')}`
  const order = `order by ${row}.${time} desc, ${row}.id desc limit ${parameter(limit)}`
  return { text: `${where} ${order}`, values }
}

function seen(
  row: string,
  { principal, approves }: Sight,
  parameter: (value: unknown) => string,
): string {
  const own = `${row}.principal = ${parameter(principal)}`
  // Most people approve nothing: an index finds what is theirs.
  if (approves.length === 0) return own
  const targets = parameter(approves.map(({ target }) => target))
  const roles = parameter(approves.map(({ role }) => role))
  const pairs = `select * from unnest(${targets}::text[], ${roles}::text[])`
  return `(${own} or (${row}.target, ${row}.role) in (${pairs}))`
}
