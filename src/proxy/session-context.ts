// The session context: settings by which the database's row-level security knows who a session belongs to.
// They are filled in from the grant and sent in the startup packet, so that RESET ALL and DISCARD ALL come
// back to them. A value that cannot be had ends the login: an empty one could be somebody.
// PostgreSQL documentation, "Customized Options" and "Row Security Policies".

import type { Grant } from '../access/access.ts'
import { Failure } from '../errors.ts'

/** A value in its parts. */
export type ContextTemplate = readonly ContextPart[]

type ContextPart =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'principal' | 'role' | 'grant' | 'target' }
  | { readonly type: 'claim'; readonly name: string }

/** In bytes. The server takes no startup packet above 10,000, and other settings are in it too. */
const longestValue = 1024
const mostBytes = 4096

/** The settings of a session by this grant. @throws Failure invalid_authorization */
export function filledContext(
  context: ReadonlyMap<string, ContextTemplate>,
  grant: Grant,
): ReadonlyMap<string, string> {
  const filled = new Map<string, string>()
  let bytes = 0
  for (const [setting, template] of context) {
    const value = template.map((part) => textOf(part, setting, grant)).join('')
    const problem = problemOf(value)
    if (problem !== undefined) throw unusable(setting, problem)
    bytes += Buffer.byteLength(setting) + Buffer.byteLength(value)
    filled.set(setting, value)
  }
  if (bytes > mostBytes) throw unusable('all', `takes more than ${mostBytes} bytes`)
  return filled
}

function textOf(part: ContextPart, setting: string, grant: Grant): string {
  switch (part.type) {
    case 'text':
      return part.text
    case 'principal':
      return grant.principal
    case 'role':
      return grant.role
    case 'grant':
      return grant.id
    case 'target':
      return grant.target
    case 'claim': {
      // Not an inherited property: `constructor` is nobody's claim.
      const value = Object.hasOwn(grant.claims, part.name) ? grant.claims[part.name] : undefined
      if (value === undefined || value === '') {
        throw unusable(setting, `needs the claim "${part.name}", which the grant does not have`)
      }
      return value
    }
  }
}

function problemOf(value: string): string | undefined {
  if (value === '') return 'would be empty'
  if (value.includes('\0')) return 'would hold a null character'
  if (/\p{Surrogate}/u.test(value)) return 'would not be valid Unicode'
  return Buffer.byteLength(value) > longestValue
    ? `would be longer than ${longestValue} bytes`
    : undefined
}

function unusable(setting: string, problem: string): Failure {
  return new Failure('invalid_authorization', {
    message: 'pgwarden cannot tell this database who you are',
    detail: `The session context (${setting}) ${problem}.`,
    hint: 'Ask for a new grant; if that does not help, tell the people who run pgwarden.',
  })
}
