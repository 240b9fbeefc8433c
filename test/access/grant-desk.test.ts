import { describe, expect, it } from 'vitest'
import type { Desk } from '../../src/access/desk.ts'
import { Hours } from '../../src/access/hours.ts'
import type { Identity } from '../../src/access/identity.ts'
import { Failure } from '../../src/errors.ts'
import { accessRules, day, people } from '../support/access-rules.ts'
import { failureOf, type MemoryDesk, memoryDesk } from '../support/memory-desk.ts'

const hour = 3_600_000
const { alice, bob, carol, dave, root, judy, stranger } = people

async function granted(desk: Desk, durationMs = 2 * hour): Promise<string> {
  const terms = { target: 'lab', role: 'read_only', reason: 'look', durationMs }
  const { grant } = await desk.request(alice, terms)
  if (grant === undefined) throw new Error('it was not granted at once')
  return grant.id
}

const more = (hours: number) => ({ durationMs: hours * hour, reason: 'it takes longer' })

describe('more time', () => {
  it('is given at once up to a day from the start, and to nobody without approval after that', async () => {
    const { desk, clock } = memoryDesk()
    const id = await granted(desk)
    const start = clock.now()
    clock.wall += hour
    expect(await desk.extend(alice, id, more(20))).toMatchObject({
      type: 'extended',
      grant: { endsAt: start + 22 * hour },
    })
    expect(await desk.extend(alice, id, more(2))).toMatchObject({ type: 'extended' })
    clock.wall = start + 23 * hour
    expect(await desk.extend(alice, id, more(1))).toMatchObject({
      type: 'requested',
      view: { request: { extends: id, state: 'pending', expiresAt: start + 24 * hour } },
    })
  })

  it('of a grant that begins later is not given further ahead than a day from now', async () => {
    const { desk, clock } = memoryDesk()
    const terms = { target: 'lab', role: 'read_only', reason: 'look', durationMs: hour }
    const { grant } = await desk.request(alice, { ...terms, startsAt: clock.now() + 20 * hour })
    expect((await desk.extend(alice, grant?.id ?? '', more(4))).type).toBe('requested')
  })

  it('that was approved moves the end of the same grant', async () => {
    const { desk, committed } = memoryDesk()
    const id = await granted(desk)
    const before = await desk.findGrant(alice, id)
    const asked = await desk.extend(alice, id, more(48))
    if (asked.type !== 'requested') throw new Error('it was given at once')
    const { request, grant } = await desk.approve(bob, asked.view.request.id, undefined)
    expect(request.grantId).toBe(id)
    expect(grant?.endsAt).toBe(before.grant.endsAt + 48 * hour)
    expect((await desk.findGrant(alice, id)).grant).toEqual(grant)
    expect(committed.slice(-2)).toMatchObject([
      { type: 'request.approved' },
      { type: 'grant.extended', endedAt: before.grant.endsAt, by: { principal: 'bob' } },
    ])
  })

  it('is asked for once at a time', async () => {
    const { desk } = memoryDesk()
    const id = await granted(desk)
    await desk.extend(alice, id, more(48))
    const { code, detail } = await failureOf(desk.extend(alice, id, more(1)))
    expect(code).toBe('conflict')
    expect(detail).toMatch(/^Request [a-z2-7]{16} is pending.$/)
  })

  it.each(['ended', 'revoked'] as const)(
    'is not given when the grant has been %s meanwhile',
    async (how) => {
      const { desk, clock } = memoryDesk()
      const id = await granted(desk)
      const asked = await desk.extend(alice, id, more(48))
      if (asked.type !== 'requested') throw new Error('it was given at once')
      if (how === 'ended') clock.wall += 2 * hour
      else await desk.revoke(root, id, 'no')
      const failure = await failureOf(desk.approve(bob, asked.view.request.id, undefined))
      expect(failure.code).toBe('conflict')
      expect((await failureOf(desk.extend(alice, id, more(1)))).code).toBe('conflict')
    },
  )

  it('is not given beyond what the role may last in all', async () => {
    const { desk, under } = memoryDesk()
    const id = await granted(desk)
    expect((await failureOf(desk.extend(alice, id, more(30 * 24)))).code).toBe('invalid_parameter')
    const asked = await desk.extend(alice, id, more(48))
    if (asked.type !== 'requested') throw new Error('it was given at once')
    const [name, rule] = [...accessRules.roles][0] ?? []
    if (name === undefined || rule === undefined) throw new Error('there is no rule')
    // What is asked for would be allowed by itself, and not on top of what there is.
    const roles = new Map([
      ...accessRules.roles,
      [name, { ...rule, longestMs: 49 * hour }] as const,
    ])
    const stricter = under({ ...accessRules, roles })
    const failure = await failureOf(stricter.approve(bob, asked.view.request.id, undefined))
    expect(failure.message).toBe('the grant would last longer than the rules allow now')
  })

  it('is asked for by the holder alone', async () => {
    const { desk } = memoryDesk()
    const id = await granted(desk)
    for (const by of [bob, root]) {
      expect((await failureOf(desk.extend(by, id, more(1)))).code).toBe('forbidden')
    }
    expect((await failureOf(desk.extend(stranger, id, more(1)))).code).toBe('not_found')
  })
})

