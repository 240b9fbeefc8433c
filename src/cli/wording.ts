// Requests and grants in words: one line, or all that there is to say. Texts of strangers (reasons,
// comments) come out as what they are and cannot act on a terminal.

import type { AccessRequest, Grant, Need } from '../client/answers.ts'
import { printable, type Style } from './terminal.ts'

const steps = [
  ['d', 86_400],
  ['h', 3_600],
  ['m', 60],
  ['s', 1],
] as const

/** `2 h 30 m`: the largest unit and the one below it, rounded down. */
export function durationText(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds))
  const largest = steps.findIndex(([, size]) => whole >= size)
  if (largest === -1) return '0 s'
  let left = whole
  const parts = steps.slice(largest, largest + 2).map(([unit, size]) => {
    const count = Math.floor(left / size)
    left -= count * size
    return count === 0 ? '' : `${count} ${unit}`
  })
  return parts.filter((part) => part !== '').join(' ')
}

/** Seconds from `now` (milliseconds since the epoch) to a time of the API. */
export function secondsTo(time: string, now: number): number {
  return (Date.parse(time) - now) / 1000
}

/** To the second: a time of the API, or milliseconds since the epoch. */
export function instantText(time: string | number): string {
  const text = typeof time === 'number' ? new Date(time).toISOString() : time
  return text.replace(/\.\d+(?=Z|[+-])/, '')
}

/** `manager (group managers) and ciso (group security)`. */
export function needsText(needs: readonly Need[]): string {
  return needs
    .map(({ function: name, groups }) =>
      groups.length === 0
        ? `${name} (no group has it)`
        : `${name} (${groups.length === 1 ? 'group' : 'groups'} ${groups.join(', ')})`,
    )
    .join(' and ')
}

export const requestColour = {
  pending: 'yellow',
  approved: 'green',
  denied: 'red',
  withdrawn: 'dim',
  expired: 'dim',
} as const satisfies Record<AccessRequest['state'], Parameters<Style>[0]>

export const grantColour = {
  scheduled: 'yellow',
  active: 'green',
  revoked: 'red',
  expired: 'dim',
} as const satisfies Record<Grant['state'], Parameters<Style>[0]>

/** Several lines, without a line end. */
export function requestText(request: AccessRequest, style: Style, now: number): string {
  const { id, principal, target, role, durationSeconds, reason, state, missing } = request
  const facts: [string, string | undefined][] = [
    ['state', style(requestColour[state], state)],
    ['who', printable(principal)],
    ['reason', printable(reason)],
    ['begins', request.startsAt === undefined ? undefined : instantText(request.startsAt)],
    ['prolongs', request.extends === undefined ? undefined : `grant ${request.extends}`],
    ['tables', relationsText(request.relations)],
    ...request.approvals.map((approval): [string, string] => [
      approval.decision === 'approve' ? 'approved' : 'denied',
      printable(`by ${approval.approver} at ${instantText(approval.at)}${said(approval.comment)}`),
    ]),
  ]
  if (state === 'pending') {
    const left = durationText(secondsTo(request.expiresAt, now))
    facts.push(['needs', printable(needsText(missing))], ['expires', `in ${left}`])
  }
  if (request.grantId !== undefined) facts.push(['grant', request.grantId])
  const more = request.extends === undefined ? '' : ' more'
  const title = `Request ${id}: ${role} on ${target} for ${durationText(durationSeconds)}${more}`
  return described(printable(title), facts, style)
}

export function grantText(grant: Grant, style: Style, now: number): string {
  const { id, principal, target, role, reason, state, endsAt, revokedAt, requestId } = grant
  return described(
    printable(`Grant ${id}: ${role} on ${target}`),
    [
      ['state', style(grantColour[state], state)],
      ['who', printable(principal)],
      ['reason', printable(reason)],
      ['from', instantText(grant.startsAt)],
      ['until', `${instantText(endsAt)}${state === 'active' ? ` (${left(grant, now)})` : ''}`],
      ['revoked', revokedAt === undefined ? undefined : instantText(revokedAt)],
      ['request', requestId],
      ['tables', relationsText(grant.relations)],
      ['logins', String(grant.openLogins)],
    ],
    style,
  )
}

/** `1 h 12 m left`. */
export function left({ endsAt }: Grant, now: number): string {
  return `${durationText(secondsTo(endsAt, now))} left`
}

function described(
  title: string,
  facts: readonly (readonly [string, string | undefined])[],
  style: Style,
): string {
  const lines = facts.flatMap(([name, value]) =>
    value === undefined || value === '' ? [] : [`  ${name.padEnd(9)} ${value}`],
  )
  return [style('bold', title), ...lines].join('\n')
}

function relationsText(relations: Grant['relations']): string | undefined {
  if (relations === undefined) return undefined
  const { read, write, deny } = relations
  const parts = [
    ...(read === undefined ? [] : [`read ${read.join(', ')}`]),
    ...(write === undefined ? [] : [`write ${write.join(', ')}`]),
    ...(deny === undefined ? [] : [`never ${deny.join(', ')}`]),
  ]
  return printable(parts.join('; '))
}

function said(comment: string | undefined): string {
  return comment === undefined || comment === '' ? '' : `: ${comment}`
}
