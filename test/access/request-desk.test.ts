import { describe, expect, it } from 'vitest'
import type { RequestTerms } from '../../src/access/desk.ts'
import type { Identity } from '../../src/access/identity.ts'
import type { AccessRules } from '../../src/access/rules.ts'
import { Failure } from '../../src/errors.ts'
import { accessRules, day, people, person } from '../support/access-rules.ts'
import { failureOf, memoryDesk } from '../support/memory-desk.ts'

const hour = 3_600_000
const { alice, bob, bert, carol, dave, erin, root, judy, stranger, etl } = people

const look: RequestTerms = { target: 'lab', role: 'read_only', reason: ' wrong total in 1234 ' }
const repair: RequestTerms = { target: 'shop', role: 'read_full_write', reason: 'repair' }

describe('a request', () => {
  it('for reading what is not production is granted at once, for the default time', async () => {
    const { desk, clock, committed } = memoryDesk()
    const { request, grant, missing } = await desk.request(alice, look)
    expect(request).toMatchObject({ state: 'approved', reason: 'wrong total in 1234' })
    expect(missing).toEqual([])
    expect(grant).toMatchObject({
      principal: 'alice',
      requestId: request.id,
      startsAt: clock.now(),
      endsAt: clock.now() + day,
    })
    expect(committed.map(({ type, by }) => [type, by.principal, by.via])).toEqual([
      ['request.created', 'alice', 'oidc'],
      ['request.approved', 'pgwarden', 'rule'],
    ])
  })

  it.each<[string, Partial<RequestTerms>]>([
    ['on production', { target: 'shop' }],
    ['for more than 24 hours', { durationMs: day + 1_000 }],
    [
      'for a window that ends more than 24 hours from now',
      { startsAt: 20 * hour, durationMs: 5 * hour },
    ],
    ['to write', { role: 'read_limited_write' }],
  ])('%s waits for a manager', async (_, change) => {
    const { desk, clock } = memoryDesk()
    const startsAt = change.startsAt === undefined ? undefined : clock.now() + change.startsAt
    const { request, missing, grant } = await desk.request(alice, { ...look, ...change, startsAt })
    expect(request.state).toBe('pending')
    expect(grant).toBeUndefined()
    expect(missing).toEqual([{ function: 'manager', groups: ['managers'] }])
    expect(request.expiresAt).toBe(clock.now() + 8 * hour)
  })

  it('for a window later today is granted for that window', async () => {
    const { desk, clock } = memoryDesk()
    const startsAt = clock.now() + 20 * hour
    const { grant } = await desk.request(alice, { ...look, startsAt, durationMs: 4 * hour })
    expect(grant).toMatchObject({ startsAt, endsAt: startsAt + 4 * hour })
    expect((await desk.listGrants(alice, { limit: 1 })).items[0]?.state).toBe('scheduled')
  })

  it.each<[string, Identity, Partial<RequestTerms>, string]>([
    ['without a reason', alice, { reason: ' \t ' }, 'invalid_parameter'],
    ['with a reason of several lines', alice, { reason: 'a\nb' }, 'invalid_parameter'],
    ['with a line break of another kind', alice, { reason: 'a\u2028b' }, 'invalid_parameter'],
    ['with a reason read backwards', alice, { reason: 'a\u202eb' }, 'invalid_parameter'],
    ['with a reason without end', alice, { reason: 'a'.repeat(2_001) }, 'invalid_parameter'],
    ['for more than 30 days', alice, { durationMs: 30 * day + 1 }, 'invalid_parameter'],
    ['for no time', alice, { durationMs: 0 }, 'invalid_parameter'],
    ['for no number', alice, { durationMs: Number.NaN }, 'invalid_parameter'],
    ['from long ago', alice, { startsAt: 0 }, 'invalid_parameter'],
    ['from a time too far ahead', alice, { startsAt: Date.UTC(2026, 1, 2) }, 'invalid_parameter'],
    ['for a target that is not there', alice, { target: 'toString' }, 'invalid_parameter'],
    ['for a target of others', alice, { target: 'vault' }, 'invalid_parameter'],
    ['for a role that is not there', alice, { role: 'constructor' }, 'invalid_parameter'],
    ['for a role of others', alice, { role: 'agent' }, 'forbidden'],
    ['of a program for admin', etl, { role: 'admin' }, 'forbidden'],
    [
      'beyond the longest of the role',
      etl,
      { role: 'agent', durationMs: 9 * hour },
      'invalid_parameter',
    ],
    ['for one part of a name', alice, { relations: { read: ['orders'] } }, 'invalid_parameter'],
    [
      'for too many relations',
      alice,
      { relations: { deny: Array(101).fill('a.b') } },
      'invalid_parameter',
    ],
    ['of a name that cannot log in', person('a b'), {}, 'invalid_parameter'],
    [
      'with a credential for reading the audit',
      { ...alice, scopes: new Set(['audit']) },
      {},
      'forbidden',
    ],
  ])('%s is refused, and nothing is kept of it', async (_, by, change, code) => {
    const { desk, store, recorded } = memoryDesk()
    expect((await failureOf(desk.request(by, { ...look, ...change }))).code).toBe(code)
    expect(store.rows.requests.size).toBe(0)
    expect(recorded).toEqual([])
  })

  it('for a target of others is answered as one for none', async () => {
    const { desk } = memoryDesk()
    const tell = async (target: string) => {
      const { message, hint } = await failureOf(desk.request(alice, { ...look, target }))
      return `${message} ${hint}`.replace(target, '')
    }
    expect(await tell('vault')).toBe(await tell('vaults'))
  })

  it('keeps relations and those claims that sessions need', async () => {
    const { desk } = memoryDesk()
    const by = { ...alice, claims: { uid: '42', email: 'a@b' } }
    const relations = { read: ['shop.*', '*.prices'], deny: [] }
    const { grant } = await desk.request(by, { ...look, relations })
    expect(grant).toMatchObject({ claims: { uid: '42' }, relations })
  })

  it('of a team goes to the managers of that team, and the target’s own approvers go before them', async () => {
    const { desk } = memoryDesk()
    const pat = person('pat', 'payments', 'finance')
    const { request, missing } = await desk.request(pat, { ...look, target: 'shop' })
    expect(missing).toEqual([{ function: 'manager', groups: ['payments-leads'] }])
    expect((await failureOf(desk.approve(bob, request.id, undefined))).code).toBe('not_found')
    const vault = await desk.request(pat, { ...look, target: 'vault' })
    expect(vault.missing).toEqual([{ function: 'manager', groups: ['vault-owners'] }])
    await desk.approve(person('lee', 'payments-leads'), request.id, undefined)
  })
})

