// What becomes of a pending request: approved, denied, withdrawn or expired. Pure: from what is stored, locked
// by the caller, to what is to be stored. The rules are those of now: a request that they would not allow any
// more is not approved. Whether the caller may see the request is asked before.

import { Failure, type FailureText } from '../errors.ts'
import type { Grant } from './access.ts'
import { couldFill, isSamePerson, unfilled } from './approval.ts'
import { actorOf, byClock, type Change } from './change.ts'
import type { StoredRequest } from './desk-store.ts'
import { standing } from './grant.ts'
import type { Identity } from './identity.ts'
import type { AccessRequest, Approval } from './request.ts'
import { grantFor } from './requesting.ts'
import { type AccessRules, rulingOn } from './rules.ts'
import { approvers, mayDecide, needsOfRequest } from './sight.ts'
import { isClean } from './terms.ts'

export interface Decided {
  readonly request: AccessRequest
  readonly approval: Approval | undefined
  /** `made` is new, `moved` is the one that the request prolongs. */
  readonly grant: { readonly type: 'made' | 'moved'; readonly grant: Grant } | undefined
  readonly changes: readonly Change[]
}

/** `prolonged` is the grant that the request prolongs. @throws Failure forbidden, conflict */
export function approve(
  rules: AccessRules,
  stored: StoredRequest,
  prolonged: Grant | undefined,
  by: Identity,
  comment: string | undefined,
  now: number,
): Decided {
  const { request } = stored
  checkDecider(rules, stored, by, now)
  checkStillAllowed(rules, request)
  const approval = approvalOf(request, by, 'approve', comment, now)
  const actor = actorOf(by)
  const missing = unfilled(needsOfRequest(rules, request), [...approvers(stored), by])
  if (missing.length > 0) {
    const names = missing.map((need) => need.function)
    const change = {
      type: 'request.endorsed',
      request,
      by: actor,
      comment,
      missing: names,
    } as const
    return { request, approval, grant: undefined, changes: [change] }
  }
  if (request.extends === undefined) {
    const grant = grantFor(rules, request, now)
    const approved = decided(request, 'approved', now, grant.id)
    const change = {
      type: 'request.approved',
      request: approved,
      grant,
      by: actor,
      comment,
    } as const
    return { request: approved, approval, grant: { type: 'made', grant }, changes: [change] }
  }
  const { endsAt: endedAt, ...held } = prolongable(rules, request, prolonged, now)
  const grant = { ...held, endsAt: endedAt + request.durationMs }
  const approved = decided(request, 'approved', now, grant.id)
  const { reason } = request
  return {
    request: approved,
    approval,
    grant: { type: 'moved', grant },
    changes: [
      { type: 'request.approved', request: approved, grant, by: actor, comment },
      { type: 'grant.extended', grant, by: actor, reason, endedAt },
    ],
  }
}

/** @throws Failure forbidden, conflict */
export function deny(
  rules: AccessRules,
  stored: StoredRequest,
  by: Identity,
  comment: string | undefined,
  now: number,
): Decided {
  checkDecider(rules, stored, by, now)
  const request = decided(stored.request, 'denied', now)
  return {
    request,
    approval: approvalOf(request, by, 'deny', comment, now),
    grant: undefined,
    changes: [{ type: 'request.denied', request, by: actorOf(by), comment }],
  }
}

/** @throws Failure forbidden, conflict */
export function withdraw(stored: StoredRequest, by: Identity, now: number): Decided {
  if (by.principal !== stored.request.principal) {
    throw new Failure('forbidden', { message: 'a request is withdrawn by whoever made it' })
  }
  checkPending(stored, now)
  const request = decided(stored.request, 'withdrawn', now)
  const change = { type: 'request.withdrawn', request, by: actorOf(by) } as const
  return { request, approval: undefined, grant: undefined, changes: [change] }
}

/** Its time is over. */
export function expire(pending: AccessRequest, now: number): Decided {
  const request = decided(pending, 'expired', now)
  const change = { type: 'request.expired', request, by: byClock } as const
  return { request, approval: undefined, grant: undefined, changes: [change] }
}

/** As it is at this moment: one whose time is over is expired before the clock's round has come to it. */
export function requestAt(request: AccessRequest, now: number): AccessRequest {
  return request.state === 'pending' && now >= request.expiresAt
    ? decided(request, 'expired', request.expiresAt)
    : request
}

