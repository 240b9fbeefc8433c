// What is said about messages that the protocol itself makes meaningless, or that ask for too much. They
// name nothing that could run, so there is no statement to record. The sentences are PostgreSQL's.

import { Failure } from '../errors.ts'

export function undefinedStatement(name: string): Failure {
  return new Failure('undefined_statement', {
    message:
      name === ''
        ? 'unnamed prepared statement does not exist'
        : `prepared statement "${name}" does not exist`,
  })
}

export function undefinedPortal(name: string): Failure {
  return new Failure('undefined_portal', { message: `portal "${name}" does not exist` })
}

export function tooManyNames(): Failure {
  return new Failure('statement_too_large', {
    message: 'too many prepared statements or portals in this session',
    hint: 'Close the ones that are no longer used.',
  })
}
