// The desk: everything that people and programs do to requests and grants, and what they are shown of them.
// Every operation asks first whether it is theirs to do. Ignorant of how they call (api/) and of SQL.

import type { Grant, RelationRules, TokenKind } from './access.ts'
import type { Identity } from './identity.ts'
import type { AccessRequest, Approval, RequestState } from './request.ts'
import type { Need } from './rules.ts'
import type { IssuedToken } from './token.ts'

export interface RequestTerms {
  readonly target: string
  readonly role: string
  readonly reason: string
  /** The configured default when it is not said. */
  readonly durationMs?: number | undefined
  /** Milliseconds since the epoch; when it is approved, if it is not said. */
  readonly startsAt?: number | undefined
  readonly relations?: RelationRules | undefined
}

export interface RequestView {
  readonly request: AccessRequest
  readonly approvals: readonly Approval[]
  /** Empty when it is decided. */
  readonly missing: readonly Need[]
  /** Whether who looks at it may approve or deny it now. */
  readonly mayDecide: boolean
  /** What it became, or what it prolonged. */
  readonly grant: Grant | undefined
}

export type GrantState = 'scheduled' | 'active' | 'revoked' | 'expired'

export interface GrantView {
  readonly grant: Grant
  readonly state: GrantState
  /** Logins issued on it that are not known to be gone. */
  readonly openLeases: number
}

interface WantedRequests {
  readonly state?: RequestState | undefined
  readonly principal?: string | undefined
  readonly target?: string | undefined
  readonly role?: string | undefined
  /** Only those that who asks may decide now. */
  readonly decidable?: boolean | undefined
  readonly limit: number
  /** Page.next of the page before. */
  readonly after?: string | undefined
}

interface WantedGrants {
  readonly state?: GrantState | undefined
  readonly principal?: string | undefined
  readonly target?: string | undefined
  readonly role?: string | undefined
  readonly limit: number
  readonly after?: string | undefined
}

/** Newest first. A page may be shorter than its limit and still have a next one. */
export interface Page<T> {
  readonly items: readonly T[]
  readonly next: string | undefined
}

export type Extension =
  | { readonly type: 'extended'; readonly grant: Grant }
  | { readonly type: 'requested'; readonly view: RequestView }

export interface RequestableRole {
  readonly name: string
  readonly needs: readonly Need[]
  /** Up to here nobody has to approve it; undefined: somebody always has. */
  readonly automaticMs: number | undefined
  readonly longestMs: number
}

interface RequestableTarget {
  readonly name: string
  readonly production: boolean
  readonly roles: readonly RequestableRole[]
}

/**
 * Throws a Failure: invalid_parameter for terms that cannot be, not_found also for what is not theirs to
 * see, forbidden for what is not theirs to do, conflict with what happened when it cannot be done any
 * more, too_many_requests, journal_unavailable and cannot_connect_now when nothing can be done now.
 */
export interface Desk {
  /** May come back approved, where the rules ask for nobody's approval. */
  request(by: Identity, terms: RequestTerms): Promise<RequestView>
  /** The request stays pending while others must approve it as well. */
  approve(by: Identity, id: string, comment: string | undefined): Promise<RequestView>
  deny(by: Identity, id: string, comment: string | undefined): Promise<RequestView>
  /** Only who asked can. */
  withdraw(by: Identity, id: string): Promise<RequestView>
  findRequest(by: Identity, id: string): Promise<RequestView>
  listRequests(by: Identity, wanted: WantedRequests): Promise<Page<RequestView>>
  findGrant(by: Identity, id: string): Promise<GrantView>
  listGrants(by: Identity, wanted: WantedGrants): Promise<Page<GrantView>>
  /** Only the holder can. `durationMs` comes on top; what the rules do not give at once becomes a request. */
  extend(by: Identity, id: string, terms: ExtensionTerms): Promise<Extension>
  /** The holder, an administrator, or who could approve that role on that target. Resolves when it is true and told. */
  revoke(by: Identity, id: string, reason: string): Promise<Grant>
  /** Only the holder can. */
  issueToken(by: Identity, grantId: string, kind: TokenKind): Promise<TokenOfGrant>
  /** What they may ask for. */
  requestable(by: Identity): readonly RequestableTarget[]
  /** The same by role, whatever the target. */
  roles(by: Identity): readonly RequestableRole[]
}

export interface ExtensionTerms {
  readonly durationMs: number
  readonly reason: string
}

export interface TokenOfGrant {
  readonly token: IssuedToken
  readonly grant: Grant
}
