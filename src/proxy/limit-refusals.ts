// What is said to clients of which there are too many, or that come too fast or take too long. The limit's
// number is told: whoever hits one of their own needs it, and it is no secret.

import { Failure } from '../errors.ts'

/** So few, or none, where there is no limit and this is not said. */
type Limit = number | undefined

export function tooSlow(): Failure {
  return new Failure('login_timeout', {
    message: 'canceling authentication due to timeout',
    hint: 'Connect again, and log in at once.',
  })
}

export function tooManyConnections(): Failure {
  return new Failure('too_many_connections', {
    message: 'sorry, too many clients already',
    hint: 'Try again later.',
  })
}

export function tooManyOfAddress(most: Limit): Failure {
  return new Failure('too_many_connections', {
    message: 'too many connections from this address',
    detail: `One address may have ${most} connections at once.`,
    hint: 'Close connections that are not used, or use a smaller pool.',
  })
}

export function tooManyOfPrincipal(principal: string, most: Limit): Failure {
  return new Failure('too_many_connections', {
    message: `too many sessions of "${principal}"`,
    detail: `One principal may have ${most} sessions at once.`,
    hint: 'Close sessions that are not used, or use a smaller pool.',
  })
}

export function tooManyOfGrant(grant: string, most: Limit): Failure {
  return new Failure('too_many_connections', {
    message: `too many sessions on the grant ${grant}`,
    detail: `One grant may have ${most} sessions at once.`,
    hint: 'Close sessions that are not used, or use a smaller pool.',
  })
}

export function tooManyLogins(): Failure {
  return new Failure('too_many_logins', {
    message: 'too many logins from this address',
    detail: 'It logs in more often than it may in one second. The token was not looked at.',
    hint: 'Try again in a second; a pool that keeps its connections open logs in less often.',
  })
}
