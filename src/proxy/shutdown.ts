// What clients are told when this process is about to end, in PostgreSQL's words where it has some: one code
// for those who wanted a session, another for those who have one. Ignorant of when.
// postgres.c, ProcessInterrupts; backend_startup.c, CAC_SHUTDOWN. libpq, given several hosts, tries the next
// after 57P03.

import { Failure } from '../errors.ts'

/** For a login: nothing of it has taken place. */
export function shuttingDown(): Failure {
  return new Failure('cannot_connect_now', {
    message: 'pgwarden is shutting down',
    hint: 'Connect again in a moment.',
  })
}

/** For a session that is outside a transaction: what it was answered stands, and nothing else has run. */
export function drained(): Failure {
  return new Failure('session_terminated', {
    message: 'terminating connection due to administrator command',
    detail:
      'pgwarden is shutting down. No transaction was open: what was not answered has not run.',
    hint: 'Connect again in a moment.',
  })
}

/** For a session whose transaction or statement has had its time. */
export function cutOff(): Failure {
  return new Failure('session_terminated', {
    message: 'terminating connection due to administrator command',
    detail: 'pgwarden is shutting down. What still ran has been canceled.',
    hint: 'Connect again, and look whether what ran last has taken effect.',
  })
}

/** For every session of a process that has met a defect, and ends. */
export function failed(): Failure {
  return new Failure('session_terminated', {
    message: 'terminating connection because a process of pgwarden failed',
    detail: 'It has met a defect, and has ended. What still ran has been canceled.',
    hint: 'Connect again, and look whether what ran last has taken effect.',
  })
}
