// What the data plane asks of the rest of the program. Adapters match by structure; server.ts is where
// they meet.

import type { Grant, Lease } from '../access/access.ts'
import type { LiveSession } from '../access/live-session.ts'
import type { Authorized, LoginAttempt, Misdirected, Refused } from '../access/login.ts'
import type { Claimant } from '../access/login-guard.ts'
import type { CancelResult } from '../audit/record.ts'
import type { Recording } from '../audit/recording.ts'
import type { Failure } from '../errors.ts'
import type { Catalog } from '../policy/catalog.ts'
import type { Policy } from '../policy/policy.ts'
import type { SessionLimits } from '../policy/roles.ts'
import type { Secret } from '../secret.ts'
import type { StatementTimes } from '../session/port.ts'
import type { NameTemplate } from './application-name.ts'
import type { ContextTemplate } from './session-context.ts'

export interface Target {
  readonly name: string
  readonly database: string
  readonly servers: readonly { readonly host: string; readonly port: number }[]
  /** Other names by which clients may ask for it. */
  readonly aliases: readonly string[]
  /** TLS server names that lead to it, in lower case. */
  readonly serverNames: readonly string[]
  /** `required`: nobody gets in without a verified one. */
  readonly clientCertificate: 'none' | 'required'
  readonly limits: SessionLimits
  /** Under which name PostgreSQL shows its sessions. */
  readonly applicationName: NameTemplate
  /** Settings that say who a session is, by their names in lower case. */
  readonly sessionContext: ReadonlyMap<string, ContextTemplate>
  /** Patterns of relations that are kept from all roles but those for which they are meant. */
  readonly sensitive: readonly string[]
}

/** What the configuration says of roles, targets and limits. Replaced as a whole, under live sessions. */
export interface Rulebook {
  readonly policy: Policy
  /** By their names. */
  readonly targets: ReadonlyMap<string, Target>
  /** How much of a role's statements is recorded. */
  readonly recording: (role: string) => Recording
  /** Largest query string that is kept to be judged. */
  readonly maxStatementBytes: number
  /** Of the crowd; how long a session may do what is the roles' and the targets'. */
  readonly limits: CrowdLimits
}

/** How many sessions and logins there may be, in this process; undefined: as many as come. */
export interface CrowdLimits {
  readonly sessionsPerPrincipal: number | undefined
  readonly sessionsPerGrant: number | undefined
  /** Of one address (of IPv6, one /64): so many in a row, and so many each second. */
  readonly loginsPerSecond: number | undefined
}

/** An open session on a target. */
export interface Upstream {
  readonly socket: import('node:net').Socket
  /** Which of the target's. */
  readonly server: string
  readonly processId: number
  readonly cancelKey: Buffer
  readonly greeting: Buffer
  /** Settings that the server reported, names in lower case. */
  readonly reported: ReadonlyMap<string, string>
  /** As server_version_num; undefined when the server did not say. */
  readonly serverVersion: number | undefined
  readonly rest: Buffer
  /**
   * Asks the session's own server to cancel what runs in it. Resolves when that has closed the
   * cancel connection: false when it could not be reached. Never rejects.
   */
  cancel(timeoutMs: number): Promise<boolean>
}

export interface UpstreamConnector {
  connect(options: {
    /** Its name. */
    readonly target: string
    readonly parameters: ReadonlyMap<string, string>
    readonly password: Secret
  }): Promise<Upstream>
}

export interface TokenCheck {
  verify(attempt: LoginAttempt): Promise<Authorized | Misdirected | Refused>
}

/** Keeps the sitting of a one-time token alive while it has open sessions. */
export interface Sittings {
  opened(tokenId: string): void
  closed(tokenId: string): void
}

/** What is known of the targets' catalogs. */
export interface Catalogs {
  of(target: string): Catalog | undefined
  /** Resolves when the first snapshot is there, or there will be none for now. Never rejects. */
  ready(target: string): Promise<void>
  /** A session may have changed the catalog. */
  changed(target: string): void
}

/** What a listener shows to clients that come with TLS: another object once it was renewed. */
export interface Certificates {
  readonly current: {
    /** PEM: the server's own certificate first. */
    readonly chain: string
    readonly key: Secret
    /** PEM. Where it is given clients are asked for certificates; at all times or never. */
    readonly clientCa: string | undefined
  }
}

/** What the processes that share a store tell each other. */
export interface Notices {
  /** How many others listen, as far as is known; 0 also when nobody can be heard. */
  readonly others: number
  /** Tells all others. Resolves false, and never rejects, when that cannot be done now. */
  tell(topic: string, body: Readonly<Record<string, string>>): Promise<boolean>
  /** From now on `heard` is told what others tell about the topic, and which of them. */
  hear(
    topic: string,
    heard: (body: Readonly<Partial<Record<string, string>>>, from: string) => void,
  ): void
}

