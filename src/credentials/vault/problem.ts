// What went wrong between pgwarden and Vault: told apart by what can be done about it, said to the log
// with address and path, and to a client with neither. Nothing of an answer's body is quoted but phrases
// that are known to carry no secret. Ignorant of who asked and of what is tried again.
// Vault's documentation: "HTTP API", status codes.

import { Failure } from '../../errors.ts'

/**
 * `unreachable`: no server answers. `sealed`, `standby`: one does, and can serve nobody. `throttled`: too
 * much is asked of it. `failing`: it tried and could not. `denied`: our token may not do this.
 * `unauthenticated`: we got no token. `missing`: there is no such thing. `invalid`: it does not accept
 * what we asked.
 */
export type VaultProblemKind =
  | 'unreachable'
  | 'sealed'
  | 'standby'
  | 'throttled'
  | 'failing'
  | 'denied'
  | 'missing'
  | 'invalid'
  | 'unauthenticated'

interface More {
  readonly unanswered?: boolean
  readonly retryAfterMs?: number | undefined
}

export class VaultProblem extends Error {
  override readonly name = 'VaultProblem'
  readonly kind: VaultProblemKind
  /** The question may have reached Vault, and been obeyed: a lease that nobody knows may be there. */
  readonly unanswered: boolean
  /** How long Vault asks us to stay away. */
  readonly retryAfterMs: number

  /**
   * `message` is for operators: it names address and path, never a token or what an answer said.
   * There is no cause: errors of HTTP clients carry requests, and those carry tokens.
   */
  constructor(kind: VaultProblemKind, message: string, more: More = {}) {
    super(message)
    this.kind = kind
    this.unanswered = more.unanswered ?? false
    this.retryAfterMs = more.retryAfterMs ?? 0
  }
}

/** Whether no server of Vault serves anybody now, whatever is asked. */
export function isOutage({ kind }: VaultProblem): boolean {
  return kind === 'unreachable' || kind === 'sealed' || kind === 'standby'
}

/** Whether waiting may help. */
export function mayPass(problem: VaultProblem): boolean {
  return isOutage(problem) || problem.kind === 'throttled' || problem.kind === 'failing'
}

/** What an answer that is no success means. `where`: method, address and path. */
export function problemOf(
  where: string,
  status: number,
  body: string,
  retryAfter?: string,
): VaultProblem {
  const [kind, unanswered = false] = meaning(status, body)
  const said = knownPhrases.filter((phrase) => body.includes(phrase))
  const words = said.length === 0 ? '' : ` (${said.join(', ')})`
  return new VaultProblem(kind, `${where}: status ${status}${words}${advice(status)}`, {
    unanswered,
    retryAfterMs: waitOf(retryAfter),
  })
}

function meaning(status: number, body: string): readonly [VaultProblemKind, unanswered?: boolean] {
  switch (status) {
    case 400:
      return [goneLeases.some((phrase) => body.includes(phrase)) ? 'missing' : 'invalid']
    // A gateway that says so knows neither our token nor our leases.
    case 403:
      return [isVaults(body) ? 'denied' : 'unreachable']
    case 404:
      return [isVaults(body) ? 'missing' : 'unreachable']
    // A standby that forwards nothing names the active server. We follow nobody: the token would go along.
    case 301:
    case 302:
    case 307:
    case 308:
    // A replica that has not heard yet of what was written elsewhere.
    case 412:
    // What sys/health says of standbys.
    case 472:
    case 473:
      return ['standby']
    case 429:
      return ['throttled']
    // A gateway's: what became of the request behind it is unknown.
    case 502:
    case 504:
      return ['unreachable', true]
    // Vault's own, or that of a balancer which has nobody behind it.
    case 503:
      return [body.includes('"errors"') ? 'sealed' : 'unreachable']
    default:
      if (status < 500) return ['invalid']
      if (body.includes(noActiveNode)) return ['standby']
      // Some versions say so with 500. Asked again like any other 500, they would lock us out.
      return [refusedLogins.some((phrase) => body.includes(phrase)) ? 'denied' : 'failing']
  }
}

function isVaults(body: string): boolean {
  return body.startsWith('{')
}

const noActiveNode = 'local node not active'
const goneLeases = ['lease not found', 'lease expired', 'invalid lease']

const refusedLogins = ['invalid role or secret ID', 'invalid role ID', 'invalid secret id']

/** Vault's own words without anything of ours or of a database in them. */
const knownPhrases = [
  ...goneLeases,
  ...refusedLogins,
  noActiveNode,
  'permission denied',
  'bad token',
  'invalid token',
  'missing client token',
  'wrapping token is not valid or does not exist',
  'lease is not renewable',
  'Vault is sealed',
  'unsupported path',
  'unsupported operation',
  'no handler for route',
  'unknown role',
  'namespace not found',
  'error creating database object',
  'failed to find entry for connection',
]

function advice(status: number): string {
  return status >= 300 && status < 400
    ? '; redirects are not followed: list the address of every server'
    : ''
}

/** Seconds; the form with a date is not used by Vault. */
function waitOf(retryAfter: string | undefined): number | undefined {
  return retryAfter !== undefined && /^\d{1,6}$/.test(retryAfter)
    ? Number(retryAfter) * 1000
    : undefined
}

/** What was the matter with several servers, as one problem: the one that tells most about them all. */
export function combined(problems: readonly [VaultProblem, ...VaultProblem[]]): VaultProblem {
  const [first, ...more] = problems
  if (more.length === 0) return first
  const kinds = problems.map(({ kind }) => kind)
  const kind = (['sealed', 'standby'] as const).find((one) => kinds.includes(one)) ?? first.kind
  return new VaultProblem(kind, problems.map(({ message }) => message).join('; '))
}

const tryLater = 'Try again in a moment; if it lasts, tell the people who run pgwarden.'
const tell = 'Tell the people who run pgwarden: the reason is in its log.'

/** What a client hears: what is wrong, and nothing of hosts, paths or mounts. `cause` is for the log. */
export function failureOf(problem: VaultProblem): Failure {
  const [message, hint] = sentences(problem.kind)
  return new Failure('cannot_connect_now', { message, hint }, { cause: problem })
}

function sentences(kind: VaultProblemKind): readonly [message: string, hint: string] {
  switch (kind) {
    case 'unreachable':
      return ['the credential service cannot be reached', tryLater]
    case 'sealed':
      return ['the credential service is sealed', tryLater]
    case 'standby':
      return ['the credential service has no active server now', tryLater]
    case 'throttled':
      return ['the credential service is overloaded', tryLater]
    case 'failing':
      return ['the credential service could not serve the request', tryLater]
    case 'denied':
    case 'unauthenticated':
      return ['the credential service refuses pgwarden’s access', tell]
    case 'missing':
    case 'invalid':
      return ['the credential service does not have what pgwarden asks it for', tell]
  }
}
