// What can issue database logins, and who can look whether one is really gone: the interfaces behind
// which the built-in broker and Vault's engines stand. When to issue, renew and revoke is decided in
// leases.ts, for all of them alike. Ignorant of sessions and of the store.

import type { Grant } from '../access/access.ts'
import type { LeaseEngine, LeaseRecord } from '../access/lease.ts'
import { Failure } from '../errors.ts'
import type { Secret } from '../secret.ts'

export interface Engine {
  readonly kind: LeaseEngine
  /**
   * `own`: each lease is a database role of its own. `shared`: others log in as this role too, so that
   * only our own backends may be ended, the role stays, and a session outlives its password.
   */
  readonly roles: 'own' | 'shared'
  /** Whether a resolved revoke() means that role and sessions have been seen to be gone. Default false. */
  readonly confirms?: boolean
  /** The name of the role before it is made, where this engine chooses it. */
  nameFor(grant: Grant): string | undefined
  /**
   * For a lease whose answer never comes: when it will have ended by itself at the latest, in
   * milliseconds since the epoch. undefined: it has no end of its own.
   */
  boundFor(grant: Grant): number | undefined
  /**
   * @throws Failure; NotIssued when it is certain that no login came of it. After anything else the
   * record stays open until revoke(record) succeeds, or expiresAt has passed.
   */
  issue(record: LeaseRecord, grant: Grant): Promise<Issued>
  /**
   * Prolongs it to `until` at the most, or shortens it to that. Answers when it ends now. Both in
   * milliseconds since the epoch. Asked of a login without an end of its own when its grant's has moved. @throws LeaseGone; anything else: to be tried again later.
   */
  renew(record: LeaseRecord, until: number): Promise<number>
  /** Ends the login. May be repeated. Resolves only when the engine says that it is done. */
  revoke(record: LeaseRecord): Promise<void>
}

export interface Issued {
  readonly user: string
  readonly password: Secret
  readonly vaultLease: string | undefined
  /** From now on, unless renewed; of a shared role, how long the password is good. undefined: it has no end of its own. */
  readonly lifeMs: number | undefined
  readonly renewable: boolean
  /** An end by Clock.elapsed() that no renewal of the lease can pass; asked anew each time, as it may move. */
  readonly limit?: { readonly endsAt: number | undefined } | undefined
}

/** Thrown by renew(): the engine does not know the lease any more. */
export class LeaseGone extends Error {
  override readonly name = 'LeaseGone'
}

/** Thrown by issue() when it is certain that no login exists. `failure` is for those who wait. */
export class NotIssued extends Error {
  override readonly name = 'NotIssued'
  readonly failure: Failure

  constructor(failure: Failure) {
    super(failure.message, { cause: failure })
    this.failure = failure
  }
}

/** One session's process on the target. */
export interface Backend {
  /** `host:port` of the configuration: each server counts for itself. */
  readonly server: string
  readonly processId: number
  /**
   * How long ago its session was open; it began before, by as long as a login may take. Process ids are
   * used again: whoever has it now may be another, that began later.
   */
  readonly openedMsAgo: number
}

/** Looks at a target with a login of its own, whoever issues the others. */
export interface Monitor {
  /** Ends the role's backends, all or only these. Resolves when none is left. @throws Failure */
  endBackends(role: string, only?: readonly Backend[]): Promise<void>
  /** @throws Failure when a backend is still there; of an `own` role also when the role is. */
  confirmGone(role: string, roles: Engine['roles'], only?: readonly Backend[]): Promise<void>
}

/** Which database it is, for logins that were issued there. */
export interface Place {
  readonly database: string
  /** `host:port` of the configuration. */
  readonly servers: readonly string[]
}

/** How logins to one target are had, by one configuration of it. */
export interface TargetCredentials {
  readonly place: Place
  /** @throws Failure invalid_authorization when the target does not offer this pgwarden role. */
  engineFor(role: string): Engine
  /** Whoever can end what a record names. */
  engineOf(kind: LeaseEngine): Engine | undefined
  readonly monitor: Monitor | undefined
  /** `grant`: the sessions of a grant share one lease. `session`: each has its own. */
  readonly share: 'grant' | 'session'
  /** A shared lease is revoked so long after its last session. undefined: when its grant ends. */
  readonly unusedTimeoutMs: number | undefined
}

/**
 * Whether logins that `issuer` has issued are renewed and ended by `other` as well: the same database, with
 * every server on which their sessions can be.
 */
export function takesOver(
  other: TargetCredentials,
  issuer: TargetCredentials,
  kind: LeaseEngine,
): boolean {
  const { database, servers } = other.place
  return (
    database === issuer.place.database &&
    issuer.place.servers.every((server) => servers.includes(server)) &&
    other.engineOf(kind) !== undefined
  )
}

export function placeOf(target: {
  readonly database: string
  readonly servers: readonly { readonly host: string; readonly port: number }[]
}): Place {
  return {
    database: target.database,
    servers: target.servers.map(({ host, port }) => `${host}:${port}`),
  }
}

export function noSuchRole(target: string, role: string): Failure {
  return new Failure('invalid_authorization', {
    message: `target "${target}" has no role "${role}"`,
    hint: 'Ask for another role, or ask your administrator to add this one to the target.',
  })
}
