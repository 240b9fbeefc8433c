// What the three Vault engines have in common: which login is meant, and one read out of an answer with
// nothing taken on trust. Ignorant of leases.

import { Failure } from '../../errors.ts'
import { Secret } from '../../secret.ts'
import { failureOf, VaultProblem } from './problem.ts'

/** What is asked of Vault for a pgwarden role. */
export interface VaultLogin {
  readonly mount: string
  /** A role of the database engine, or the path of a secret below a KV mount. */
  readonly role: string
}

export interface DatabaseLogin {
  readonly user: string
  readonly password: Secret
}

/** PostgreSQL cuts longer names; the role that logs in would not be the one that is looked for later. */
const longestName = 63

/** @throws Failure when the target has no such role. */
export function loginFor(
  logins: ReadonlyMap<string, VaultLogin>,
  target: string,
  role: string,
): VaultLogin {
  const login = logins.get(role)
  if (login !== undefined) return login
  throw new Failure('invalid_authorization', {
    message: `target "${target}" has no role "${role}"`,
    hint: 'Ask for another role, or ask your administrator to add this one to the target.',
  })
}

/**
 * The name and password of what Vault answered at `path`. Both go into messages where a NUL would end
 * them early: another role might log in than the one that is written down.
 * @throws VaultProblem
 */
export function databaseLogin(
  path: string,
  { username, password }: Readonly<Record<string, unknown>>,
): DatabaseLogin {
  if (typeof username !== 'string' || username === '') throw unusable(path, 'no "username"')
  if (typeof password !== 'string' || password === '') throw unusable(path, 'no "password"')
  if (Buffer.byteLength(username) > longestName) {
    throw unusable(path, `a "username" of more than ${longestName} bytes`)
  }
  if (/\p{Cc}/u.test(username)) throw unusable(path, 'control characters in "username"')
  if (password.includes('\0')) throw unusable(path, 'a NUL in "password"')
  return { user: username, password: new Secret(password) }
}

/** Vault answered, and nobody can log in with that. Says nothing of what the answer contains. */
export function unusable(path: string, what: string): VaultProblem {
  return new VaultProblem('invalid', `${path}: the answer has ${what}`)
}

/** What a client hears of it: the log gets the rest, as the cause. */
export function forClients(error: unknown): unknown {
  return error instanceof VaultProblem ? failureOf(error) : error
}
