// Records of the control plane in words: who asked, decided, revoked, made a key, read the audit, called the
// API. Ignorant of time and chain.

import type { Fields } from '../audit/line.ts'
import { because, by, counted, type Describe, listed, text, who } from './audit-words.ts'
import type { Style } from './terminal.ts'
import { durationText } from './wording.ts'

export const changes: readonly (readonly [string, Describe])[] = [
  ['request.created', requested],
  ['request.endorsed', endorsed],
  ['request.approved', approved],
  [
    'request.denied',
    (fields, style) => `${decided(fields, style, 'red', 'denies')}${commented(fields)}`,
  ],
  ['request.withdrawn', (fields, style) => decided(fields, style, 'yellow', 'withdraws')],
  ['request.expired', (fields, style) => `request of ${who(fields, style)} expired undecided`],
  ['grant.extended', extended],
  ['grant.ending', (fields, style) => `${grant(fields, style)} ends at ${text(fields, 'endsAt')}`],
  ['grant.expired', (fields, style) => `${grant(fields, style)} is over`],
  ['grant.revoked', revoked],
  ['session.ended', sessionEnded],
  ['token.issued', tokenIssued],
  ['login.locked', locked],
  ['login.unlocked', unlocked],
  ['key.created', keyCreated],
  ['key.revoked', keyRevoked],
  ['change.undone', undone],
  ['audit.read', read],
  ['api.call', call],
]

function requested(fields: Fields, style: Style): string {
  const { seconds } = fields
  const long = typeof seconds === 'number' ? ` for ${durationText(seconds)}` : ''
  return `${who(fields, style)} ${style('yellow', 'asked')}${long}${because(fields)}`
}

function endorsed(fields: Fields, style: Style): string {
  const missing = listed(fields, 'missing')
  return `${decided(fields, style, 'green', 'approves')}, still to approve: ${missing}${commented(fields)}`
}

function approved(fields: Fields, style: Style): string {
  const until = `until ${text(fields, 'endsAt')}, grant ${text(fields, 'grant')}`
  return `${decided(fields, style, 'green', 'approves')} ${until}${commented(fields)}`
}

function extended(fields: Fields, style: Style): string {
  return `${by(fields, style)} extends ${grant(fields, style)} until ${text(fields, 'endsAt')}${because(fields)}`
}

function revoked(fields: Fields, style: Style): string {
  return `${by(fields, style)} ${style('red', 'revokes')} ${grant(fields, style)}${because(fields)}`
}

function sessionEnded(fields: Fields, style: Style): string {
  const session = `session ${text(fields, 'session')} of ${who(fields, style)}`
  return `${by(fields, style)} ${style('red', 'ends')} ${session}${because(fields)}`
}

function tokenIssued(fields: Fields): string {
  const terms = `${text(fields, 'role')} on ${text(fields, 'target')}`
  const until = `until ${text(fields, 'endsAt')}`
  return `${text(fields, 'kind')} token for ${text(fields, 'principal')}: ${terms} ${until}, because: ${text(fields, 'reason')}`
}

function locked(fields: Fields, style: Style): string {
  const failures = counted(fields, 'failures', 'failed logins')
  return `${account(fields)} ${style('red', 'locked out')} until ${text(fields, 'until')}, after ${failures}`
}

function unlocked(fields: Fields, style: Style): string {
  return `${by(fields, style)} lets ${account(fields)} log in again`
}

function account(fields: Fields): string {
  return `${text(fields, 'principal')} from ${text(fields, 'client')}`
}

function keyCreated(fields: Fields, style: Style): string {
  const groups = listed(fields, 'groups')
  const what = `${text(fields, 'kind')} key ${text(fields, 'key')} for ${text(fields, 'principal')}`
  return `${by(fields, style)} makes ${what}, groups ${groups === '' ? 'none' : groups}, until ${text(fields, 'expiresAt')}`
}

function keyRevoked(fields: Fields, style: Style): string {
  const key = `key ${text(fields, 'key')} of ${text(fields, 'principal')}`
  return `${by(fields, style)} ${style('red', 'revokes')} ${key}`
}

function undone(fields: Fields, style: Style): string {
  const result =
    text(fields, 'result') === 'undone' ? 'was not made' : 'is not known to have been made'
  return style('red', `change ${counted(fields, 'change', '')}(${text(fields, 'of')}) ${result}`)
}

function read(fields: Fields, style: Style): string {
  return `${by(fields, style)} reads the audit (${text(fields, 'how')}): ${text(fields, 'filter')}`
}

function call(fields: Fields, style: Style): string {
  const { status, ids } = fields
  const caller = text(fields, 'by') === '' ? 'somebody unknown' : by(fields, style)
  const which = typeof ids === 'object' && ids !== null ? Object.values(ids).map(String) : []
  const of = which.length === 0 ? '' : ` (${text({ which: which.join(', ') }, 'which')})`
  const refused = typeof status === 'number' && status >= 400
  const answer = style(refused ? 'red' : 'dim', String(status))
  const count = fields['count'] === undefined ? '' : `, ${counted(fields, 'count', 'times')}`
  return `${caller} ${text(fields, 'method')} ${text(fields, 'route')}${of} ${answer}, from ${text(fields, 'client')}${count}`
}

function decided(
  fields: Fields,
  style: Style,
  colour: 'green' | 'red' | 'yellow',
  verb: string,
): string {
  const request = `request ${text(fields, 'requestId')} of ${who(fields, style)}`
  return `${by(fields, style)} ${style(colour, verb)} ${request}`
}

function grant(fields: Fields, style: Style): string {
  return `grant ${text(fields, 'grant')} of ${who(fields, style)}`
}

function commented(fields: Fields): string {
  const comment = text(fields, 'comment')
  return comment === '' ? '' : `, saying: ${comment}`
}