describe('an approval', () => {
  it('of all who must makes a grant from that moment on', async () => {
    const { desk, clock, committed } = memoryDesk()
    const { request } = await desk.request(alice, { ...repair, durationMs: 2 * hour })
    clock.wall += hour
    const first = await desk.approve(bob, request.id, ' fine ')
    expect(first.request.state).toBe('pending')
    expect(first.missing).toEqual([{ function: 'ciso', groups: ['security'] }])
    expect(first.mayDecide).toBe(false)
    const second = await desk.approve(carol, request.id, undefined)
    expect(second.grant).toMatchObject({ startsAt: clock.now(), endsAt: clock.now() + 2 * hour })
    expect(second.approvals).toMatchObject([
      { approver: 'bob', comment: 'fine', decision: 'approve' },
      { approver: 'carol', comment: undefined, decision: 'approve' },
    ])
    expect(committed.map(({ type }) => type)).toEqual([
      'request.created',
      'request.endorsed',
      'request.approved',
    ])
  })

  it('nobody gives to a request of their own, by whatever name', async () => {
    const { desk } = memoryDesk()
    const { request } = await desk.request(bob, repair)
    for (const by of [bob, { ...bob, principal: 'BOB', via: 'k1' }]) {
      const { code, message } = await failureOf(desk.approve(by, request.id, undefined))
      expect([code, message]).toEqual(['forbidden', 'nobody decides on a request of their own'])
    }
    expect((await desk.findRequest(bob, request.id)).mayDecide).toBe(false)
  })

  it('of one person counts once, also where they have both functions or come with an API key', async () => {
    const { desk } = memoryDesk()
    const { request } = await desk.request(alice, repair)
    await desk.approve(erin, request.id, undefined)
    for (const by of [erin, { ...erin, principal: 'Erin', via: 'k1' }]) {
      const { code, detail } = await failureOf(desk.approve(by, request.id, undefined))
      expect(code).toBe('conflict')
      expect(detail).toBe('erin approved it at 2026-01-02T03:04:05.678Z.')
    }
    const { grant } = await desk.approve(bob, request.id, undefined)
    expect(grant).toBeDefined()
  })

  it('of a second manager is not needed, and says who was first', async () => {
    const { desk } = memoryDesk()
    const { request } = await desk.request(alice, repair)
    await desk.approve(bob, request.id, undefined)
    const { code, detail } = await failureOf(desk.approve(bert, request.id, undefined))
    expect(code).toBe('conflict')
    expect(detail).toBe('bob approved it at 2026-01-02T03:04:05.678Z. Only ciso is missing.')
  })

  it.each<[string, Identity, string]>([
    ['of a database administrator to what managers decide on', dave, 'not_found'],
    ['of an administrator of pgwarden', root, 'forbidden'],
    ['of an auditor', judy, 'forbidden'],
    ['of a stranger', stranger, 'not_found'],
    ['of a program', { ...bob, kind: 'service' }, 'not_found'],
    ['with a credential that is not for it', { ...bob, scopes: new Set(['access']) }, 'not_found'],
    ['of a program that is an administrator', { ...root, kind: 'service' }, 'forbidden'],
  ])('%s is refused', async (_, by, code) => {
    const { desk } = memoryDesk()
    const { request } = await desk.request(alice, repair)
    expect((await failureOf(desk.approve(by, request.id, undefined))).code).toBe(code)
    expect((await failureOf(desk.deny(by, request.id, undefined))).code).toBe(code)
  })

  it.each(['approve', 'deny'] as const)(
    'is too late when the time is over, whoever has noted that: %s',
    async (word) => {
      const { desk, clock } = memoryDesk()
      const { request } = await desk.request(alice, repair)
      clock.wall += 8 * hour
      const { code, detail } = await failureOf(desk[word](bob, request.id, undefined))
      expect(code).toBe('conflict')
      expect(detail).toBe('It expired at 2026-01-02T11:04:05.678Z, and had not been decided.')
      expect((await desk.findRequest(alice, request.id)).request.state).toBe('expired')
      expect((await desk.listRequests(bob, { limit: 9, decidable: true })).items).toEqual([])
    },
  )

  it.each<[string, (rules: AccessRules) => AccessRules, string]>([
    ['the role is gone', (rules) => without(rules, 'read_full_write'), 'not_found'],
    [
      'the target is gone',
      (rules) => ({ ...rules, targets: new Map([...rules.targets].slice(1)) }),
      'not_found',
    ],
    ['it is for less time', (rules) => changed(rules, { longestMs: hour }), 'conflict'],
    ['it is for others', (rules) => changed(rules, { requesters: ['agents'] }), 'conflict'],
    [
      'the function has other groups',
      (rules) => ({ ...rules, approvers: new Map([['manager', ['chiefs']]]) }),
      'not_found',
    ],
  ])('is refused when by the rules of now %s', async (_, change, code) => {
    const { desk, under } = memoryDesk()
    const { request } = await desk.request(alice, repair)
    const failure = await failureOf(under(change(accessRules)).approve(bob, request.id, undefined))
    expect(failure.code).toBe(code)
  })

  it('given before the rules asked for more does not suffice any more', async () => {
    const { desk, under } = memoryDesk()
    const { request } = await desk.request(alice, { ...repair, role: 'read_limited_write' })
    const stricter = under(
      changed(accessRules, { approvals: ['manager', 'dba'] }, 'read_limited_write'),
    )
    expect((await stricter.approve(bob, request.id, undefined)).request.state).toBe('pending')
    expect((await stricter.approve(dave, request.id, undefined)).request.state).toBe('approved')
  })

  it('of a window that has begun gives the rest of it', async () => {
    const { desk, clock } = memoryDesk()
    const startsAt = clock.now() + hour
    const { request } = await desk.request(alice, {
      ...{ ...look, target: 'shop' },
      startsAt,
      durationMs: 2 * hour,
    })
    clock.wall = startsAt + hour
    const { grant } = await desk.approve(bob, request.id, undefined)
    expect(grant).toMatchObject({ startsAt: clock.now(), endsAt: startsAt + 2 * hour })
  })
})

