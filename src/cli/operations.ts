// What the command line needs done: its only port to the rest. The composition root implements it.
// Ignorant of how; everything rejects with a Failure when it cannot be done.

import type { Claims, Grant, TokenKind } from '../access/access.ts'
import type { ApiKey } from '../access/api-key.ts'
import type { Connection } from '../access/connection-lines.ts'
import type { PrincipalKind, Scope } from '../access/identity.ts'
import type { LeaseEndResult, LeaseEngine } from '../access/lease.ts'
import type { LockOut } from '../access/login-guard.ts'
import type { AuditFilter } from '../audit/filter.ts'
import type { Verdict } from '../audit/verdict.ts'
import type { Catalog } from '../policy/catalog.ts'
import type { Drift } from '../policy/grants.ts'
import type { Policy } from '../policy/policy.ts'
import type { Secret } from '../secret.ts'

/** How what serves others is told to stop. */
export interface Stopping {
  /** Aborted: nothing new is begun, and what runs may come to its end, as long as the configuration allows. */
  readonly asked: AbortSignal
  /** Aborted, at the same time or later: what runs is ended, in order. */
  readonly atOnce: AbortSignal
}

export interface Operations {
  /**
   * Runs until it is asked to stop, and resolves when everything has stopped. `reload` has the configuration read
   * again, for `by`; it never rejects: what comes of it is in the log.
   */
  serve(options: {
    readonly configFile: string
    readonly stopping: Stopping
    readonly onReady: (running: Running, reload: (by: string) => Promise<void>) => void
  }): Promise<void>

  /** Resolves when `file` is a configuration that `serve` would take. */
  checkConfig(file: string): Promise<void>

  /**
   * Tries everything that `serve` would need of `configFile`, with one target or all of them, and leaves
   * nothing behind. `onStep` hears what is being looked at.
   */
  doctor(options: {
    readonly configFile: string
    readonly target: string | undefined
    readonly signal: AbortSignal
    readonly onStep: (step: string) => void
  }): AsyncIterable<Finding>

  issueToken(request: TokenRequest): Promise<IssuedToken>

  /** The grants that are not over, or of which logins are not known to be gone; or all. Newest first. */
  listGrants(options: { readonly configFile: string; readonly all: boolean }): Promise<ListedGrants>

  /** Resolves when no login of the grant is left, or `waitMs` have passed. */
  revokeGrant(request: RevocationRequest & { readonly configFile: string }): Promise<Revocation>

  createKey(request: KeyRequest): Promise<NewKey>

  /** The keys that are good, or all. Newest first. */
  listKeys(options: { readonly configFile: string; readonly all: boolean }): Promise<ListedKeys>

  revokeKey(options: { readonly configFile: string; readonly id: string }): Promise<ApiKey>

  /** Those that hold now, the latest first. */
  listLockOuts(options: { readonly configFile: string }): Promise<readonly LockOut[]>

  liftLockOut(options: { readonly configFile: string; readonly id: string }): Promise<void>

  /** The policy of a configuration; without one, that of the predefined roles. */
  policy(options: { readonly configFile?: string }): Promise<Policy>

  /** What is known of a database, from a file that `snapshot` made. */
  catalog(file: string): Promise<Catalog>

  /** What the policy has to know of a target, read now: the text of a file, with a line end. */
  snapshot(options: { readonly configFile: string; readonly target: string }): Promise<string>

  /**
   * The statements that give a database role what a pgwarden role may do on a target, and no more; without
   * one, what makes a login of it.
   */
  grants(options: {
    readonly configFile: string
    readonly target: string
    readonly role: string
    readonly databaseRole: string | undefined
  }): Promise<readonly string[]>

  /** Where a live database role differs from that. */
  drift(options: {
    readonly configFile: string
    readonly target: string
    readonly role: string
    readonly databaseRole: string
  }): Promise<Drift>

  /** Reads every chain to its end. `onProgress` hears of each file before it is read. */
  verifyJournal(directory: string, options: VerifyRequest): Promise<Verdict>

  /** The public keys of those that sign the checkpoints of a configuration, as PEM with a line end. */
  publicKeys(options: { readonly configFile: string }): Promise<readonly string[]>

  /**
   * The last `lines` records of the journal that the filter lets through, oldest first, and with `follow` what
   * comes after, until `signal`. That a journal in use is read is recorded in it.
   */
  tailJournal(
    directory: string,
    options: {
      readonly filter: AuditFilter
      readonly follow: boolean
      readonly lines: number
    },
    signal: AbortSignal,
  ): AsyncIterable<FoundRecord>

