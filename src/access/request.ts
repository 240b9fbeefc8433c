// An access request and what becomes of it: pending -> approved | denied | withdrawn | expired.

import type { Claims, RelationRules } from './access.ts'
import type { PrincipalKind } from './identity.ts'

export type RequestState = 'pending' | 'approved' | 'denied' | 'withdrawn' | 'expired'

export interface AccessRequest {
  readonly id: string
  readonly principal: string
  readonly kind: PrincipalKind
  /** The principal's, when it asked: they say whose team it is in. */
  readonly groups: readonly string[]
  readonly target: string
  readonly role: string
  readonly reason: string
  readonly durationMs: number
  /** Milliseconds since the epoch; undefined: when it is approved. */
  readonly startsAt: number | undefined
  readonly relations: RelationRules | undefined
  readonly claims: Claims
  /** The grant that it would prolong. */
  readonly extends: string | undefined
  readonly createdAt: number
  /** A request that is still pending then is expired. */
  readonly expiresAt: number
  readonly state: RequestState
  readonly decidedAt: number | undefined
  /** What it became, or what it prolonged. */
  readonly grantId: string | undefined
}

/** One person's word on a request. */
export interface Approval {
  readonly requestId: string
  readonly approver: string
  /** The approver's, when it decided. */
  readonly groups: readonly string[]
  readonly decision: 'approve' | 'deny'
  readonly comment: string | undefined
  readonly at: number
}