describe('a decided request', () => {
  it('is not decided again, and says by whom it was', async () => {
    const { desk } = memoryDesk()
    const { request } = await desk.request(alice, repair)
    await desk.deny(carol, request.id, 'ask for less')
    for (const again of [
      desk.approve(bob, request.id, undefined),
      desk.deny(bob, request.id, undefined),
      desk.withdraw(alice, request.id),
    ]) {
      const { code, message, detail } = await failureOf(again)
      expect([code, message]).toEqual(['conflict', 'the request is denied'])
      expect(detail).toBe('carol denied it at 2026-01-02T03:04:05.678Z.')
    }
  })

  it('was withdrawn by whoever made it, and nobody else', async () => {
    const { desk } = memoryDesk()
    const { request } = await desk.request(alice, repair)
    expect((await failureOf(desk.withdraw(bob, request.id))).code).toBe('forbidden')
    expect((await failureOf(desk.withdraw(stranger, request.id))).code).toBe('not_found')
    expect((await desk.withdraw(alice, request.id)).request.state).toBe('withdrawn')
    const { detail } = await failureOf(desk.approve(bob, request.id, undefined))
    expect(detail).toBe('alice withdrew it at 2026-01-02T03:04:05.678Z.')
  })
})

describe('requests of others', () => {
  it('are shown to those who could approve them, administrators and auditors', async () => {
    const { desk } = memoryDesk()
    const { request } = await desk.request(alice, repair)
    const sees = async (by: Identity): Promise<readonly number[]> => {
      const found = await desk.findRequest(by, request.id).then(
        () => 1,
        (error: unknown) => (error instanceof Failure ? 0 : 9),
      )
      return [found, (await desk.listRequests(by, { limit: 9 })).items.length]
    }
    for (const by of [alice, bob, carol, root, judy]) expect(await sees(by)).toEqual([1, 1])
    for (const by of [dave, stranger, etl]) expect(await sees(by)).toEqual([0, 0])
  })

  it('that are not theirs to see leave no gap in a list, however many they are', async () => {
    const { desk } = memoryDesk()
    const lee = person('lee', 'payments-leads')
    const team = await desk.request(person('pat', 'payments'), { ...look, target: 'shop' })
    for (let count = 0; count < 1_200; count++) {
      await desk.request(person(`p${count}`), { ...look, target: 'shop' })
    }
    const found: string[] = []
    let after: string | undefined
    do {
      const page = await desk.listRequests(lee, { limit: 50, after })
      found.push(...page.items.map(({ request }) => request.id))
      after = page.next
    } while (after !== undefined)
    expect(found).toEqual([team.request.id])
  })

  it('are not found by a cursor that somebody made up', async () => {
    const { desk } = memoryDesk()
    const { code } = await failureOf(desk.listRequests(alice, { limit: 9, after: 'x' }))
    expect(code).toBe('invalid_parameter')
  })
})

