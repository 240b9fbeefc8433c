// Why a server did not take a session: in its own words for the log, and as a client may hear it. What
// a target says about our login is never passed on: the client would be asked for a password that it
// does not have, and would see whose login it was.

import { Failure, type FailureCode } from '../errors.ts'
import type { ErrorFields } from '../wire/backend.ts'

/**
 * `unreachable`: no connection. `tls`: none that is encrypted as it must be. `refused`: the server
 * said no, with a SQLSTATE. `unacceptable`: what it said is nothing that we go along with. `unfit`:
 * it would have taken the session, but is a standby where a primary is wanted, or the like.
 */
type Kind = 'unreachable' | 'tls' | 'refused' | 'unacceptable' | 'unfit'

export class ServerProblem extends Error {
  override readonly name = 'ServerProblem'
  readonly kind: Kind
  /** The server's own words, where it refused. */
  readonly said: ErrorFields

  /** `message` is for operators: it may name hosts and logins. */
  constructor(
    kind: Kind,
    message: string,
    more: { readonly cause?: unknown; readonly said?: ErrorFields } = {},
  ) {
    super(message, { cause: more.cause })
    this.kind = kind
    this.said = more.said ?? {}
  }

  get sqlstate(): string | undefined {
    return this.said['C']
  }
}

const tryLater = 'Try again later; if it lasts, tell the people who run pgwarden.'
const tell = 'Tell the people who run pgwarden: the reason is in its log.'

/** What the client hears of it. `cause` is for the log. */
export function clientFailure({ kind, said }: ServerProblem, cause: unknown): Failure {
  switch (kind) {
    case 'unreachable':
    case 'tls':
      return new Failure(
        'upstream_unreachable',
        { message: 'could not connect to the target database', hint: tryLater },
        { cause },
      )
    case 'unacceptable':
      return new Failure(
        'upstream_lost',
        { message: 'could not log in to the target database', hint: tell },
        { cause },
      )
    case 'unfit':
      return new Failure(
        'cannot_connect_now',
        { message: 'the target has no server now that takes such sessions', hint: tryLater },
        { cause },
      )
    case 'refused':
      return refused(said, cause)
  }
}

/** What is wrong with a setting is about the client's own words, or a limit of its role: not about us. */
const settingProblems: ReadonlyMap<string | undefined, FailureCode> = new Map([
  ['42704', 'setting_unknown'],
  ['22023', 'setting_invalid'],
  ['55P02', 'setting_unchangeable'],
])

function refused(
  { C: sqlstate, M: message, D: detail, H: hint }: ErrorFields,
  cause: unknown,
): Failure {
  const setting = settingProblems.get(sqlstate)
  if (setting !== undefined && message !== undefined) {
    return new Failure(
      setting,
      {
        message,
        ...(detail === undefined ? {} : { detail }),
        hint: hint ?? 'It comes from the connection settings, or from the limits of the role.',
      },
      { cause },
    )
  }
  switch (sqlstate) {
    case '53300':
      return new Failure(
        'too_many_connections',
        { message: 'the target database has too many connections', hint: 'Try again later.' },
        { cause },
      )
    case '57P03':
      return new Failure(
        'cannot_connect_now',
        {
          message: 'the target database is starting up or shutting down',
          hint: 'Try again later.',
        },
        { cause },
      )
    case '3D000':
      return new Failure(
        'unknown_database',
        {
          message: 'the target database does not exist',
          hint: 'Tell the people who run pgwarden: the target points at a database that is not there.',
        },
        { cause },
      )
    default:
      return new Failure(
        // Of a login that is not good any more another may be had; of anything else not.
        isRefusedLogin(sqlstate) ? 'login_refused' : 'upstream_lost',
        {
          message: 'could not log in to the target database',
          detail: `The target refused the login that was issued for this session (SQLSTATE ${sqlstate ?? 'unknown'}).`,
          hint: tell,
        },
        { cause },
      )
  }
}

/** 28P01 and 28000: what a server says of a password that is wrong, and of a role that it does not have. */
export function isRefusedLogin(sqlstate: string | undefined): boolean {
  return sqlstate?.startsWith('28') === true
}
