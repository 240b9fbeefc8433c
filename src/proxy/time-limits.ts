// How long a session may do nothing, sit in a transaction, stay in one, and last. Whoever looks at all
// sessions from time to time asks this of each. Ignorant of sockets and of who configured what.
// PostgreSQL documentation, "Client Connection Defaults": idle_session_timeout and its neighbours.

import { Failure } from '../errors.ts'
import type { SessionLimits } from '../policy/roles.ts'
import type { Session } from '../session/session.ts'
import type { Limit } from './ports.ts'

export type Standing = Pick<Session, 'idle' | 'inTransaction' | 'readyAt' | 'transactionAt'>

/** When the session began, and when its client last said something. */
export interface Times {
  readonly startedAt: number
  readonly heardAt: number
}

/** A limit that was reached, and what the client is told when the session ends for it. */
export interface Overdue {
  readonly limit: Limit
  /** `at_rest`: as soon as no transaction is open and nothing runs. */
  readonly when: 'now' | 'at_rest'
  readonly failure: Failure
}

/** How long after its time a session may take to come to rest. */
const finishingMs = 60_000

/** Why the session must end at `now`, if it must. */
export function overdue(
  { idle, inTransaction, readyAt, transactionAt }: Standing,
  { startedAt, heardAt }: Times,
  { idleMs, idleInTransactionMs, transactionMs, sessionMs }: SessionLimits,
  now: number,
): Overdue | undefined {
  if (past(transactionMs, transactionAt, now)) return transactionTooLong()
  if (past(sessionMs, startedAt + finishingMs, now)) return sessionTooLong('now')
  const quietSince = Math.max(readyAt, heardAt)
  if (idle && inTransaction && past(idleInTransactionMs, quietSince, now))
    return idleInTransaction()
  if (idle && !inTransaction && past(idleMs, quietSince, now)) return idleTooLong()
  return past(sessionMs, startedAt, now) ? sessionTooLong('at_rest') : undefined
}

function past(limit: number | undefined, since: number | undefined, now: number): boolean {
  return limit !== undefined && since !== undefined && now - since >= limit
}

function idleTooLong(): Overdue {
  const failure = new Failure('idle_session_timeout', {
    message: 'terminating connection due to idle-session timeout',
    hint: 'Connect again when there is something to do.',
  })
  return { limit: 'idle', when: 'now', failure }
}

function idleInTransaction(): Overdue {
  const failure = new Failure('idle_in_transaction_timeout', {
    message: 'terminating connection due to idle-in-transaction timeout',
    detail: 'The transaction has been rolled back.',
    hint: 'Connect again, and end each transaction as soon as its work is done.',
  })
  return { limit: 'idle_in_transaction', when: 'now', failure }
}

function transactionTooLong(): Overdue {
  const failure = new Failure('transaction_timeout', {
    message: 'terminating connection due to transaction timeout',
    detail: 'The transaction has been rolled back.',
    hint: 'Connect again, and do the work in shorter transactions.',
  })
  return { limit: 'transaction', when: 'now', failure }
}

function sessionTooLong(when: Overdue['when']): Overdue {
  const failure = new Failure('session_timeout', {
    message: 'terminating connection due to session timeout',
    detail:
      when === 'at_rest'
        ? 'The session lasted as long as it may. No transaction was open.'
        : 'The session was still busy a minute after its time. A transaction that was open has been rolled back.',
    hint: 'Connect again: a new session has its whole time before it.',
  })
  return { limit: 'session', when, failure }
}