describe('what one may ask for', () => {
  it('has the targets and roles of one’s groups, with who approves and how long', () => {
    const { desk } = memoryDesk()
    expect(desk.requestable(alice).map(({ name }) => name)).toEqual(['shop', 'lab'])
    const [shop, lab] = desk.requestable(alice)
    expect(shop?.roles[0]).toEqual({
      name: 'read_only',
      needs: [{ function: 'manager', groups: ['managers'] }],
      automaticMs: undefined,
      longestMs: 30 * day,
    })
    expect(lab?.roles[0]?.automaticMs).toBe(day)
    expect(desk.roles(etl).map(({ name }) => name)).toEqual([
      'read_only',
      'read_limited_write',
      'read_full_write',
      'agent',
    ])
    expect(desk.roles(alice)[0]?.automaticMs).toBeUndefined()
  })
})

function without(rules: AccessRules, role: string): AccessRules {
  return { ...rules, roles: new Map([...rules.roles].filter(([name]) => name !== role)) }
}

type Rule = NonNullable<ReturnType<AccessRules['roles']['get']>>

function changed(rules: AccessRules, part: Partial<Rule>, role = 'read_full_write'): AccessRules {
  const roles = [...rules.roles].map(([name, rule]): [string, Rule] => [
    name,
    name === role ? { ...rule, ...part } : rule,
  ])
  return { ...rules, roles: new Map(roles) }
}
