// Asking: terms and rules become a request, and at once a grant where the rules ask for nobody's approval.
// Pure: nothing is stored here. What nobody has approved is over within the automatic limit from the moment
// when it was asked for, so that neither a start far ahead nor a chain of extensions gets past it.

import { Failure } from '../errors.ts'
import type { Grant } from './access.ts'
import type { ExtensionTerms, RequestTerms } from './desk.ts'
import { checkPrincipal, newGrant } from './grant.ts'
import { randomId } from './id.ts'
import type { Identity } from './identity.ts'
import type { AccessRequest } from './request.ts'
import { type AccessRules, automaticMs, type Requester, rolesFor, rulingOn } from './rules.ts'
import { claimsOf, durationOf, isClean, reasonOf, relationsOf, spelled, startOf } from './terms.ts'

/** A request, and the grant that it became at once. */
export interface Asked {
  readonly request: AccessRequest
  readonly grant: Grant | undefined
}

/** @throws Failure invalid_parameter, forbidden */
export function ask(rules: AccessRules, by: Identity, terms: RequestTerms, now: number): Asked {
  checkPrincipal(by.principal)
  const { target, role } = terms
  const { rule, target: there } = permitted(rules, by, target, role)
  const reason = reasonOf(terms.reason)
  const startsAt = startOf(terms.startsAt, now)
  const durationMs = durationOf(
    terms.durationMs ?? Math.min(rules.defaultMs, rule.longestMs),
    rule.longestMs,
  )
  const endsAt = (startsAt ?? now) + durationMs
  const request: AccessRequest = {
    ...pendingRequest(by, now),
    target,
    role,
    reason,
    durationMs,
    startsAt,
    relations: relationsOf(terms.relations),
    claims: claimsOf(by.claims, rules.claims),
    extends: undefined,
    expiresAt: Math.min(
      now + rules.pendingMs,
      startsAt === undefined ? Number.POSITIVE_INFINITY : endsAt,
    ),
  }
  const unapproved = automaticMs(rules, rule, there)
  if (unapproved === undefined || endsAt > now + unapproved) return { request, grant: undefined }
  const grant = grantFor(rules, request, now)
  return { request: { ...request, state: 'approved', decidedAt: now, grantId: grant.id }, grant }
}

export type AskedForMore =
  | { readonly type: 'extended'; readonly grant: Grant; readonly reason: string }
  | { readonly type: 'pending'; readonly request: AccessRequest }

/** The holder of a grant that is not over asks for more time. @throws Failure invalid_parameter, forbidden */
export function askForMore(
  rules: AccessRules,
  by: Identity,
  grant: Grant,
  terms: ExtensionTerms,
  now: number,
): AskedForMore {
  const { target, role, startsAt, relations, claims } = grant
  const { rule, target: there } = permitted(rules, by, target, role)
  const reason = reasonOf(terms.reason)
  const left = rule.longestMs - (grant.endsAt - startsAt)
  if (left < 1_000) {
    throw new Failure('invalid_parameter', {
      message: `${role} on ${target} lasts at most ${spelled(rule.longestMs)}, and this grant does`,
      hint: 'Ask for a new grant.',
    })
  }
  const durationMs = durationOf(terms.durationMs, left)
  const endsAt = grant.endsAt + durationMs
  const unapproved = automaticMs(rules, rule, there)
  if (unapproved !== undefined && endsAt <= Math.min(startsAt, now) + unapproved) {
    return { type: 'extended', grant: { ...grant, endsAt }, reason }
  }
  const request: AccessRequest = {
    ...pendingRequest(by, now),
    target,
    role,
    reason,
    durationMs,
    startsAt: undefined,
    relations,
    claims,
    extends: grant.id,
    // There is nothing to prolong after that.
    expiresAt: Math.min(now + rules.pendingMs, grant.endsAt),
  }
  return { type: 'pending', request }
}

/**
 * What the request becomes when it is approved now. A window that was asked for stays where it is: what was
 * missed of it while it was pending is not made up for. @throws Failure invalid_parameter
 */
export function grantFor(rules: AccessRules, request: AccessRequest, now: number): Grant {
  const { principal, target, role, reason, relations, claims } = request
  const asked = request.startsAt ?? now
  const startsAt = Math.max(asked, now)
  const durationMs = asked + request.durationMs - startsAt
  const terms = { principal, target, role, startsAt, durationMs, reason, relations, claims }
  return newGrant(
    { ...terms, requestId: request.id },
    { roles: rules.roles, targets: rules.targets },
  )
}

/** The rule under which they may ask. @throws Failure invalid_parameter, forbidden */
function permitted(rules: AccessRules, by: Requester, target: string, role: string) {
  const ruling = rulingOn(rules, by, target, role)
  switch (ruling.type) {
    case 'rule':
      return ruling
    case 'no_target': {
      const theirs = [...rules.targets.keys()].filter(
        (name) => rolesFor(rules, by, name).length > 0,
      )
      return refuse(
        'invalid_parameter',
        `there is no target "${target}" that you may ask for`,
        theirs,
      )
    }
    case 'no_role': {
      const theirs = rolesFor(rules, by, target)
      return refuse(
        'invalid_parameter',
        `target ${target} has no role "${role}" to ask for`,
        theirs,
      )
    }
    case 'not_for_services':
      return refuse('forbidden', `role ${role} is not for programs`, rolesFor(rules, by, target))
    case 'not_for_these_groups':
      return refuse(
        'forbidden',
        `role ${role} is for members of ${ruling.groups.join(', ')}`,
        rolesFor(rules, by, target),
      )
  }
}

function refuse(
  code: 'invalid_parameter' | 'forbidden',
  message: string,
  instead: readonly string[],
): never {
  const hint = instead.length > 0 && { hint: `You may ask for ${instead.join(', ')}.` }
  throw new Failure(code, { message, ...hint })
}

function pendingRequest(by: Identity, now: number) {
  return {
    id: randomId(),
    principal: by.principal,
    kind: by.kind,
    groups: by.groups.filter(isClean),
    createdAt: now,
    state: 'pending' as const,
    decidedAt: undefined,
    grantId: undefined,
  }
}
