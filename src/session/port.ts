// What a session asks of the world around it: the two peers and whoever counts. The edge implements
// it with sockets and metrics; a test with arrays.

import type { Receipt } from '../audit/journal.ts'
import type { Tripwire } from '../audit/record.ts'
import type { Failure } from '../errors.ts'
import type { Deny } from '../policy/decision.ts'

/** For bytes that make the upstream run no SQL that is not recorded yet: Sync, CopyData, a substitute. */
export const nothingToRecord = Symbol('nothing to record')

/** What must be shown to send anything upstream: a frame that runs SQL cannot be sent without a record. */
export type Clearance = Receipt | typeof nothingToRecord

export interface SessionPort {
  /** The buffers go out in order and unchanged. */
  toUpstream(buffers: readonly Buffer[], clearance: Clearance): void
  toClient(buffers: readonly Buffer[]): void
  /** The client said Terminate, and it has been forwarded. */
  terminated(): void
  /** A judgement that the session waited for is there: `Session.resume` goes on with it. */
  judged(): void
  /** A statement that may have changed the target's catalog has taken effect. */
  catalogChanged(): void
  /** A pinned setting is no longer what it must be. The session is about to throw. */
  tripped(tripwire: Tripwire): void
  // For metrics and traces. `sqlstate`: of the error that it ended with.
  statementDenied(tags: readonly string[], decision: Deny): void
  statementEnded(tags: readonly string[], took: StatementTimes, sqlstate: string | undefined): void
  /** So many could not be recorded, and fail upstream in their places. */
  statementsRefused(count: number, failure: Failure): void
}

/** Of one statement that was let through, in milliseconds. */
export interface StatementTimes {
  /** From its record to the end of its answer. */
  readonly durationMs: number
  /** Judging it, where it was judged before it ran. */
  readonly policyMs: number
  /** Until its record was stored; undefined when its session ended before. */
  readonly auditMs: number | undefined
}
