// What a change of the configuration means to a session that lives: it goes on by the new terms, or ends
// because it has what they would not give it.

import { describe, expect, it } from 'vitest'
import type { Grant } from '../../src/access/access.ts'
import { usualRecording } from '../../src/audit/recording.ts'
import { Policy } from '../../src/policy/policy.ts'
import type { RoleDefinition } from '../../src/policy/roles.ts'
import type { Rulebook, Target } from '../../src/proxy/ports.ts'
import { LiveTerms } from '../../src/proxy/terms.ts'
import { heldBuffers } from '../support/held-memory.ts'
import { shop as anyShop, uncrowded, unlimited } from '../support/shop-target.ts'

const shop: Target = {
  ...anyShop,
  sessionContext: new Map([['app.user', [{ type: 'principal' }]]]),
}
const clerk: RoleDefinition = {
  name: 'clerk',
  commands: ['SELECT', 'INSERT', 'SET'],
  settings: ['harmless', 'limits'],
  limits: { statement_timeout: '30s' },
}
const grant: Grant = {
  id: 'g1',
  principal: 'alice',
  target: 'shop',
  role: 'clerk',
  startsAt: 0,
  endsAt: 2_000_000,
  revokedAt: undefined,
  reason: 'test',
  requestId: undefined,
  relations: undefined,
  claims: { team: 'blue' },
}

/** What the configuration says; without a role or a target it does not know it. */
interface Says {
  readonly role?: Partial<RoleDefinition>
  readonly target?: Partial<Target>
  readonly parameters?: 'full' | 'none'
}

function rulebook({ role = {}, target = {}, parameters = 'none' }: Says = {}): Rulebook {
  return {
    policy: new Policy([{ ...clerk, ...role }], { maxBytes: 1024 }),
    targets: new Map([[target.name ?? 'shop', { ...shop, ...target }]]),
    recording: () => ({ ...usualRecording, parameters }),
    maxStatementBytes: 1024,
    limits: uncrowded,
  }
}

/** A session that was opened while the configuration said one thing, and now it says another. */
function opened(says: Says = {}): {
  readonly terms: LiveTerms
  readonly changed: (says: Says) => void
} {
  const holder = { current: rulebook(says) }
  const terms = new LiveTerms(holder, holder.current, grant, undefined)
  const changed = (next: Says): void => {
    holder.current = rulebook(next)
  }
  return { terms, changed }
}

const text = (value: string): ReadonlyMap<string, readonly [{ type: 'text'; text: string }]> =>
  new Map([['app.user', [{ type: 'text', text: value }]]])

describe('a session ends when', () => {
  it.each<readonly [string, Says, Says, string]>([
    ['its target is gone', {}, { target: { name: 'other' } }, 'target that is no longer'],
    ['its role is gone', {}, { role: { name: 'other' } }, 'role that is no longer'],
    ['its target is another database', {}, { target: { database: 'x' } }, 'another database'],
    [
      'its target is on other servers alone',
      {},
      { target: { servers: [{ host: 'elsewhere', port: 5432 }] } },
      'another database',
    ],
    [
      'its target asks for a certificate that it has not shown',
      {},
      { target: { clientCertificate: 'required' } },
      'open only to clients that show one',
    ],
    ['its role is read-only now', {}, { role: { readOnly: true } }, 'is read-only now'],
    ['its role was read-only', { role: { readOnly: true } }, {}, 'not read-only any more'],
    [
      'it would be somebody else to the database',
      {},
      { target: { sessionContext: text('bob') } },
      'who it is would be others',
    ],
    [
      'it would be nobody to the database',
      {},
      { target: { sessionContext: new Map([['app.id', [{ type: 'claim', name: 'id' }]]]) } },
      'needs the claim "id"',
    ],
    [
      'a setting that says who it is was left to the client',
      { target: { sessionContext: new Map() } },
      {},
      'who it is would be others',
    ],
    [
      'a limit of its role is lower',
      {},
      { role: { limits: { statement_timeout: '29s' } } },
      'limit of its role for statement_timeout',
    ],
    [
      'its role has a limit that it had not',
      {},
      { role: { limits: { ...clerk.limits, work_mem: '4MB' } } },
      'limit of its role for work_mem',
    ],
    [
      'it may have set what its role may not set any more',
      {
        role: { settings: ['harmless', 'limits', 'app.*'] },
        target: { sessionContext: new Map() },
      },
      { target: { sessionContext: new Map() } },
      'may not change the settings app.*',
    ],
    [
      'it may have become another database role',
      { role: { settings: ['*'] }, target: { sessionContext: new Map() } },
      { target: { sessionContext: new Map() } },
      'is settled at login, and has changed',
    ],
    [
      'it may have made temporary views of what it may not read any more',
      { role: { commands: ['SELECT', 'CREATE VIEW'] } },
      { role: { commands: ['SELECT', 'CREATE VIEW'], relations: { deny: ['hr.*'] } } },
      'may have made temporary views',
    ],
    ...['DO', 'CREATE FUNCTION', 'CREATE PROCEDURE'].map(
      (command): readonly [string, Says, Says, string] => [
        `it may have prepared by ${command} what nobody saw`,
        {
          role: { commands: ['SELECT', command] },
          target: { sessionContext: new Map() },
        },
        { target: { sessionContext: new Map() } },
        'may not run code that no statement shows',
      ],
    ),
  ])('%s', (_, before, after, why) => {
    const { terms, changed } = opened(before)
    expect(terms.ended).toBeUndefined()
    changed(after)
    expect(terms.ended).toMatchObject({
      sqlstate: '57P01',
      message: "terminating connection due to a change of pgwarden's configuration",
      detail: expect.stringContaining(why) as unknown,
      hint: expect.stringContaining('Connect again') as unknown,
    })
    expect(() => terms.now).toThrow(terms.ended)
  })
})