export interface CredentialSource {
  /** @throws Failure when the grant is over, or no login can be had now. */
  acquire(grant: Grant): Promise<LeaseUse>
  /**
   * Ends what this process holds on the grant; its client sockets are closed before. May be repeated.
   * `noticedAt`: since when the end of the grant was known, by Clock.elapsed(). @throws Failure when
   * something is not certain to be gone; that is said in the log, and tried again without being asked for.
   */
  endGrant(grantId: string, noticedAt?: number): Promise<void>
  /** The grant goes on until then (milliseconds since the epoch), and its logins with it. Never rejects. */
  extendGrant(grantId: string, endsAt: number): Promise<void>
}

/** Who slows and stops those who fail to log in. */
export interface LoginGuard {
  /** Until when nothing that is shown is looked at, in milliseconds since the epoch. */
  lockedUntil(who: Claimant): Promise<number | undefined>
  /** For how long the answer to this failure should wait, in milliseconds. Never rejects. */
  failed(who: Claimant): Promise<number>
  succeeded(who: Claimant): void
}

/** Who wants to know which sessions there are. */
export interface Registry {
  opened(session: LiveSession, end: (failure: Failure) => void): void
  closed(id: string): void
}

export interface GrantState {
  readonly id: string
  readonly revoked: boolean
  readonly endsAt: number
}

/** Implemented by store/. */
export interface GrantSource {
  /** What has become of these grants. */
  grantStates(grantIds: readonly string[]): Promise<readonly GrantState[]>
}

/** One session's part in a lease. */
export interface LeaseUse {
  readonly lease: Lease
  /** The session's backend, which must be gone when the lease is revoked. */
  opened(backend: Pick<Upstream, 'server' | 'processId'>): void
  /** When the session is over, or was never opened. Later calls do nothing. */
  released(): void
  /**
   * The target refused this login: it is not given out again. Whether another may do better, because
   * this one was not made just now (a password may have been changed in between).
   */
  refused(): boolean
  /**
   * For how long the login still works, once it is certain that it cannot be prolonged; 0: it is gone.
   * undefined: no end is in sight before the grant's.
   */
  readonly remainingMs: number | undefined
}

export interface Log {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** Whom or what there can be too much of; the limit of `statement_bytes` is on one statement. */
export type Limit =
  | 'connections'
  | 'connections_per_address'
  | 'sessions_per_principal'
  | 'sessions_per_grant'
  | 'logins_per_second'
  | 'startup_time'
  | 'statement_bytes'
  | 'idle'
  | 'idle_in_transaction'
  | 'transaction'
  | 'session'

/** What is counted on the data plane. */
export interface Meter {
  connection(result: 'login' | 'cancel' | 'rejected' | 'silent'): void
  /** `seconds`: since the client proved who it is. */
  login(result: 'ok' | 'refused' | 'failed', reason: string, seconds: number): void
  /** `application`: what the client says it is. */
  statementDenied(role: string, tags: readonly string[], rule: string, application: string): void
  statementEnded(role: string, tags: readonly string[], took: StatementTimes): void
  /** So many, because the journal did not take their records. */
  statementsRefused(count: number, cause: unknown): void
  tripped(role: string, setting: string): void
  cancel(result: CancelResult): void
  bytes(direction: 'to_client' | 'to_upstream', count: number): void
  /** Somebody was refused or ended by it. */
  limitReached(limit: Limit): void
  /** A load balancer's connection does not begin as it should. */
  proxyProtocolError(): void
}

/** An open session, as it is counted. */
export interface Activity {
  readonly target: string
  readonly role: string
  readonly state: 'idle' | 'active' | 'idle_in_transaction'
}

/** The clients of one listener. */
export interface Attendance {
  readonly address: string
  /** As it is configured. */
  readonly port: number
  /** On their way to a session. */
  readonly opening: number
  readonly sessions: number
  readonly max: number
}

/** Who follows logins and statements, where somebody wants traces. */
export interface Tracing {
  login(): LoginTrace
  readonly statement: ((session: TracedSession, statement: TracedStatement) => void) | undefined
}

/** What becomes of one login. */
export interface LoginTrace {
  /** Undefined where nothing is traced, or not this one. */
  readonly traceId: string | undefined
  /** Does the work as a step of the login. */
  step<T>(name: 'authenticate' | 'credentials' | 'connect', work: () => Promise<T>): Promise<T>
  ended(session: TracedSession): void
  /** There will be no session. */
  failed(error: unknown): void
}

interface TracedSession {
  readonly id: string
  readonly role: string
  readonly target: string
}

/** One that has ended, or was denied. */
export interface TracedStatement {
  /** Command tags, as the parser tells them. */
  readonly tags: readonly string[]
  readonly decision: 'allow' | 'deny'
  readonly sqlstate: string | undefined
  readonly took: StatementTimes | undefined
}
