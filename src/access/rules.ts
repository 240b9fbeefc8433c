// Who may ask for which role on which target, who must approve it, and what needs no approval: the rules of
// the configuration, and what follows from them for a request. Ignorant of what was decided so far
// (approval.ts) and of how the rules are written.

/** What a role needs. Times in milliseconds. */
export interface ApprovalRule {
  /** Names of approver functions, each of which must be filled by another person; at least one. */
  readonly approvals: readonly string[]
  /** What is granted with nobody's approval; undefined: nothing. */
  readonly automatic: { readonly upToMs: number; readonly production: boolean } | undefined
  /** Whether programs may have it. */
  readonly services: boolean
  readonly longestMs: number
  /** Groups that may ask for it; undefined: everybody. */
  readonly requesters: readonly string[] | undefined
}

export interface TargetRules {
  readonly production: boolean
  /** Groups by approver function, in the place of the team's and the general ones. */
  readonly approvers: ReadonlyMap<string, readonly string[]>
  /** Groups that may ask for it; undefined: everybody. */
  readonly requesters: readonly string[] | undefined
  /** The roles that one can log in with there. */
  readonly roles: readonly string[]
}

export interface AccessRules {
  readonly roles: ReadonlyMap<string, ApprovalRule>
  readonly targets: ReadonlyMap<string, TargetRules>
  /** By group of the requester: groups by approver function. */
  readonly teams: ReadonlyMap<string, ReadonlyMap<string, readonly string[]>>
  /** Groups by approver function. */
  readonly approvers: ReadonlyMap<string, readonly string[]>
  readonly defaultMs: number
  /** No automatic grant lasts longer, whatever its role's rule says. */
  readonly longestUnapprovedMs: number
  readonly longestMs: number
  readonly pendingMs: number
  /** Groups. */
  readonly administrators: readonly string[]
  readonly auditors: readonly string[]
  /** Names of the claims that sessions need. */
  readonly claims: readonly string[]
}
