// What was changed in the control plane, by whom: written to the audit and to the store before it is true,
// told to those who want to know after. Ignorant of how it is written and told.

import type { Claims, Grant, TokenKind } from './access.ts'
import type { Identity, PrincipalKind, Scope } from './identity.ts'
import type { AccessRequest } from './request.ts'

/** Who did it. `pgwarden` itself, where a rule or the clock decided. */
export interface Actor {
  readonly principal: string
  /** Identity.via, `rule`, `clock` or `operator` (the command line beside the store). */
  readonly via: string
}

/** What time has brought about, and what the rules did by themselves. */
export const byClock: Actor = { principal: 'pgwarden', via: 'clock' }
export const byRule: Actor = { principal: 'pgwarden', via: 'rule' }

export function actorOf({ principal, via }: Identity): Actor {
  return { principal, via }
}

export type Change =
  | { readonly type: 'request.created'; readonly request: AccessRequest; readonly by: Actor }
  /** One of several who must approve has. */
  | {
      readonly type: 'request.endorsed'
      readonly request: AccessRequest
      readonly by: Actor
      readonly comment: string | undefined
      /** The approver functions that are still missing. */
      readonly missing: readonly string[]
    }
  | {
      readonly type: 'request.approved'
      readonly request: AccessRequest
      readonly grant: Grant
      readonly by: Actor
      readonly comment: string | undefined
    }
  | {
      readonly type: 'request.denied'
      readonly request: AccessRequest
      readonly by: Actor
      readonly comment: string | undefined
    }
  | { readonly type: 'request.withdrawn'; readonly request: AccessRequest; readonly by: Actor }
  | { readonly type: 'request.expired'; readonly request: AccessRequest; readonly by: Actor }
  | {
      readonly type: 'grant.extended'
      readonly grant: Grant
      readonly by: Actor
      readonly reason: string
      /** When it would have ended. */
      readonly endedAt: number
    }
  /** It ends soon, and nobody has asked for more. */
  | { readonly type: 'grant.ending'; readonly grant: Grant; readonly by: Actor }
  | {
      readonly type: 'grant.revoked'
      readonly grant: Grant
      readonly by: Actor
      readonly reason: string
    }
  | { readonly type: 'grant.expired'; readonly grant: Grant; readonly by: Actor }
  | {
      readonly type: 'token.issued'
      readonly grant: Grant
      readonly by: Actor
      readonly tokenId: string
      readonly kind: TokenKind
    }
  | {
      readonly type: 'session.ended'
      readonly grant: Grant
      readonly by: Actor
      readonly sessionId: string
      readonly reason: string
    }
  | {
      readonly type: 'login.locked'
      readonly by: Actor
      readonly principal: string
      readonly address: string
      readonly failures: number
      /** Milliseconds since the epoch. */
      readonly until: number
    }
  | {
      readonly type: 'login.unlocked'
      readonly by: Actor
      readonly principal: string
      readonly address: string
    }
  | {
      readonly type: 'key.created'
      readonly by: Actor
      readonly keyId: string
      readonly principal: string
      /** What it is good for. */
      readonly kind: PrincipalKind
      readonly groups: readonly string[]
      readonly scopes: readonly Scope[]
      readonly claims: Claims
      /** Milliseconds since the epoch. */
      readonly expiresAt: number
    }
  | {
      readonly type: 'key.revoked'
      readonly by: Actor
      readonly keyId: string
      readonly principal: string
    }
