// Waiting until a request is decided, with a line that says for whom. A server that is away for a moment is
// waited for too: the request stands meanwhile.

import type { AccessRequest } from '../client/answers.ts'
import type { Api } from '../client/api.ts'
import { isPassing } from '../client/failure.ts'
import type { Context } from './program.ts'
import { StatusLine } from './status-line.ts'
import { durationText, needsText, secondsTo } from './wording.ts'

export interface Patience {
  /** How long to wait; undefined: until it is decided or expires. */
  readonly limitMs: number | undefined
  readonly signal: AbortSignal
}

const intervalMs = 2_000

/** Resolves to the request as it is then: still pending when patience ended first. */
export async function awaitDecision(
  { outside, terminal }: Context,
  api: Api,
  request: AccessRequest,
  { limitMs, signal }: Patience,
): Promise<AccessRequest> {
  const { clock, pause } = outside
  const status = new StatusLine(terminal)
  const begun = clock.elapsed()
  const left = () => (limitMs === undefined ? intervalMs : limitMs - (clock.elapsed() - begun))
  const stopped = () => signal.aborted
  let now = request
  let away = false
  try {
    for (let wait = left(); now.state === 'pending' && wait > 0; wait = left()) {
      const until = durationText(secondsTo(now.expiresAt, clock.now()))
      const text = `request ${now.id} waits for ${needsText(now.missing)}`
      status.show(away ? 'the server does not answer; trying again' : text, `expires in ${until}`)
      await pause(Math.min(wait, intervalMs), signal)
      if (stopped()) break
      try {
        now = await api.findRequest(now.id)
        away = false
      } catch (error) {
        if (!isPassing(error)) throw error
        away = true
      }
    }
    return now
  } finally {
    status.clear()
  }
}