describe('a session lives on when', () => {
  it.each<readonly [string, Says]>([
    ['nothing about it has changed', {}],
    ['its role may do less', { role: { commands: ['SELECT'] } }],
    ['its role may do more', { role: { commands: ['*'] } }],
    ['relations are kept from its role', { role: { relations: { deny: ['public.pay'] } } }],
    ['relations are kept from its target', { target: { sensitive: ['public.pay'] } }],
    ['a limit of its role is higher', { role: { limits: { statement_timeout: '1min' } } }],
    ['its role has no limit any more', { role: { limits: {} } }],
    ['its role may set more', { role: { settings: ['harmless', 'limits', 'planner'] } }],
    ['its target is known by other names', { target: { aliases: ['store'], serverNames: ['s'] } }],
    ['who it is comes to the same', { target: { sessionContext: text('alice') } }],
  ])('%s', (_, after) => {
    const { terms, changed } = opened()
    const before = terms.now
    changed(after)
    expect(terms.ended).toBeUndefined()
    expect(terms.now).not.toBe(before)
  })
})

describe('a session that lives on', () => {
  it('is judged by the new rules', () => {
    const { terms, changed } = opened()
    changed({ role: { commands: ['SELECT'] } })
    expect(terms.now.remit.may?.commands).toEqual(new Set(['SELECT']))
  })

  it('has the new limits of its time', () => {
    const { terms, changed } = opened()
    changed({ target: { limits: { ...unlimited, idleMs: 1000 } } })
    expect(terms.now.limits.idleMs).toBe(1000)
    changed({ role: { sessions: { ...unlimited, idleMs: 500 } } })
    expect(terms.now.limits.idleMs).toBe(500)
  })

  it('is recorded as it was from its beginning', () => {
    const { terms, changed } = opened()
    changed({ parameters: 'full' })
    expect(terms.opened.recording.parameters).toBe('none')
  })

  it('has the same terms until the configuration is replaced again', () => {
    const { terms, changed } = opened()
    changed({})
    expect(terms.now).toBe(terms.now)
  })

  it('ends when a limit comes back that was lifted while it ran something', () => {
    const { terms, changed } = opened()
    changed({ role: { limits: { statement_timeout: '1h' } } })
    expect(terms.ended).toBeUndefined()
    changed({})
    expect(terms.ended?.detail).toContain('statement_timeout')
  })
})

it('a session that had to end does not come back with the configuration', () => {
  const { terms, changed } = opened()
  changed({ role: { readOnly: true } })
  const { ended } = terms
  expect(ended).toBeDefined()
  changed({})
  expect(terms.ended).toBe(ended)
})

it('a login that began under another configuration opens nothing that this one would not', () => {
  const [before, after] = [rulebook(), rulebook({ role: { readOnly: true } })]
  const terms = new LiveTerms({ current: after }, before, grant, undefined)
  expect(() => terms.now).toThrow(terms.ended)
  expect(terms.ended?.detail).toContain('read-only')
})

it('a session does not keep in memory the policy of a configuration that it has lived through', async () => {
  const { terms, changed } = opened()
  const before = new WeakRef(terms.now.policy)
  changed({})
  expect(terms.ended).toBeUndefined()
  await heldBuffers()
  expect(before.deref()).toBeUndefined()
})
