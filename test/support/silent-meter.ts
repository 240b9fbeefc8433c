// A meter of the data plane for tests that are not about counting.

import type { Meter } from '../../src/proxy/ports.ts'

const uncounted = (): undefined => undefined

export const silentMeter: Meter = {
  connection: uncounted,
  login: uncounted,
  sessionOpened: uncounted,
  sessionClosed: uncounted,
  statement: uncounted,
  statementEnded: uncounted,
  tripped: uncounted,
  cancel: uncounted,
  bytes: uncounted,
  limitReached: uncounted,
  proxyProtocolError: uncounted,
}
