// What falls to one worker of the limits that are meant for all clients together. The workers do not ask each other:
// a login would wait for that. Decides nothing.

import type { LimitsConfig } from '../config/limits.ts'
import type { Part } from './run.ts'

/** Rounded up: a limit may be passed by as many as there are workers, less one. */
export function shareOf<Limit extends number | undefined>(
  part: Part,
  limit: Limit,
): Limit | number {
  return part.type === 'worker' && limit !== undefined ? Math.ceil(limit / part.of) : limit
}

/** Those of single sessions are as they were. */
export function sharedLimits(part: Part, limits: LimitsConfig): LimitsConfig {
  return {
    ...limits,
    sessionsPerPrincipal: shareOf(part, limits.sessionsPerPrincipal),
    sessionsPerGrant: shareOf(part, limits.sessionsPerGrant),
    loginsPerSecond: shareOf(part, limits.loginsPerSecond),
  }
}