  /** The newest records that the filter lets through, newest first. Recorded in the same way. */
  queryJournal(
    directory: string,
    options: {
      readonly filter: AuditFilter
      readonly limit: number
      /** Texts that were cut, as a whole, where they are kept beside the journal. */
      readonly whole: boolean
      /** Hears now and then how far back the search has come. */
      readonly onProgress: (at: { readonly time: string; readonly records: number }) => void
    },
    signal: AbortSignal,
  ): AsyncIterable<FoundRecord>

  /** `serve` on a PostgreSQL and a configuration made for the occasion, with tokens to try. */
  demo(options: {
    readonly directory?: string
    readonly port: number
    readonly httpPort: number
    readonly reset: boolean
    readonly env: Readonly<Record<string, string | undefined>>
    readonly stopping: Stopping
    /** Hears what is being done, e.g. `Starting PostgreSQL`. */
    readonly onStep: (step: string) => void
    readonly onReady: (running: RunningDemo) => void
  }): Promise<void>
}

/** A record of the journal, as its line has it. */
export interface FoundRecord {
  readonly chain: string
  readonly line: string
}

/** What the doctor says of one thing that it has looked at. */
export interface Finding {
  /** What was looked at, e.g. `target shop`. */
  readonly subject: string
  readonly result: 'ok' | 'warn' | 'fail'
  readonly message: string
  /** What to change, where something is to be changed. */
  readonly advice: string | undefined
}

export interface Running {
  /** `address:port` of the proxy. */
  readonly proxy: string
  /** e.g. `http://127.0.0.1:8432`. */
  readonly http: string
  readonly journalDirectory: string
}

export interface RunningDemo extends Running {
  readonly directory: string
  readonly configFile: string
  readonly people: readonly {
    readonly occupation: string
    readonly role: string
    readonly token: IssuedToken
    /** An API key, for the control plane. */
    readonly key: Secret
  }[]
}

export interface TokenRequest {
  readonly configFile: string
  readonly principal: string
  readonly target: string
  readonly role: string
  /** How long the grant is in force from now, in milliseconds. */
  readonly forMs: number
  readonly kind: TokenKind
  readonly reason: string
  /** What an identity provider would say of the principal, for the sessions' context. */
  readonly claims?: Claims
}

export interface IssuedToken {
  readonly token: Secret
  readonly tokenId: string
  readonly grantId: string
  /** Milliseconds since the epoch. */
  readonly endsAt: number
  /** Until when it must be used for the first time, where there is a limit. */
  readonly redeemBy: number | undefined
  readonly connection: Connection
}

export interface ListedGrants {
  readonly grants: readonly GrantStanding[]
  /** Whether there are older ones, which were not read. */
  readonly more: boolean
}

export interface GrantStanding extends Grant {
  readonly standing: 'in_force' | 'not_yet' | 'expired' | 'revoked'
  /** How many logins issued on it are not known to be gone. */
  readonly openLeases: number
}

export interface RevocationRequest {
  readonly grantId: string
  readonly reason: string
  readonly waitMs: number
  /** Hears of each look that found logins left. */
  readonly onWaiting: (now: { readonly left: number; readonly tookMs: number }) => void
}

export interface Revocation {
  readonly grant: Grant
  /** Milliseconds since the epoch. */
  readonly revokedAt: number
  /** Whether the proxies could be told at once; they find out by themselves otherwise. */
  readonly told: boolean
  /** The logins that were out. */
  readonly logins: readonly RevokedLogin[]
  readonly tookMs: number
}

export interface RevokedLogin {
  /** Of the lease. */
  readonly id: string
  readonly engine: LeaseEngine
  /** undefined while it was being issued. */
  readonly databaseRole: string | undefined
  /** undefined: it is not known to be gone. */
  readonly ended: LeaseEndResult | undefined
}

export interface KeyRequest {
  readonly configFile: string
  readonly principal: string
  readonly kind: PrincipalKind
  readonly groups: readonly string[]
  readonly scopes: readonly Scope[]
  readonly claims: Claims
  /** How long it is good from now, in milliseconds. */
  readonly forMs: number
}

export interface NewKey {
  readonly id: string
  readonly text: Secret
  /** Milliseconds since the epoch. */
  readonly expiresAt: number
}

export interface ListedKeys {
  readonly keys: readonly ApiKey[]
  /** Whether there are older ones, which were not read. */
  readonly more: boolean
}

export interface VerifyRequest {
  /** Files of public keys in PEM; without any, signatures are not checked. */
  readonly publicKeyFiles: readonly string[]
  /** A file of records as a sink delivered them, with checkpoints among them. */
  readonly checkpointsFile: string | undefined
  readonly onProgress: (progress: { readonly index: number; readonly of: number }) => void
}
