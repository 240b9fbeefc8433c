// What people do to sessions: see which are open on all replicas, and end one. Whose session it is, is for
// their holder and the administrators to know. Ignorant of sockets and of SQL.

import type { Clock } from '../clock.ts'
import { Failure } from '../errors.ts'
import type { Grant } from './access.ts'
import type { Change } from './change.ts'
import type { Identity } from './identity.ts'
import type { LeaseStanding } from './lease.ts'
import type { LiveSession, WantedSessions } from './live-session.ts'
import type { AccessRules } from './rules.ts'
import { checkScope, isAdministrator } from './sight.ts'

/** Implemented by store/. */
interface SessionsStore {
  listSessions(wanted: WantedSessions, limit: number): Promise<readonly LiveSession[]>
  /** Their process finds it when it looks the next time. */
  askToEnd(id: string): Promise<void>
  findGrant(id: string): Promise<Grant | undefined>
  /** Logins of a revoked grant that were out when it was revoked, or are still. */
  loginsOf(grantId: string, limit: number): Promise<readonly LeaseStanding[]>
}

export interface SessionsDeskOptions {
  readonly store: SessionsStore
  /** This process's own. */
  readonly here: {
    /** Writes down at once what the store does not know yet. @throws what the store throws */
    flush(): Promise<void>
    /** Whether it was here. */
    end(id: string): boolean
  }
  /** Tells the other processes that this session is to end. Never rejects. */
  readonly tell: (id: string) => Promise<unknown>
  /** Puts it on record. @throws Failure journal_unavailable */
  readonly record: (change: Change) => Promise<void>
  /** They say who may end the sessions of others. */
  readonly rules: AccessRules
  readonly clock: Clock
  readonly sleep: (ms: number) => Promise<unknown>
}

/** More than a person reads. */
const mostListed = 1_000
/** For another process to end a session and to say so. */
const waitMs = 2_000
const lookEveryMs = 100

export class SessionsDesk {
  readonly #options: SessionsDeskOptions

  constructor(options: SessionsDeskOptions) {
    this.#options = options
  }

  /** Newest first; whose they are to see is for the caller to ask for. Of the last two seconds some may be missing. */
  async list(wanted: WantedSessions): Promise<readonly LiveSession[]> {
    const { store, here } = this.#options
    await here.flush()
    return store.listSessions(wanted, mostListed)
  }

  /**
   * Whether it has ended by now; false: its process was told, and has not said yet that it is done.
   * @throws Failure not_found, also for a session that is not theirs; forbidden
   */
  async end(by: Identity, id: string, reason: string): Promise<boolean> {
    const { store, here, tell, record } = this.#options
    const why = reason.trim()
    if (why === '') throw new Failure('invalid_parameter', { message: 'ending needs a reason' })
    const session = await this.#find(id)
    if (session === undefined || !this.#mayEnd(by, session)) throw unknown(id)
    if (!isAdministrator(this.#options.rules, by)) checkScope(by, 'access')
    const grant = await store.findGrant(session.grantId)
    if (grant === undefined) throw unknown(id)
    // Recorded first: whoever loses a session can find out who took it.
    const actor = { principal: by.principal, via: by.via }
    await record({ type: 'session.ended', grant, by: actor, sessionId: id, reason: why })
    if (here.end(id)) {
      await here.flush()
      return true
    }
    await store.askToEnd(id)
    await tell(id)
    return this.#isGone(id)
  }

  /** What is left of a grant, on all replicas: its open sessions, and what became of its logins. */
  async of(grantId: string): Promise<{
    readonly sessions: readonly LiveSession[]
    readonly logins: readonly LeaseStanding[]
  }> {
    const { store } = this.#options
    const [sessions, logins] = await Promise.all([
      this.list({ grantId }),
      store.loginsOf(grantId, mostListed),
    ])
    return { sessions, logins }
  }

  async #find(id: string): Promise<LiveSession | undefined> {
    const [session] = await this.list({ id })
    return session
  }

  async #isGone(id: string): Promise<boolean> {
    const { store, clock, sleep } = this.#options
    const until = clock.elapsed() + waitMs
    while ((await store.listSessions({ id }, 1)).length > 0) {
      if (clock.elapsed() >= until) return false
      await sleep(lookEveryMs)
    }
    return true
  }

  #mayEnd(by: Identity, { principal }: LiveSession): boolean {
    return by.principal === principal || isAdministrator(this.#options.rules, by)
  }
}

/** The failure that a session ends with. */
export function endedByOperator(): Failure {
  return new Failure('session_terminated', {
    message: 'terminating connection because this session was ended by an operator',
    detail: 'Somebody who may do that has ended it through pgwarden; the audit says who, and why.',
    hint: 'Connect again when you may; the grant itself was not taken back.',
  })
}

function unknown(id: string): Failure {
  return new Failure('not_found', {
    message: `there is no session "${id}"`,
    hint: 'It may have ended; see those that are open with: pgwarden sessions',
  })
}
