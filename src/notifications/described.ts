// A change as programs are told it: JSON in the words of the API, times as RFC 3339, durations in seconds.
// What the identity provider says of the requester stays here: groups and claims are nobody's business.
// Ignorant of who is told, and how.

import type { Grant } from '../access/access.ts'
import type { Change } from '../access/change.ts'
import type { AccessRequest } from '../access/request.ts'
import type { Need } from '../access/rules.ts'
import type { Delivery, Surroundings } from './ports.ts'

type Json = Readonly<Record<string, unknown>>

/** `{ type, timestamp, data }`, as Standard Webhooks has it. A member that is undefined is left out. */
export function described({ change, at, isPending }: Delivery, { url, needs }: Surroundings): Json {
  const asked = 'request' in change ? change.request : undefined
  return {
    type: change.type,
    timestamp: time(at),
    data: {
      by: change.by,
      ...dataOf(change, needs),
      // Only while there is something to decide.
      decide: asked && isPending ? decisions(asked.id) : undefined,
      url: linkTo(change, url),
    },
  }
}

/** What an approver runs. */
export function decisions(requestId: string): { readonly approve: string; readonly deny: string } {
  return { approve: `pgwarden approve ${requestId}`, deny: `pgwarden deny ${requestId}` }
}

/** Where the API shows what was changed. */
export function linkTo(change: Change, url: string | undefined): string | undefined {
  if (url === undefined) return undefined
  const base = `${url.replace(/\/+$/, '')}/api/v1`
  if ('request' in change) return `${base}/requests/${change.request.id}`
  return 'grant' in change ? `${base}/grants/${change.grant.id}` : undefined
}

/** Who must approve it; nobody where the rules have, at once. */
export function missingOf(request: AccessRequest, needs: Surroundings['needs']): readonly Need[] {
  return request.state === 'pending' ? needs(request) : []
}

/** Those of the needs that nobody has met. */
export function stillMissing(missing: readonly string[], needs: readonly Need[]): readonly Need[] {
  return missing.map(
    (name) => needs.find((need) => need.function === name) ?? { function: name, groups: [] },
  )
}

function dataOf(change: Change, needs: Surroundings['needs']): Json {
  switch (change.type) {
    case 'request.created':
      return { request: requestOf(change.request), missing: missingOf(change.request, needs) }
    case 'request.endorsed':
      return {
        request: requestOf(change.request),
        comment: change.comment,
        missing: stillMissing(change.missing, needs(change.request)),
      }
    case 'request.approved':
      return {
        request: requestOf(change.request),
        grant: grantOf(change.grant),
        comment: change.comment,
      }
    case 'request.denied':
      return { request: requestOf(change.request), comment: change.comment }
    case 'request.withdrawn':
    case 'request.expired':
      return { request: requestOf(change.request) }
    case 'grant.extended':
      return {
        grant: grantOf(change.grant),
        reason: change.reason,
        endedAt: time(change.endedAt),
      }
    case 'grant.ending':
    case 'grant.expired':
      return { grant: grantOf(change.grant) }
    case 'grant.revoked':
      return { grant: grantOf(change.grant), reason: change.reason }
    case 'token.issued':
      return { grant: grantOf(change.grant), token: { id: change.tokenId, kind: change.kind } }
    case 'session.ended':
      return {
        grant: grantOf(change.grant),
        session: { id: change.sessionId },
        reason: change.reason,
      }
    case 'login.locked':
      return {
        login: { principal: change.principal, address: change.address },
        failures: change.failures,
        until: time(change.until),
      }
    case 'login.unlocked':
      return { login: { principal: change.principal, address: change.address } }
    case 'key.created':
    case 'key.revoked':
      return { key: { id: change.keyId, principal: change.principal } }
  }
}

function requestOf(request: AccessRequest): Json {
  const { id, principal, kind, target, role, reason, durationMs, relations, state } = request
  return {
    id,
    principal,
    kind,
    target,
    role,
    reason,
    durationSeconds: durationMs / 1_000,
    startsAt: time(request.startsAt),
    relations,
    extends: request.extends,
    state,
    createdAt: time(request.createdAt),
    expiresAt: time(request.expiresAt),
    decidedAt: time(request.decidedAt),
    grantId: request.grantId,
  }
}

function grantOf(grant: Grant): Json {
  const { id, principal, target, role, reason, requestId, relations } = grant
  return {
    id,
    principal,
    target,
    role,
    reason,
    startsAt: time(grant.startsAt),
    endsAt: time(grant.endsAt),
    revokedAt: time(grant.revokedAt),
    requestId,
    relations,
  }
}

function time(at: number | undefined): string | undefined {
  return at === undefined ? undefined : new Date(at).toISOString()
}
