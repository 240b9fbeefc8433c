// Changes to tell of, for tests of how they are told.

import type { Grant } from '../../src/access/access.ts'
import type { Actor, Change } from '../../src/access/change.ts'
import type { AccessRequest } from '../../src/access/request.ts'
import type { Delivery, Surroundings } from '../../src/notifications/ports.ts'

export const start = Date.UTC(2026, 0, 1, 9)
const hour = 3_600_000

export const alice: Actor = { principal: 'alice', via: 'oidc' }
export const bob: Actor = { principal: 'bob', via: 'oidc' }

export const request: AccessRequest = {
  id: 'reqaaaaaaaaaaaaa',
  principal: 'alice',
  kind: 'person',
  groups: ['developers'],
  target: 'shop',
  role: 'read_full_write',
  reason: 'repair order 4711',
  durationMs: 4 * hour,
  startsAt: undefined,
  relations: undefined,
  claims: { uid: '42' },
  extends: undefined,
  createdAt: start,
  expiresAt: start + 8 * hour,
  state: 'pending',
  decidedAt: undefined,
  grantId: undefined,
}

export const grant: Grant = {
  id: 'graaaaaaaaaaaaaa',
  principal: 'alice',
  target: 'shop',
  role: 'read_full_write',
  startsAt: start,
  endsAt: start + 4 * hour,
  revokedAt: undefined,
  reason: 'repair order 4711',
  requestId: request.id,
  relations: undefined,
  claims: { uid: '42' },
}

export const surroundings: Surroundings = {
  url: 'https://pgwarden.example',
  needs: () => [
    { function: 'manager', groups: ['managers'] },
    { function: 'ciso', groups: ['security'] },
  ],
}

export function deliveryOf(change: Change, more: Partial<Delivery> = {}): Delivery {
  return {
    channel: 'any',
    changeId: '17',
    change,
    at: start,
    tries: 1,
    isPending: change.type === 'request.created' || change.type === 'request.endorsed',
    ...more,
  }
}