describe('a grant', () => {
  it.each<[string, Identity, string]>([
    ['its holder', alice, 'done'],
    ['an administrator', root, 'done'],
    ['somebody who could approve it', bob, 'done'],
    ['an auditor', judy, 'forbidden'],
    ['somebody who could approve other roles', dave, 'not_found'],
    ['a stranger', stranger, 'not_found'],
    [
      'its holder with a credential for reading',
      { ...alice, scopes: new Set(['audit']) },
      'forbidden',
    ],
    [
      'an administrator with a credential for asking',
      { ...root, scopes: new Set(['access']) },
      'not_found',
    ],
  ])('is revoked by %s: %s', async (_, by, expected) => {
    const { desk } = memoryDesk()
    const id = await granted(desk)
    const outcome = await desk.revoke(by, id, 'done with it').then(
      () => 'done',
      (error: unknown) => (error instanceof Failure ? error.code : error),
    )
    expect(outcome).toBe(expected)
    const { state } = await desk.findGrant(alice, id)
    expect(state).toBe(expected === 'done' ? 'revoked' : 'active')
  })

  it('is not revoked without a reason', async () => {
    const { desk } = memoryDesk()
    const id = await granted(desk)
    expect((await failureOf(desk.revoke(alice, id, ' '))).code).toBe('invalid_parameter')
  })

  it('that is over is not revoked', async () => {
    const { desk, clock } = memoryDesk()
    const id = await granted(desk)
    clock.wall += 2 * hour
    const { code, detail } = await failureOf(desk.revoke(alice, id, 'done'))
    expect(code).toBe('conflict')
    expect(detail).toBe(`Grant ${id} ended at 2026-01-02T05:04:05.678Z.`)
  })
})

describe('a token', () => {
  it('is given to the holder, and its secret is in no change', async () => {
    const { desk, store, recorded } = memoryDesk()
    const id = await granted(desk)
    const { token, grant } = await desk.issueToken(alice, id, 'one-time')
    expect(grant.id).toBe(id)
    expect(store.rows.tokens).toEqual([token.record])
    expect(recorded.at(-1)?.change).toMatchObject({
      type: 'token.issued',
      tokenId: token.record.id,
    })
    expect(JSON.stringify([recorded, store.rows.changes])).not.toContain(token.text.reveal())
  })

  it('is given to nobody else, and on no grant that is over', async () => {
    const { desk, store } = memoryDesk()
    const id = await granted(desk)
    for (const by of [bob, root, carol]) {
      expect(['forbidden', 'not_found']).toContain(
        (await failureOf(desk.issueToken(by, id, 'reusable'))).code,
      )
    }
    await desk.revoke(alice, id, 'done')
    expect((await failureOf(desk.issueToken(alice, id, 'reusable'))).code).toBe('conflict')
    expect(store.rows.tokens).toEqual([])
  })
})

describe('a change', () => {
  it('that the journal refuses is none, and nobody hears of it', async () => {
    const { desk, journal, store, committed } = memoryDesk()
    journal.failing = true
    const failure = await failureOf(granted(desk))
    expect(failure.code).toBe('journal_unavailable')
    expect(failure.message).toBe('the audit journal cannot be written, so nothing was changed')
    expect([store.rows.requests.size, store.rows.grants.size, committed.length]).toEqual([0, 0, 0])
  })

  it.each([
    ['is lost', new Failure('cannot_connect_now', { message: 'gone' }), 'unknown'],
    ['is refused', new Error('no'), 'undone'],
  ] as const)('whose commit %s is said to be that, after its record', async (_, error, result) => {
    const { desk, store, recorded, undone, committed } = memoryDesk()
    store.commitError = error
    await expect(granted(desk)).rejects.toBe(error)
    expect(undone).toEqual(recorded.map((change) => ({ change, result })))
    expect(undone.map(({ change }) => change.change.type)).toEqual([
      'request.created',
      'request.approved',
    ])
    expect(committed).toEqual([])
  })
})

describe('the clock', () => {
  const hoursOf = ({ ledger }: MemoryDesk) => {
    const onProblem = (error: unknown) => {
      throw error
    }
    return new Hours({ ...ledger, onProblem })
  }

  it('expires requests and ends grants, each once, with a warning half an hour before the end', async () => {
    const memory = memoryDesk()
    const { desk, clock, committed } = memory
    const hours = hoursOf(memory)
    await granted(desk)
    await desk.request(alice, { target: 'shop', role: 'admin', reason: 'repair' })
    committed.length = 0
    const passed = async (ms: number) => {
      clock.wall += ms
      await hours.round()
      await hours.round()
      return committed.splice(0).map(({ type, by }) => `${type} by ${by.principal}, ${by.via}`)
    }
    expect(await passed(1.4 * hour)).toEqual([])
    expect(await passed(0.2 * hour)).toEqual(['grant.ending by pgwarden, clock'])
    expect(await passed(0.4 * hour)).toEqual(['grant.expired by pgwarden, clock'])
    expect(await passed(6 * hour)).toEqual(['request.expired by pgwarden, clock'])
    expect(await passed(30 * day)).toEqual([])
  })

  it('tries again when the journal could not be written', async () => {
    const memory = memoryDesk()
    await granted(memory.desk)
    memory.clock.wall += 2 * hour
    memory.journal.failing = true
    await expect(hoursOf(memory).round()).rejects.toThrow()
    memory.journal.failing = false
    await hoursOf(memory).round()
    expect(memory.committed.at(-1)?.type).toBe('grant.expired')
  })
})
