// What the three Vault engines have in common: which login is meant, and one read out of an answer with
// nothing taken on trust. Ignorant of leases.

import type { Grant } from '../../access/access.ts'
import { Secret } from '../../secret.ts'
import { NotIssued, noSuchRole } from '../engine.ts'
import { failureOf, VaultProblem } from './problem.ts'
import type { Vault } from './vault.ts'

/** What is asked of Vault for a pgwarden role. */
export interface VaultLogin {
  readonly mount: string
  /** A role of the database engine, or the path of a secret below a KV mount. */
  readonly role: string
}

/** Where in Vault it is read. */
export function pathOf(engine: 'dynamic' | 'static' | 'kv', { mount, role }: VaultLogin): string {
  switch (engine) {
    case 'dynamic':
      return `${mount}/creds/${role}`
    case 'static':
      return `${mount}/static-creds/${role}`
    case 'kv':
      return `${mount}/data/${role}`
  }
}

export interface DatabaseLogin {
  readonly user: string
  readonly password: Secret
}

/** PostgreSQL cuts longer names; the role that logs in would not be the one that is looked for later. */
const longestName = 63

export interface VaultEngineOptions {
  readonly vault: Vault
  /** By pgwarden role. */
  readonly logins: ReadonlyMap<string, VaultLogin>
}

/** @throws NotIssued when none is configured for this grant. */
export function loginFor(logins: ReadonlyMap<string, VaultLogin>, grant: Grant): VaultLogin {
  const login = logins.get(grant.role)
  if (login === undefined) throw new NotIssued(noSuchRole(grant.target, grant.role))
  return login
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

/**
 * What issue() throws: for a client without addresses and paths, which the log finds in the cause. Where
 * an answer may have been lost on the way, nobody can be certain that nothing was issued.
 */
export function notIssued(error: unknown): unknown {
  if (!(error instanceof VaultProblem)) return error
  const failure = failureOf(error)
  return error.unanswered ? failure : new NotIssued(failure)
}
