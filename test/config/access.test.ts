import { describe, expect, it } from 'vitest'
import type { AccessRules } from '../../src/access/rules.ts'
import { parseConfig } from '../../src/config/config.ts'
import { Failure } from '../../src/errors.ts'

const hour = 3_600_000
const approvers = 'approvers: { manager: [managers], ciso: [security], dba: [dbas] }'

function rules(access: readonly string[], shop: readonly string[] = []): AccessRules {
  const section = ['access:', ...access.map((line) => `  ${line}`)]
  const text = `store: { url: 'postgres://a:b@c/d' }
journal: { directory: journal }
roles: { agent: { includes: [read_only] } }
${access.length === 0 ? '' : section.join('\n')}
targets:
  shop:
    host: db.internal
    database: shop
${shop.map((line) => `    ${line}\n`).join('')}    credentials:
      broker:
        user: u
        password: p
        owned: drop
        creation: { read_only: [A], read_full_write: [A], agent: [A], admin: [A] }
`
  return parseConfig(text, 'pgwarden.yaml', {}).access
}

function complaint(access: readonly string[], shop: readonly string[] = []): string {
  try {
    rules(access, shop)
  } catch (error) {
    if (error instanceof Failure) return error.detail ?? error.message
    throw error
  }
  return ''
}

describe('rules of access', () => {
  it('are the usual ones where the file says no more than who approves', () => {
    const { roles, targets, defaultMs, pendingMs, longestMs } = rules([approvers])
    expect([defaultMs, pendingMs, longestMs]).toEqual([24 * hour, 8 * hour, 720 * hour])
    expect(Object.fromEntries(roles)).toMatchObject({
      read_only: {
        approvals: ['manager'],
        automatic: { upToMs: 24 * hour, production: false },
        services: true,
      },
      read_limited_write: { approvals: ['manager'], automatic: undefined, services: true },
      read_full_write: { approvals: ['manager', 'ciso'], automatic: undefined },
      admin: { approvals: ['ciso', 'dba'], automatic: undefined, services: false },
    })
    // A role of the operator's own cannot be asked for without a rule.
    expect(roles.has('agent')).toBe(false)
    expect(targets.get('shop')?.roles).toEqual(['read_only', 'read_full_write', 'agent', 'admin'])
  })

  it('replace a role’s default key by key, take a role away, and give one to a role of one’s own', () => {
    const { roles } = rules([
      approvers,
      'rules:',
      '  read_only: { automatic: off, longest: 4h }',
      '  admin: off',
      '  agent: { approvals: [manager], requesters: [agents] }',
    ])
    expect(roles.get('read_only')).toEqual({
      ...{ approvals: ['manager'], automatic: undefined, services: true },
      ...{ longestMs: 4 * hour, requesters: undefined },
    })
    expect(roles.has('admin')).toBe(false)
    expect(roles.get('agent')).toMatchObject({ approvals: ['manager'], requesters: ['agents'] })
  })

  it('let nobody ask for anything where there are none', () => {
    expect(rules([]).roles.size).toBe(0)
  })

  it.each<[string, readonly string[], readonly string[], string]>([
    [
      'a role that is not there',
      [approvers, 'rules: { readonly: { approvals: [manager] } }'],
      [],
      'pgwarden.yaml:6:12: access.rules.readonly: there is no such role',
    ],
    [
      'a role of one’s own without approvals',
      [approvers, 'rules: { agent: { longest: 8h } }'],
      [],
      'access.rules.agent: missing: approvals, a list of who must approve',
    ],
    [
      'approvals by nobody',
      [approvers, 'rules: { agent: { approvals: [] } }'],
      [],
      'access.rules.agent.approvals: expected at least one',
    ],
    [
      'one approval twice',
      [approvers, 'rules: { agent: { approvals: [dba, dba] } }'],
      [],
      'access.rules.agent.approvals: names one twice',
    ],
    [
      'a default that is longer than the longest',
      [approvers, 'longest: 8h'],
      [],
      'access.defaultDuration: longer than access.longest allows',
    ],
    [
      'a role that lasts longer than the longest',
      [approvers, 'longest: 24h', 'rules: { admin: { longest: 2d } }'],
      [],
      'access.rules.admin.longest: longer than access.longest allows',
    ],
    [
      'an automatic grant that lasts longer than any may',
      [approvers, 'longestUnapproved: 1h', 'rules: { admin: { automatic: { upTo: 2h } } }'],
      [],
      'access.rules.admin.automatic.upTo: longer than access.longestUnapproved allows',
    ],
    [
      'an automatic grant of more than a day',
      [approvers, 'rules: { read_only: { automatic: { upTo: 25h } } }'],
      [],
      'access.rules.read_only.automatic.upTo: expected a duration from 1m to 24h, like 1m',
    ],
    [
      'a rule that is none',
      [approvers, 'rules: { admin: never }'],
      [],
      'access.rules.admin: expected off or a mapping',
    ],
    [
      'an unknown key in a rule',
      [approvers, 'rules: { admin: { automatic: { upTo: 1h, for: bob } } }'],
      [],
      'access.rules.admin.automatic.for: unknown key',
    ],
    [
      'a function that nobody fills',
      ['approvers: { manager: [managers], dba: [dbas] }', 'rules: { admin: off }'],
      [],
      'access.approvers: nobody could approve read_full_write on shop: give groups for ciso, or write rules: { read_full_write: off }',
    ],
    [
      'a function that nobody asks for',
      [approvers],
      ['approvers: { mangers: [x] }'],
      'targets.shop.approvers.mangers: no rule asks for it',
    ],
    [
      'a target’s part without the general one',
      [],
      ['production: true'],
      'targets.shop.production: means nothing without a section access, which says how one asks for access',
    ],
  ])('are refused with %s', (_, access, shop, message) => {
    expect(complaint(access, shop)).toContain(message)
  })

  it('do without a general approver where the target has its own', () => {
    const general = 'approvers: { manager: [managers], ciso: [security] }'
    expect(complaint([general], ['approvers: { dba: [shop-dbas] }'])).toBe('')
  })
})
