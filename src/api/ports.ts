// What the control plane needs of the rest. The rooms behind match these by structure; that
// composition/ compiles is the proof. Who may do what is decided behind the desk, not here.

import type { Actor } from '../access/change.ts'
import type { Identity } from '../access/identity.ts'
import type { LiveSession, WantedSessions } from '../access/live-session.ts'
import type { LockOut } from '../access/login-guard.ts'
import type { AuditEvent, AuditFilter } from '../audit/filter.ts'

export interface Authenticator {
  /** @throws Failure unauthenticated */
  identify(authorization: string | undefined): Promise<Identity>
}

/** Sessions on all replicas. */
export interface SessionsDesk {
  list(wanted: WantedSessions): Promise<readonly LiveSession[]>
  /**
   * Whether it has ended by now; false: it was told to, and that was not confirmed yet.
   * @throws Failure not_found, forbidden
   */
  end(by: Identity, id: string, reason: string): Promise<boolean>
}

/** Principals and addresses whose logins are not looked at for a while. */
export interface LockOuts {
  list(): Promise<readonly LockOut[]>
  /** Whether there was one of that id. */
  lift(by: Actor, id: string): Promise<boolean>
}

/** A setting that is another now; `from` and `to` are missing where it is not written. */
interface SettingChange {
  readonly path: string
  readonly from: string | undefined
  readonly to: string | undefined
}

/**
 * Reads the configuration again, for `by`. `restart`: what of it waits for a restart.
 * @throws Failure invalid_configuration with what is wrong and where; any Failure: all is as it was.
 */
export type Reload = (by: string) => Promise<{
  readonly changes: readonly SettingChange[]
  readonly restart: readonly string[]
}>

export interface AuditReader {
  events(
    filter: AuditFilter,
    page: { readonly limit: number; readonly cursor: string | undefined },
  ): Promise<{ readonly items: readonly AuditEvent[]; readonly next: string | undefined }>
  /**
   * What comes from now on, or behind the event whose id is `from`; until the signal. The first one may have
   * no event: its id says where the stream begins.
   */
  stream(
    filter: AuditFilter,
    from: string | undefined,
    signal: AbortSignal,
  ): AsyncIterator<{ readonly id: string; readonly event?: AuditEvent }>
}

/** Writes a record into the journal. Rejects with the journal_unavailable Failure. */
export type RecordAudit = (fields: string) => Promise<unknown>

/** Whose key it is and what it was sent with. */
export interface IdempotencyKey {
  readonly principal: string
  readonly key: string
  /** SHA-256 over what was asked. */
  readonly hash: Buffer
}

/** What was answered, as it is given again. */
export interface KeptAnswer {
  readonly status: number
  readonly body: string
  readonly location: string | undefined
  readonly etag: string | undefined
}

export type KeyStanding =
  | { readonly type: 'new' }
  /** Asked before, and not answered; or the answer was not kept. */
  | { readonly type: 'unanswered' }
  | { readonly type: 'withheld' }
  | { readonly type: 'answered'; readonly answer: KeptAnswer }
  /** The key was sent with something else. */
  | { readonly type: 'other' }

export interface IdempotencyKeys {
  /** Takes the key, unless it is taken. Of two at the same moment one gets `new`. */
  take(key: IdempotencyKey): Promise<KeyStanding>
  /** `undefined`: it was done, and the answer is a secret that is not kept. */
  keep(key: IdempotencyKey, answer: KeptAnswer | undefined): Promise<void>
  /** Nothing was done: it may be sent again. */
  release(key: IdempotencyKey): Promise<void>
}

/** Is told of every request that was answered. */
export interface ApiObserver {
  answered(request: AnsweredRequest): void
  /** An error that the client is not shown. */
  defect(error: unknown): void
}

export interface AnsweredRequest {
  readonly principal: string | undefined
  readonly method: string
  /** The pattern of the path, never the path: `/api/v1/grants/:id`. */
  readonly route: string
  readonly status: number
  readonly ms: number
}
