// A session whose grant ends soon is told so once, in time to finish or to ask for more; once more where the
// grant was prolonged and comes to its end again. Ignorant of who ends it then (sessions.ts).

import type { Authorization } from '../access/authorization.ts'
import type { Clock } from '../clock.ts'
import { inWords, sessionNotice } from './session-notice.ts'

/** How long before its grant a session is told. */
const aheadMs = 5 * 60_000
/** Notices are looked for a few times a second: what is said is what was meant. */
const roundingMs = 999

export class GrantEnd {
  readonly #authorization: Authorization
  readonly #clock: Clock
  readonly #tell: (notice: Buffer) => boolean
  /** The end that the client was told. */
  #told: number | undefined

  /** `tell` answers whether that could be said now. */
  constructor(authorization: Authorization, clock: Clock, tell: (notice: Buffer) => boolean) {
    this.#authorization = authorization
    this.#clock = clock
    this.#tell = tell
  }

  /** Tells the client when the end is near. To be called every second, or more often. */
  look(): void {
    const { id, endsAt } = this.#authorization.grant
    const leftMs = endsAt - this.#clock.now()
    if (leftMs > aheadMs || leftMs <= 0 || this.#told === endsAt) return
    const left = inWords(leftMs + roundingMs)
    if (this.#tell(notice(id, endsAt, left))) this.#told = endsAt
  }
}

function notice(grantId: string, endsAt: number, left: string): Buffer {
  return sessionNotice({
    message: `the grant of this session ends in ${left}`,
    detail:
      `At ${new Date(endsAt).toISOString()} the connection is closed, and what runs then is cancelled ` +
      'and rolled back.',
    hint: `To go on, ask for more time before then: pgwarden extend ${grantId} --for 1h --reason TEXT`,
  })
}
