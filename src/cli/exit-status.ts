// What a command's exit status says, for scripts. `pgwarden psql` has psql's own once that runs.

import { ApiFailure } from '../client/failure.ts'
import { Failure, type FailureText } from '../errors.ts'

export const exitStatus = {
  done: 0,
  /** It failed, or was denied. */
  failed: 1,
  /** The command was wrong. */
  misused: 2,
  /** The server does not know who is asking. */
  notLoggedIn: 3,
  /** What was asked for is not there yet, or nobody decided in time. */
  pending: 4,
  /** Somebody else was first, or the object is not as it was thought to be. */
  conflict: 5,
} as const

/** A command that cannot be carried out as it was written, which commander could not see. */
export class Misuse extends Failure {
  constructor(text: FailureText) {
    super('invalid_parameter', text)
  }
}

export function statusOf(error: unknown): number {
  if (error instanceof Misuse) return exitStatus.misused
  if (!(error instanceof Failure || error instanceof ApiFailure)) return exitStatus.failed
  switch (error.code) {
    case 'unauthenticated':
      return exitStatus.notLoggedIn
    case 'conflict':
    case 'precondition_failed':
    case 'key_reused':
      return exitStatus.conflict
    default:
      return exitStatus.failed
  }
}
