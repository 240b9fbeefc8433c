// Which target a client means: by its database name, an alias of it, or the TLS server name that it
// came for. And what is said to somebody whose token is genuine, but not for what was asked: nobody
// else is told which targets there are.

import type { Misdirected } from '../access/login.ts'
import { Failure } from '../errors.ts'
import { howToAsk } from './no-access.ts'
import type { Target } from './ports.ts'

/** What a client asks for. */
export interface Wanted {
  readonly user: string
  /** `database` of the startup packet; without one, the user name, as in PostgreSQL. */
  readonly database: string
  /** The server name of its TLS (SNI). */
  readonly serverName: string | undefined
}

export interface Destination {
  readonly target: Target | undefined
  /** The target to which the server name leads, and from which no database name leads away. */
  readonly served: Target | undefined
}

export function destinationOf(
  targets: ReadonlyMap<string, Target>,
  { user, database, serverName }: Wanted,
): Destination {
  const host = serverName?.toLowerCase()
  const served = host && find(targets, ({ serverNames }) => serverNames.includes(host))
  if (served) {
    // Without a database in its settings a client asks for the one that is named like the user.
    const names = [user, served.name, served.database, ...served.aliases]
    return { target: names.includes(database) ? served : undefined, served }
  }
  const target = targets.get(database) ?? find(targets, ({ aliases }) => aliases.includes(database))
  return { target, served: undefined }
}

function find(
  targets: ReadonlyMap<string, Target>,
  fits: (target: Target) => boolean,
): Target | undefined {
  for (const target of targets.values()) if (fits(target)) return target
  return undefined
}

/** What the holder of a token may ask for, and where. */
export interface Asking {
  readonly requestable: readonly string[]
  readonly url: string | undefined
}

/** The error for a client that has shown who it is: where it may go, and how. */
export function misdirection(
  { grant, granted, reason }: Misdirected,
  { database, serverName }: Wanted,
  { target, served }: Destination,
  { requestable, url }: Asking,
): Failure {
  const others = granted.filter((name) => name !== grant.target)
  const rest = requestable.filter((name) => name !== grant.target && !granted.includes(name))
  const detail = [
    ...(served === undefined || reason === 'wrong_target'
      ? []
      : [`The server name "${serverName ?? ''}" leads to "${served.name}" alone.`]),
    `This token is for "${grant.target}".`,
    ...(others.length === 0 ? [] : [`Other tokens of yours are for ${listed(others)}.`]),
    ...(rest.length === 0 ? [] : [`Access can be asked for to ${listed(rest)}.`]),
  ].join(' ')
  const hint = [
    `Connect with dbname=${grant.target}, or with a token for the database that you mean.`,
    // Of a target that may not be asked for nobody learns here that it is there.
    ...(target !== undefined && rest.includes(target.name)
      ? [howToAsk(target.name, grant.role, url)]
      : []),
  ].join(' ')
  return reason === 'unknown_target'
    ? new Failure('unknown_database', {
        message: `database "${database}" does not exist`,
        detail,
        hint,
      })
    : new Failure('invalid_authorization', {
        message: `token is not for database "${database}"`,
        detail,
        hint,
      })
}

/** A DETAIL is read by people, and fits into one message. */
const mostListed = 20

function listed(names: readonly string[]): string {
  const shown = names.slice(0, mostListed).map((name) => `"${name}"`)
  const more = names.length - shown.length
  return shown.join(', ') + (more > 0 ? ` and ${String(more)} more` : '')
}
