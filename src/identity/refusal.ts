// The words in which a caller is told that it is not known. Never a part of what it sent.

import { Failure, type FailureText } from '../errors.ts'

/** `message` in PostgreSQL's style: one line, lower-case start, no full stop. */
export function unauthenticated(
  message: string,
  more: Omit<FailureText, 'message'> = {},
  cause?: unknown,
): Failure {
  return new Failure('unauthenticated', { message, ...more }, { cause })
}
