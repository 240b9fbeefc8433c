// A change as a message in Slack. What people wrote is shown as they wrote it and does nothing: a reason
// like "<!channel> click <https://evil|here>" pings nobody and links nowhere, and one with line breaks
// cannot pass for lines of ours. Ignorant of how it gets there.
// Slack's documentation: "Block Kit", "Formatting text for app surfaces".

import type { Grant } from '../access/access.ts'
import type { Change } from '../access/change.ts'
import type { AccessRequest } from '../access/request.ts'
import type { Need } from '../access/rules.ts'
import type { Letter } from '../post.ts'
import { decisions, linkTo, missingOf, stillMissing } from './described.ts'
import type { Delivery, Surroundings } from './ports.ts'

/** Slack takes 3,000 characters for a block. */
const longestText = 500

interface Message {
  readonly headline: string
  /** What somebody wrote: a reason, a comment. */
  readonly quoted?: string | undefined
  readonly missing?: readonly Need[]
}

export function slackLetter(delivery: Delivery, surroundings: Surroundings): Letter {
  const { change, isPending } = delivery
  const { headline, quoted, missing = [] } = messageOf(change, surroundings.needs)
  const link = linkTo(change, surroundings.url)
  const lines = [
    headline,
    ...(quoted === undefined ? [] : [`> ${plain(quoted)}`]),
    ...(isPending && missing.length > 0 ? [`Needs ${missing.map(need).join(' and ')}`] : []),
    ...('request' in change && isPending ? commands(change.request.id) : []),
    ...(link === undefined ? [] : [`<${plain(link)}>`]),
  ]
  return {
    headers: { 'content-type': 'application/json', 'user-agent': 'pgwarden' },
    body: JSON.stringify({
      // For notifications of the desktop, and for readers of the screen.
      text: headline.replaceAll('*', ''),
      blocks: [
        {
          type: 'section',
          // verbatim: a bare @here, #channel or address is not made into one.
          text: { type: 'mrkdwn', text: lines.join('\n'), verbatim: true },
        },
      ],
    }),
  }
}

function commands(requestId: string): string[] {
  const { approve, deny } = decisions(requestId)
  return [`\`${approve}\`  or  \`${deny}\``]
}

function need({ function: name, groups }: Need): string {
  const members = groups.map(plain).join(', ')
  return members === '' ? plain(name) : `${plain(name)} (${members})`
}

function messageOf(change: Change, needs: Surroundings['needs']): Message {
  switch (change.type) {
    case 'request.created': {
      const { request } = change
      return {
        headline: `${bold(request.principal)} asks for ${asked(request)}`,
        quoted: request.reason,
        missing: missingOf(request, needs),
      }
    }
    case 'request.endorsed':
      return {
        headline: `${bold(change.by.principal)} approved ${askedBy(change.request)}`,
        quoted: change.comment,
        missing: stillMissing(change.missing, needs(change.request)),
      }
    case 'request.approved':
      return {
        headline: `Approved by ${bold(change.by.principal)}: ${askedBy(change.request)}, until ${time(change.grant.endsAt)}`,
        quoted: change.comment,
      }
    case 'request.denied':
      return {
        headline: `Denied by ${bold(change.by.principal)}: ${askedBy(change.request)}`,
        quoted: change.comment,
      }
    case 'request.withdrawn':
      return { headline: `Withdrawn: ${askedBy(change.request)}` }
    case 'request.expired':
      return { headline: `Nobody decided in time: ${askedBy(change.request)}` }
    case 'grant.extended':
      return {
        headline: `${held(change.grant)} now ends ${time(change.grant.endsAt)}`,
        quoted: change.reason,
      }
    case 'grant.ending':
      return {
        headline: `${held(change.grant)} ends ${time(change.grant.endsAt)}. To keep it: \`pgwarden extend ${change.grant.id} --for 1h --reason ...\``,
      }
    case 'grant.revoked':
      return {
        headline: `${bold(change.by.principal)} revoked ${held(change.grant)}`,
        quoted: change.reason,
      }
    case 'grant.expired':
      return { headline: `${held(change.grant)} is over` }
    case 'token.issued':
      return {
        headline: `${bold(change.by.principal)} took a ${change.kind} token for ${held(change.grant)}`,
      }
    case 'session.ended':
      return {
        headline: `${bold(change.by.principal)} ended a session of ${held(change.grant)}`,
        quoted: change.reason,
      }
    case 'login.locked':
      return {
        headline: `${change.failures} failed logins as ${bold(change.principal)} from ${plain(change.address)}: locked out until ${time(change.until)}`,
      }
    case 'login.unlocked':
      return {
        headline: `${bold(change.by.principal)} lifted the lock-out of ${bold(change.principal)} from ${plain(change.address)}`,
      }
    case 'key.created':
      return {
        headline: `${bold(change.by.principal)} made an API key for ${bold(change.principal)}: ${plain(change.keyId)}`,
      }
    case 'key.revoked':
      return {
        headline: `${bold(change.by.principal)} revoked an API key of ${bold(change.principal)}: ${plain(change.keyId)}`,
      }
  }
}

function asked({ role, target, durationMs, extends: prolonged }: AccessRequest): string {
  const more = prolonged === undefined ? '' : ' more'
  return `${bold(role)} on ${bold(target)} for ${spoken(durationMs)}${more}`
}

function askedBy(request: AccessRequest): string {
  return `${bold(request.principal)}'s request for ${asked(request)}`
}

function held({ principal, role, target }: Grant): string {
  return `${bold(principal)}'s ${bold(role)} on ${bold(target)}`
}

function bold(name: string): string {
  // An asterisk of the name's own would end it.
  return `*${plain(name).replaceAll('*', '∗')}*`
}

function time(at: number): string {
  return `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')} UTC`
}

/** `4 h`, `1 d 2 h`, `90 s`. */
function spoken(ms: number): string {
  const seconds = Math.round(ms / 1_000)
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor((seconds % 86_400) / 3_600), 'h'],
    [Math.floor((seconds % 3_600) / 60), 'min'],
    [seconds % 60, 's'],
  ] as const
  return parts
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(' ')
}

/**
 * One line, of a length that fits, in which Slack finds nothing to do. Controls go, and so do the marks
 * that make a reader see the letters in another order than they are in.
 */
function plain(text: string): string {
  const line = text
    .replace(/[\p{Cc}\p{Zl}\p{Zp}\s]+/gu, ' ')
    .replace(/\p{Cf}/gu, '')
    .trim()
  const cut = line.length > longestText ? `${[...line].slice(0, longestText).join('')}…` : line
  return cut.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
