// What is said to somebody whose token is genuine and gives no access now: its grant is over, taken back or not
// begun. Nobody else is told more than that a password is wrong. Ignorant of who may ask for what: that is
// answered when they ask.

import type { Grant } from '../access/access.ts'
import type { RefusalReason } from '../access/login.ts'
import { Failure } from '../errors.ts'

/** How a role on a target is asked for. `url`: where the control plane is reached, where that is known. */
export function howToAsk(target: string, role: string, url: string | undefined): string {
  const terms = `${target} --role ${role} --for 1h --reason TEXT`
  const server = url === undefined ? '' : ` (at ${url})`
  return (
    `Ask for access with: pgwarden request ${terms}${server}. ` +
    `Or ask and connect in one: pgwarden psql ${terms}`
  )
}

/** Undefined where the grant is not what is wrong: then the token is as good as a wrong password. */
export function noAccess(
  reason: RefusalReason,
  { target, role, startsAt, endsAt, revokedAt }: Grant,
  url: string | undefined,
): Failure | undefined {
  const at = (time: number): string => new Date(time).toISOString()
  const hint = howToAsk(target, role, url)
  if (reason === 'revoked' && revokedAt !== undefined) {
    return new Failure('invalid_authorization', {
      message: 'the grant of this token was revoked',
      detail: `Access to "${target}" as ${role} was taken back at ${at(revokedAt)}.`,
      hint,
    })
  }
  if (reason === 'expired') {
    return new Failure('invalid_authorization', {
      message: 'the grant of this token has ended',
      detail: `Access to "${target}" as ${role} ended at ${at(endsAt)}.`,
      hint,
    })
  }
  if (reason === 'not_yet') {
    return new Failure('invalid_authorization', {
      message: 'the grant of this token has not begun yet',
      detail: `Access to "${target}" as ${role} begins at ${at(startsAt)}.`,
      hint: `Connect again then. ${hint}`,
    })
  }
  return undefined
}
