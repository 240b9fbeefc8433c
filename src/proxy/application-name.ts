// The application name under which PostgreSQL shows a session (pg_stat_activity, log_line_prefix):
// who it is, so that a DBA need not look up the database role in the audit. A convenience and no proof:
// a client may SET another one. Ignorant of what the client is called in the audit.
// PostgreSQL documentation, "Error Reporting and Logging": application_name.

import type { Grant } from '../access/access.ts'

/** A template in its parts. One without parts leaves the name to the client. */
export type NameTemplate = readonly NamePart[]

type NamePart = { readonly type: 'text'; readonly text: string } | { readonly type: Filling }

type Filling = 'principal' | 'grant' | 'role' | 'application'

/** NAMEDATALEN - 1: PostgreSQL silently cuts what is longer. */
const longest = 63

/** Who is shortened last. The grant never is: with it everything else is found in the audit. */
const precedence: readonly Filling[] = ['grant', 'principal', 'role', 'application']

/** At most 63 bytes of printable ASCII. What was cut ends in `~`; the application gets what is left. */
export function applicationName(
  template: NameTemplate,
  values: Readonly<Record<Filling, string>>,
): string {
  const texts = template.map((part) => (part.type === 'text' ? part.text : ''))
  let room = longest - texts.join('').length
  for (const filling of precedence) {
    for (const [at, { type }] of template.entries()) {
      if (type !== filling) continue
      const text = cut(printable(values[filling]), room)
      texts[at] = text
      room -= text.length
    }
  }
  return texts.join('').trim()
}

/**
 * The client's settings with our name in the place of its own, however it writes that one: of two that
 * differ in case alone the server would take the later.
 */
export function underName(
  settings: ReadonlyMap<string, string>,
  template: NameTemplate,
  { id, principal, role }: Grant,
): ReadonlyMap<string, string> {
  if (template.length === 0) return settings
  const values = { principal, grant: id, role, application: askedApplication(settings) }
  const others = [...settings].filter(([setting]) => setting.toLowerCase() !== 'application_name')
  return new Map([...others, ['application_name', applicationName(template, values)]])
}

/** What the client asks to be called; '' where it does not say. */
export function askedApplication(settings: ReadonlyMap<string, string>): string {
  return [...settings].findLast(([name]) => name.toLowerCase() === 'application_name')?.[1] ?? ''
}

/**
 * A `?` for every other character. PostgreSQL would do the same before release 16, and write `\xNN` for
 * each byte since: three times as long, and cut in the middle.
 */
function printable(text: string): string {
  return text.replace(/[^ -~]/gu, '?')
}

function cut(text: string, room: number): string {
  if (text.length <= room) return text
  return room > 0 ? `${text.slice(0, room - 1)}~` : ''
}
