// Rules of access for tests, and people: alice develops, bob manages, carol is the security officer, dave looks
// after databases, erin is manager and security officer at once, etl is a program.

import type { Identity, Scope } from '../../src/access/identity.ts'
import type { AccessRules, ApprovalRule } from '../../src/access/rules.ts'

const hour = 3_600_000
export const day = 24 * hour

const rule: ApprovalRule = {
  approvals: ['manager'],
  automatic: undefined,
  services: true,
  longestMs: 30 * day,
  requesters: undefined,
}

export const accessRules: AccessRules = {
  roles: new Map<string, ApprovalRule>([
    ['read_only', { ...rule, automatic: { upToMs: day, production: false } }],
    ['read_limited_write', rule],
    ['read_full_write', { ...rule, approvals: ['manager', 'ciso'] }],
    ['admin', { ...rule, approvals: ['ciso', 'dba'], services: false }],
    ['agent', { ...rule, longestMs: 8 * hour, requesters: ['agents'] }],
  ]),
  targets: new Map([
    ['shop', { production: true, approvers: new Map(), requesters: undefined, roles: allRoles() }],
    ['lab', { production: false, approvers: new Map(), requesters: undefined, roles: allRoles() }],
    [
      'vault',
      {
        production: true,
        approvers: new Map([['manager', ['vault-owners']]]),
        requesters: ['finance'],
        roles: ['read_only'],
      },
    ],
  ]),
  teams: new Map([['payments', new Map([['manager', ['payments-leads']]])]]),
  approvers: new Map([
    ['manager', ['managers']],
    ['ciso', ['security']],
    ['dba', ['dbas']],
  ]),
  defaultMs: day,
  longestUnapprovedMs: day,
  longestMs: 30 * day,
  pendingMs: 8 * hour,
  administrators: ['admins'],
  auditors: ['auditors'],
  claims: ['uid'],
}

function allRoles(): readonly string[] {
  return ['read_only', 'read_limited_write', 'read_full_write', 'admin', 'agent']
}

/** Somebody in these groups, with every scope. */
export function person(principal: string, ...groups: readonly string[]): Identity {
  return {
    principal,
    kind: 'person',
    groups,
    claims: {},
    scopes: new Set<Scope>(['access', 'approve', 'administer', 'audit']),
    via: 'oidc',
    expiresAt: Number.MAX_SAFE_INTEGER,
  }
}

export const people = {
  alice: person('alice', 'developers'),
  bob: person('bob', 'managers'),
  bert: person('bert', 'managers'),
  carol: person('carol', 'security'),
  dave: person('dave', 'dbas'),
  erin: person('erin', 'managers', 'security'),
  root: person('root', 'admins'),
  judy: person('judy', 'auditors'),
  stranger: person('stranger'),
  etl: { ...person('etl', 'agents'), kind: 'service' },
} as const satisfies Record<string, Identity>
