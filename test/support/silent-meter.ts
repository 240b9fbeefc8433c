// A meter of the data plane for tests that are not about counting.

import type { Meter } from '../../src/proxy/ports.ts'

const uncounted = (): undefined => undefined

export const silentMeter: Meter = {
  connection: uncounted,
  login: uncounted,
  statementDenied: uncounted,
  statementEnded: uncounted,
  statementsRefused: uncounted,
  tripped: uncounted,
  cancel: uncounted,
  bytes: uncounted,
  limitReached: uncounted,
  proxyProtocolError: uncounted,
}
