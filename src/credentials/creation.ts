// The SQL statements that give a new database role what its pgwarden role may have, as the operator
// wrote them: `GRANT shop_reader TO {{name}}`. Ignorant of connections.
// Placeholders come out quoted, so the operator writes no quotes around them.

import { escapeIdentifier, escapeLiteral } from 'pg'
import { Failure } from '../errors.ts'

export interface CreationValues {
  /** The new role's name. */
  readonly name: string
  /** When the role ends, in milliseconds since the epoch. */
  readonly expiration: number
}

/**
 * @throws Failure invalid_configuration for a placeholder that does not exist: left in place, it
 * would be an error of PostgreSQL's that nobody could make sense of.
 */
export function renderCreation(
  statements: readonly string[],
  { name, expiration }: CreationValues,
): string[] {
  const quoted = new Map([
    ['name', escapeIdentifier(name)],
    ['expiration', timestamp(expiration)],
  ])
  return statements.map((statement) =>
    statement.replace(/\{\{(.*?)\}\}/gs, (whole, inner: string) => {
      const value = quoted.get(inner.trim())
      if (value !== undefined) return value
      throw new Failure('invalid_configuration', {
        message: `unknown placeholder ${whole} in a creation statement`,
        hint: 'There are {{name}} and {{expiration}}.',
      })
    }),
  )
}

/** A time as SQL, quoted. */
export function timestamp(time: number): string {
  return escapeLiteral(new Date(time).toISOString())
}
