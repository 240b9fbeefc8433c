// A session's database login may end before its grant does, when whoever issued it prolongs it no further.
// The client is told as soon as that is certain, and once more when it comes: by us, since the server
// would only say that somebody ended the connection. Ignorant of leases and of who ends them.

import { Failure } from '../errors.ts'
import type { LeaseUse } from './ports.ts'
import { inWords, sessionNotice } from './session-notice.ts'

/** How long before the login the session ends: what we say must be there before what the server says. */
const farewellMs = 2_000

export class LoginEnd {
  readonly #use: Pick<LeaseUse, 'remainingMs'>
  readonly #tell: (notice: Buffer) => boolean
  #told = false

  /** `tell` answers whether that could be said now. */
  constructor(use: Pick<LeaseUse, 'remainingMs'>, tell: (notice: Buffer) => boolean) {
    this.#use = use
    this.#tell = tell
  }

  /** Why the session must end, if it must; tells the client when that comes near. To be called every second, or more often. */
  look(): Failure | undefined {
    const { remainingMs } = this.#use
    if (remainingMs === undefined) return undefined
    if (remainingMs <= farewellMs) return loginEnded()
    this.#told ||= this.#tell(notice(remainingMs - farewellMs))
    return undefined
  }
}

function notice(ms: number): Buffer {
  return sessionNotice({
    message: `the database login of this session ends in ${inWords(ms)}`,
    detail: 'It cannot be prolonged any further. A new connection gets a new login.',
    hint: 'Connect again before then; a transaction that is open at that time is rolled back.',
  })
}

function loginEnded(): Failure {
  return new Failure('session_terminated', {
    message: 'terminating connection because its database login has come to its end',
    detail: 'It could not be prolonged any further. An open transaction has been rolled back.',
    hint: 'Connect again: a new connection gets a new login, as long as the grant lasts.',
  })
}
