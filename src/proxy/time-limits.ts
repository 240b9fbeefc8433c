// How long a session may do nothing, sit in a transaction, or stay in one. Whoever looks at all sessions
// from time to time asks this of each. Ignorant of sockets and of who configured what.
// PostgreSQL documentation, "Client Connection Defaults": idle_session_timeout and its neighbours.

import { Failure } from '../errors.ts'
import type { SessionLimits } from '../policy/roles.ts'
import type { Session } from '../session/session.ts'

export type Standing = Pick<Session, 'idle' | 'inTransaction' | 'readyAt' | 'transactionAt'>

/** Why the session must end at `now`, if it must; `heardAt` is when the client last said something. */
export function overdue(
  { idle, inTransaction, readyAt, transactionAt }: Standing,
  heardAt: number,
  { idleMs, idleInTransactionMs, transactionMs }: SessionLimits,
  now: number,
): Failure | undefined {
  if (past(transactionMs, transactionAt, now)) return transactionTooLong()
  if (!idle) return undefined
  const quietSince = Math.max(readyAt, heardAt)
  if (inTransaction) {
    return past(idleInTransactionMs, quietSince, now) ? idleInTransaction() : undefined
  }
  return past(idleMs, quietSince, now) ? idleTooLong() : undefined
}

function past(limit: number | undefined, since: number | undefined, now: number): boolean {
  return limit !== undefined && since !== undefined && now - since >= limit
}

function idleTooLong(): Failure {
  return new Failure('idle_session_timeout', {
    message: 'terminating connection due to idle-session timeout',
    hint: 'Connect again when there is something to do.',
  })
}

function idleInTransaction(): Failure {
  return new Failure('idle_in_transaction_timeout', {
    message: 'terminating connection due to idle-in-transaction timeout',
    detail: 'The transaction has been rolled back.',
    hint: 'Connect again, and end each transaction as soon as its work is done.',
  })
}

function transactionTooLong(): Failure {
  return new Failure('transaction_timeout', {
    message: 'terminating connection due to transaction timeout',
    detail: 'The transaction has been rolled back.',
    hint: 'Connect again, and do the work in shorter transactions.',
  })
}
