// What the desk asks of the store. Ignorant of SQL. Inside a transaction the objects that are about to
// change are locked first, a request before its grant, so that two can meet and none can wait for the
// other in a circle.

import type { Grant } from './access.ts'
import type { ApiKey, StoredApiKey } from './api-key.ts'
import type { Change } from './change.ts'
import type { AccessRequest, Approval, RequestState } from './request.ts'
import type { TokenRecord } from './token.ts'

export interface StoredRequest {
  readonly request: AccessRequest
  /** In the order in which they were given. */
  readonly approvals: readonly Approval[]
  readonly grant: Grant | undefined
}

export interface StoredGrant {
  readonly grant: Grant
  /** The holder's, when it asked; empty for a grant that nobody asked for. */
  readonly groups: readonly string[]
  readonly openLeases: number
}

/** Where the page before ended. */
export interface Position {
  readonly at: number
  readonly id: string
}

/** Rows of the principal's own, and of these roles on these targets. */
export interface Sight {
  readonly principal: string
  readonly approves: readonly { readonly target: string; readonly role: string }[]
}

interface Search {
  readonly principal: string | undefined
  readonly target: string | undefined
  readonly role: string | undefined
  /** Undefined: all. */
  readonly sight: Sight | undefined
  readonly now: number
  readonly limit: number
  readonly after: Position | undefined
}

export interface RequestSearch extends Search {
  readonly state: RequestState | undefined
}

export interface GrantSearch extends Search {
  readonly state: 'scheduled' | 'active' | 'revoked' | 'expired' | undefined
}

/** A change and the number of its row, which its audit record repeats. */
export interface NumberedChange {
  readonly number: number
  readonly change: Change
}

/** One transaction. What it locks is others' to change only when it is over. */
export interface DeskTransaction {
  lockRequest(id: string): Promise<StoredRequest | undefined>
  lockGrant(id: string): Promise<StoredGrant | undefined>
  /** How many requests of the principal are pending. Others of the same principal wait to be counted. */
  countPending(principal: string, now: number): Promise<number>
  /** How many grants the principal has that are not over. */
  countHeld(principal: string, now: number): Promise<number>
  /** The request that would prolong the grant, if one is pending or was not noted as expired yet. */
  pendingExtension(grantId: string): Promise<AccessRequest | undefined>
  /** Who revoked the grant, as far as changes tell. */
  revokedBy(grantId: string): Promise<string | undefined>
  /**
   * Pending requests whose time is over, or that would prolong a grant that was revoked; locked. Those that
   * others have locked are left to them.
   */
  lockOverdue(now: number, limit: number): Promise<readonly AccessRequest[]>
  /** Grants whose end was not told yet, locked, and noted as told. */
  lockEnded(now: number, limit: number): Promise<readonly Grant[]>
  /** Grants that end before `until`, which nobody asked to prolong, and whose holder was not warned; noted as warned. */
  lockEnding(now: number, until: number, limit: number): Promise<readonly Grant[]>
  insertRequest(request: AccessRequest): Promise<void>
  /** State, time of the decision, and what it became. */
  updateRequest(request: AccessRequest): Promise<void>
  insertApproval(approval: Approval): Promise<void>
  insertGrant(grant: Grant): Promise<void>
  /** Its end, and whether it is revoked. */
  updateGrant(grant: Grant): Promise<void>
  insertToken(token: TokenRecord): Promise<void>
  insertApiKey(key: StoredApiKey): Promise<void>
  /** The key, revoked; undefined when there is none, or it was revoked before. */
  revokeApiKey(id: string, now: number): Promise<ApiKey | undefined>
  /** The change's number. */
  insertChange(change: Change, at: number): Promise<number>
}

export interface DeskStore {
  /**
   * Commits what `work` has done, or nothing when it rejects.
   * @throws what `work` throws; Failure cannot_connect_now also when it is not known whether it was committed.
   */
  transaction<T>(work: (transaction: DeskTransaction) => Promise<T>): Promise<T>
  findRequest(id: string): Promise<StoredRequest | undefined>
  listRequests(search: RequestSearch): Promise<readonly StoredRequest[]>
  findGrant(id: string): Promise<StoredGrant | undefined>
  listGrants(search: GrantSearch): Promise<readonly StoredGrant[]>
}