/** Which of the reasons that keep somebody from deciding holds, most telling first. */
function checkDecider(rules: AccessRules, stored: StoredRequest, by: Identity, now: number): void {
  const { request, approvals } = stored
  if (by.kind === 'service') forbid('a program decides on no request')
  if (!by.scopes.has('approve')) forbid('this credential is not for deciding on requests')
  if (isSamePerson(by.principal, request.principal)) {
    forbid('nobody decides on a request of their own', {
      hint: `To take it back: pgwarden withdraw ${request.id}`,
    })
  }
  checkPending(stored, now)
  const own = approvals.find(({ approver }) => isSamePerson(approver, by.principal))
  if (own !== undefined) {
    conflict(request, 'you have approved this request already', said(own))
  }
  if (mayDecide(rules, by, stored)) return
  const needs = needsOfRequest(rules, request)
  if (!couldFill(needs, by)) {
    const groups = needs.flatMap((need) => need.groups)
    forbid('you are in none of the groups that decide on this request', {
      detail: `Those are ${[...new Set(groups)].join(', ')}.`,
    })
  }
  const missing = unfilled(needs, approvers(stored)).map((need) => need.function)
  conflict(
    request,
    'what you could approve is approved already',
    `${approvals.map(said).join(' ')} Only ${missing.join(', ')} is missing.`,
  )
}

function checkPending({ request: stored, approvals }: StoredRequest, now: number): void {
  const request = requestAt(stored, now)
  if (request.state === 'pending') return
  conflict(request, `the request is ${request.state}`, whatHappened(request, approvals))
}

function whatHappened(request: AccessRequest, approvals: readonly Approval[]): string {
  const at = new Date(request.decidedAt ?? request.expiresAt).toISOString()
  switch (request.state) {
    case 'approved':
    case 'denied': {
      const words = approvals.map(said).join(' ')
      return words === '' ? `The rules approved it at ${at}.` : words
    }
    case 'withdrawn':
      return `${request.principal} withdrew it at ${at}.`
    case 'expired':
      return `It expired at ${at}, and had not been decided.`
    case 'pending':
      return 'It is pending.'
  }
}

function said({ approver, decision, at }: Approval): string {
  const verb = decision === 'approve' ? 'approved' : 'denied'
  return `${approver} ${verb} it at ${new Date(at).toISOString()}.`
}

/** Rules may have become stricter since it was asked for, and targets and roles have gone. */
function checkStillAllowed(rules: AccessRules, request: AccessRequest): void {
  const ruling = rulingOn(rules, request, request.target, request.role)
  if (ruling.type === 'rule' && request.durationMs <= ruling.rule.longestMs) return
  conflict(
    request,
    'the rules have changed since this was asked for',
    `They do not give ${request.principal} ${request.role} on ${request.target} for that long any more.`,
  )
}

/** The grant that is to end later. @throws Failure conflict */
function prolongable(
  rules: AccessRules,
  request: AccessRequest,
  grant: Grant | undefined,
  now: number,
): Grant {
  if (grant === undefined)
    throw new Error(`request ${request.id} prolongs a grant that is not there`)
  const state = standing(grant, now)
  if (state === 'revoked' || state === 'expired') {
    const at = new Date(grant.revokedAt ?? grant.endsAt).toISOString()
    const how = state === 'revoked' ? 'was revoked' : 'ended'
    conflict(request, 'the grant is over', `Grant ${grant.id} ${how} at ${at}.`)
  }
  const longest = rules.roles.get(grant.role)?.longestMs ?? 0
  if (grant.endsAt + request.durationMs - grant.startsAt > longest) {
    conflict(request, 'the grant would last longer than the rules allow now', 'Deny the request.')
  }
  return grant
}

function decided(
  request: AccessRequest,
  state: Exclude<AccessRequest['state'], 'pending'>,
  decidedAt: number,
  grantId?: string,
): AccessRequest {
  return { ...request, state, decidedAt, grantId }
}

function approvalOf(
  { id: requestId }: AccessRequest,
  { principal: approver, groups: all }: Identity,
  decision: Approval['decision'],
  comment: string | undefined,
  at: number,
): Approval {
  return { requestId, approver, groups: all.filter(isClean), decision, comment, at }
}

function forbid(message: string, more: Omit<FailureText, 'message'> = {}): never {
  throw new Failure('forbidden', { message, ...more })
}

function conflict({ id }: AccessRequest, message: string, detail: string): never {
  const hint = `Look at it again with: pgwarden requests ${id}`
  throw new Failure('conflict', { message, detail, hint })
}
