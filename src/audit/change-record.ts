// The records of the control plane: who asked, decided, extended, revoked, and what the clock did. docs/audit.md
// lists the fields. One function for all changes, so that a new kind of change has no way round the audit.
// Ignorant of how a change came about.

import type { Grant, RelationRules } from '../access/access.ts'
import type { Actor, Change } from '../access/change.ts'
import type { AccessRequest } from '../access/request.ts'
import { listField, nameField, quoteWithin } from './json.ts'

/** `number` is that of the change's row in the store. */
export function changeRecord(number: number, change: Change): string {
  return [
    `"type":"${change.type}"`,
    `"change":${number}`,
    ...actorFields(change.by),
    ...fieldsOf(change),
  ].join(',')
}

/**
 * Behind the record of a change that was not committed. `unknown`: the store did not answer; whether the change's
 * row is there tells.
 */
export function changeUndoneRecord(
  number: number,
  { type }: Change,
  result: 'undone' | 'unknown',
): string {
  return `"type":"change.undone","change":${number},"of":"${type}","result":"${result}"`
}

/** In bytes as quoted. Terms are checked when they come; names of groups and claims come from elsewhere. */
const reasonLimit = 8_192
const groupLimits = { items: 64, bytes: 8_192 }
const patternLimits = { items: 100, bytes: 8_192 }

function fieldsOf(change: Change): readonly string[] {
  switch (change.type) {
    case 'request.created':
      return [...requestFields(change.request), ...termFields(change.request)]
    case 'request.endorsed':
      return [
        ...requestFields(change.request),
        ...textField('comment', change.comment),
        listField('missing', 'missingCount', change.missing, groupLimits),
      ]
    case 'request.approved':
      return [
        ...requestFields(change.request),
        nameField('grant', change.grant.id),
        ...periodFields(change.grant),
        ...relationsField(change.grant.relations),
        ...textField('reason', change.request.reason),
        ...textField('comment', change.comment),
      ]
    case 'request.denied':
      return [...requestFields(change.request), ...textField('comment', change.comment)]
    case 'request.withdrawn':
    case 'request.expired':
      return requestFields(change.request)
    case 'grant.extended':
      return [
        ...grantFields(change.grant),
        ...periodFields(change.grant),
        `"endedAt":${time(change.endedAt)}`,
        ...textField('reason', change.reason),
      ]
    case 'grant.ending':
    case 'grant.expired':
      return [...grantFields(change.grant), ...periodFields(change.grant)]
    case 'grant.revoked':
      return [...grantFields(change.grant), ...textField('reason', change.reason)]
    case 'token.issued':
      return [
        ...grantFields(change.grant),
        ...periodFields(change.grant),
        nameField('token', change.tokenId),
        `"kind":"${change.kind}"`,
        ...textField('reason', change.grant.reason),
      ]
    case 'session.ended':
      return [
        nameField('session', change.sessionId),
        ...grantFields(change.grant),
        ...textField('reason', change.reason),
      ]
    case 'login.locked':
      return [
        nameField('principal', change.principal),
        nameField('client', change.address),
        `"failures":${change.failures}`,
        `"until":${time(change.until)}`,
      ]
    case 'login.unlocked':
      return [nameField('principal', change.principal), nameField('client', change.address)]
    case 'key.created':
      return [
        ...keyFields(change),
        `"kind":"${change.kind}"`,
        listField('groups', 'groupCount', change.groups, groupLimits),
        listField('scopes', 'scopeCount', change.scopes, groupLimits),
        // Their names: what they hold may be nobody's business.
        listField('claims', 'claimCount', Object.keys(change.claims), groupLimits),
        `"expiresAt":${time(change.expiresAt)}`,
      ]
    case 'key.revoked':
      return keyFields(change)
  }
}

function actorFields({ principal, via }: Actor): readonly string[] {
  return [nameField('by', principal), nameField('via', via)]
}

function keyFields(key: { readonly keyId: string; readonly principal: string }): readonly string[] {
  return [nameField('key', key.keyId), nameField('principal', key.principal)]
}

function requestFields(request: AccessRequest): readonly string[] {
  return [
    nameField('requestId', request.id),
    nameField('principal', request.principal),
    nameField('target', request.target),
    nameField('role', request.role),
    ...(request.extends === undefined ? [] : [nameField('extends', request.extends)]),
  ]
}

function termFields(request: AccessRequest): readonly string[] {
  const { startsAt, durationMs, expiresAt, kind, groups } = request
  return [
    `"kind":"${kind}"`,
    listField('groups', 'groupCount', groups, groupLimits),
    ...(startsAt === undefined ? [] : [`"startsAt":${time(startsAt)}`]),
    `"seconds":${durationMs / 1000}`,
    `"expiresAt":${time(expiresAt)}`,
    ...relationsField(request.relations),
    ...textField('reason', request.reason),
  ]
}

function grantFields(grant: Grant): readonly string[] {
  return [
    nameField('grant', grant.id),
    ...(grant.requestId === undefined ? [] : [nameField('requestId', grant.requestId)]),
    nameField('principal', grant.principal),
    nameField('target', grant.target),
    nameField('role', grant.role),
  ]
}

function periodFields({ startsAt, endsAt }: Grant): readonly string[] {
  return [`"startsAt":${time(startsAt)}`, `"endsAt":${time(endsAt)}`]
}

function relationsField(rules: RelationRules | undefined): readonly string[] {
  if (rules === undefined) return []
  const lists = Object.entries(rules).map(([list, patterns]: [string, readonly string[]]) =>
    listField(list, `${list}Count`, patterns, patternLimits),
  )
  return [`"relations":{${lists.join(',')}}`]
}

function textField(field: string, text: string | undefined): readonly string[] {
  return text === undefined ? [] : [`"${field}":${quoteWithin(text, reasonLimit)}`]
}

function time(at: number): string {
  return `"${new Date(at).toISOString()}"`
}
