// The desk on the real store: many at once on the same objects, pages, and the clock's round on two processes.

import { setImmediate as endOfTurn } from 'node:timers/promises'
import { Pool } from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { bearerId } from '../../src/access/bearer.ts'
import type { Change } from '../../src/access/change.ts'
import type { Desk } from '../../src/access/desk.ts'
import { Hours } from '../../src/access/hours.ts'
import type { Identity } from '../../src/access/identity.ts'
import type { LedgerPorts } from '../../src/access/ledger.ts'
import { openDesk } from '../../src/access/open-desk.ts'
import { changesIn } from '../../src/audit/change-journal.ts'
import { Journal } from '../../src/audit/journal.ts'
import { Failure } from '../../src/errors.ts'
import { Secret } from '../../src/secret.ts'
import { Store } from '../../src/store/store.ts'
import { accessRules, day, people, person } from '../support/access-rules.ts'
import { type FreshDatabase, freshDatabase } from '../support/databases.ts'
import { emptyChain, HeldClock, MemoryStorage, parseLine } from '../support/memory-journal.ts'

const hour = 3_600_000
const { alice, bob, bert, carol, erin, root } = people

interface Process {
  readonly store: Store
  readonly desk: Desk
  readonly ledger: LedgerPorts
  readonly storage: MemoryStorage
  readonly told: Change[]
}

let database: FreshDatabase
let direct: Pool
const clock = new HeldClock()
const processes: Process[] = []

beforeAll(async () => {
  database = await freshDatabase(inject('adminUrl'), 'desk')
  direct = new Pool({ connectionString: database.url })
  direct.on('error', () => {})
  for (let count = 0; count < 2; count++) processes.push(await start())
})

afterAll(async () => {
  for (const { store } of processes) await store.close()
  await direct.end()
  await database.drop()
})

async function start(): Promise<Process> {
  const store = await Store.open({ url: new Secret(database.url), onProblem: () => undefined })
  const storage = new MemoryStorage()
  const journal = new Journal(storage, emptyChain, clock)
  const told: Change[] = []
  const ledger: LedgerPorts = {
    store: store.desk,
    clock,
    ...changesIn(journal),
    committed: (changes) => told.push(...changes),
  }
  const tokens = { redeemWithinMs: 600_000 }
  const desk = openDesk({ ...ledger, store: store.desk, rules: accessRules, tokens })
  return { store, desk, ledger, storage, told }
}

/** One of the processes, in turn. */
let turn = 0
function next(): Process {
  const process = processes[turn++ % processes.length]
  if (process === undefined) throw new Error('no process was started')
  return process
}

const desk = (): Desk => next().desk

async function outcome(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'done',
    (error: unknown) => {
      if (error instanceof Failure) return error.code
      throw error
    },
  )
}

/** Every change of these objects: rows of the store, and records of the journals by number. */
async function changesOf(...ids: readonly string[]) {
  const { rows } = await direct.query<{ id: string; type: string }>(
    `select id, type from pgwarden.changes
      where request_id = any($1) or grant_id = any($1) order by id`,
    [ids],
  )
  const records = processes
    .flatMap(({ storage }) => storage.lines.map(parseLine))
    .filter(
      ({ requestId, grant }) => ids.includes(String(requestId)) || ids.includes(String(grant)),
    )
  return {
    types: rows.map(({ type }) => type),
    rows: rows.map(({ id, type }) => `${id} ${type}`),
    records: records
      .map(({ change, type }) => ({
        number: Number(change),
        text: `${String(change)} ${String(type)}`,
      }))
      .toSorted((a, b) => a.number - b.number)
      .map(({ text }) => text),
  }
}

/** A request of alice's that two must approve. */
async function asked(by: Identity = alice): Promise<string> {
  const terms = {
    target: 'shop',
    role: 'read_full_write',
    reason: 'repair of order 7',
    durationMs: hour,
  }
  return (await desk().request(by, terms)).request.id
}

async function granted(): Promise<string> {
  const terms = { target: 'lab', role: 'read_only', reason: 'look', durationMs: hour }
  const { grant } = await desk().request(alice, terms)
  if (grant === undefined) throw new Error('it was not granted at once')
  return grant.id
}

describe('fifty people at one request', () => {
  it('approve each function once, and all others learn that they came second', async () => {
    const id = await asked()
    const crowd = Array.from({ length: 50 }, (_, at) =>
      person(`approver${at}`, at % 2 === 0 ? 'managers' : 'security'),
    )
    const outcomes = await Promise.all(
      crowd.map((by) => outcome(desk().approve(by, id, undefined))),
    )
    expect(outcomes.filter((each) => each === 'done')).toHaveLength(2)
    expect(outcomes.filter((each) => each === 'conflict')).toHaveLength(48)
    const { request, approvals, grant } = await desk().findRequest(alice, id)
    expect(request).toMatchObject({ state: 'approved', grantId: grant?.id })
    expect(approvals.flatMap(({ groups }) => groups).toSorted()).toEqual(['managers', 'security'])
    const { types, rows, records } = await changesOf(id)
    expect(types).toEqual(['request.created', 'request.endorsed', 'request.approved'])
    expect(records).toEqual(rows)
  })

  it('approve, deny and withdraw it: one of these is true afterwards, and nothing of the others', async () => {
    for (let round = 0; round < 4; round++) {
      const id = await asked()
      const outcomes = await Promise.all(
        Array.from({ length: 48 }, (_, at) => {
          const by = person(`crowd${at}`, 'managers', 'security')
          if (at % 3 === 0) return outcome(desk().approve(by, id, 'fine'))
          if (at % 3 === 1) return outcome(desk().deny(by, id, 'no'))
          return outcome(desk().withdraw(alice, id))
        }),
      )
      const { request, approvals, grant } = await desk().findRequest(alice, id)
      const { types, rows, records } = await changesOf(id)
      expect(records).toEqual(rows)
      expect(outcomes.filter((each) => each === 'done')).toHaveLength(types.length - 1)
      expect(outcomes.every((each) => each === 'done' || each === 'conflict')).toBe(true)
      expect(request.state).not.toBe('pending')
      expect(types.at(-1)).toBe(`request.${request.state}`)
      expect(grant === undefined).toBe(request.state !== 'approved')
      expect(types.slice(1, -1).every((type) => type === 'request.endorsed')).toBe(true)
      const yes = approvals.filter(({ decision }) => decision === 'approve')
      expect(yes).toHaveLength(types.length - 2 + (request.state === 'approved' ? 1 : 0))
      expect(approvals.length - yes.length).toBe(request.state === 'denied' ? 1 : 0)
    }
  })

  it('ask for more of one grant, and one request is pending', async () => {
    const id = await granted()
    const more = { durationMs: 3 * day, reason: 'it takes longer' }
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, () => outcome(desk().extend(alice, id, more))),
    )
    expect(outcomes.filter((each) => each === 'done')).toHaveLength(1)
    expect(outcomes.filter((each) => each === 'conflict')).toHaveLength(19)
  })

  it('no principal has more than twenty requests pending', async () => {
    const eve = person('eve')
    const outcomes = await Promise.all(Array.from({ length: 30 }, () => outcome(asked(eve))))
    expect(outcomes.filter((each) => each === 'done')).toHaveLength(20)
    expect(outcomes.filter((each) => each === 'too_many_requests')).toHaveLength(10)
  })
})

describe('a program that asks in a loop', () => {
  it('holds a hundred grants that nobody approved, and gets another when it gives one back', async () => {
    const loop = person('loop')
    const terms = { target: 'lab', role: 'read_only', reason: 'look', durationMs: hour }
    const ask = () => outcome(desk().request(loop, terms))
    const outcomes = await Promise.all(Array.from({ length: 105 }, ask))
    expect(outcomes.filter((each) => each === 'done')).toHaveLength(100)
    expect(outcomes.filter((each) => each === 'too_many_requests')).toHaveLength(5)
    expect(await outcome(asked(loop))).toBe('done')
    const [held] = (await desk().listGrants(loop, { limit: 1 })).items
    await desk().revoke(loop, held?.grant.id ?? '', 'enough')
    expect([await ask(), await ask()]).toEqual(['done', 'too_many_requests'])
  })
})

describe('fifty people at one grant', () => {
  it('revoke it once; the others are told who was first', async () => {
    const id = await granted()
    const failures: Failure[] = []
    await Promise.all(
      Array.from({ length: 50 }, async (_, at) => {
        const by = [alice, bob, root][at % 3] ?? root
        await desk()
          .revoke(by, id, 'done with it')
          .catch((error: Failure) => failures.push(error))
      }),
    )
    expect(failures).toHaveLength(49)
    const { rows } = await direct.query<{ by: string }>(
      "select body->'by'->>'principal' as by from pgwarden.changes where grant_id = $1 and type = 'grant.revoked'",
      [id],
    )
    expect(rows).toHaveLength(1)
    for (const { code, detail } of failures) {
      expect(code).toBe('conflict')
      expect(detail).toContain(`${rows[0]?.by} revoked grant ${id} at 2026-01-02T03:04:05.678Z`)
    }
  })

  it('an approval of more time that meets a revoke: the grant is revoked, whoever was first', async () => {
    for (let round = 0; round < 8; round++) {
      const id = await granted()
      const extension = await desk().extend(alice, id, { durationMs: 3 * day, reason: 'longer' })
      if (extension.type !== 'requested') throw new Error('it was extended at once')
      const { id: requestId } = extension.view.request
      const [approved, revoked] = await Promise.all([
        outcome(desk().approve(bob, requestId, undefined)),
        outcome(desk().revoke(root, id, 'enough')),
      ])
      expect(revoked).toBe('done')
      const { grant, state } = await desk().findGrant(alice, id)
      expect(state).toBe('revoked')
      expect(grant.endsAt - grant.startsAt).toBe(approved === 'done' ? hour + 3 * day : hour)
      const { types, rows, records } = await changesOf(id, requestId)
      expect(records).toEqual(rows)
      expect(types.filter((type) => type === 'grant.extended')).toHaveLength(
        approved === 'done' ? 1 : 0,
      )
    }
  })

  it('a token that meets a revoke is issued before it, or not at all, and opens nothing', async () => {
    for (let round = 0; round < 8; round++) {
      const id = await granted()
      const [tokens, revoked] = await Promise.all([
        Promise.allSettled(
          Array.from({ length: 5 }, () => desk().issueToken(alice, id, 'single-use')),
        ),
        outcome(desk().revoke(root, id, 'enough')),
      ])
      expect(revoked).toBe('done')
      const issued = tokens.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
      const { types } = await changesOf(id)
      expect(types.slice(-1)).toEqual(['grant.revoked'])
      expect(types.filter((type) => type === 'token.issued')).toHaveLength(issued.length)
      for (const { token } of issued) {
        const redeemed = await next().store.redeem({
          tokenId: bearerId('pgw', token.text.reveal()) ?? '',
          address: '127.0.0.1',
          now: clock.now(),
          sittingUntil: clock.now() + hour,
          sittingLogins: 9,
        })
        expect(redeemed).toBe(false)
      }
    }
  })
})

describe('a change', () => {
  it('that the journal refuses does not happen', async () => {
    const id = await asked()
    const { desk: failing, storage, told } = next()
    const before = told.length
    storage.failing = true
    try {
      expect(await outcome(failing.approve(erin, id, undefined))).toBe('journal_unavailable')
    } finally {
      storage.failing = false
    }
    const { approvals, request } = await desk().findRequest(alice, id)
    expect(approvals).toEqual([])
    expect(request.state).toBe('pending')
    expect((await changesOf(id)).types).toEqual(['request.created'])
    expect(told.length).toBe(before)
  })

  it('that the store does not commit is recorded as undone', async () => {
    await direct.query(`
      create function refuse() returns trigger language plpgsql as
        $$ begin raise exception 'no'; end $$;
      create constraint trigger refuse after insert on pgwarden.approvals
        deferrable initially deferred for each row when (new.comment = 'refuse') execute function refuse()`)
    const id = await asked()
    await expect(desk().approve(bob, id, 'refuse')).rejects.toThrow('no')
    await endOfTurn()
    expect((await desk().findRequest(alice, id)).approvals).toEqual([])
    const records = processes.flatMap(({ storage }) => storage.lines.map(parseLine))
    const endorsed = records.find(
      ({ type, requestId }) => type === 'request.endorsed' && requestId === id,
    )
    expect(records).toContainEqual(
      expect.objectContaining({
        type: 'change.undone',
        change: endorsed?.['change'],
        of: 'request.endorsed',
        result: 'undone',
      }),
    )
  })

  it('whose commit nobody answers is recorded as unknown', async () => {
    await direct.query(`
      create function vanish() returns trigger language plpgsql as
        $$ begin perform pg_terminate_backend(pg_backend_pid()); return null; end $$;
      create constraint trigger vanish after insert on pgwarden.approvals
        deferrable initially deferred for each row when (new.comment = 'vanish') execute function vanish()`)
    const id = await asked()
    expect(await outcome(desk().approve(bob, id, 'vanish'))).toBe('cannot_connect_now')
    await endOfTurn()
    const records = processes.flatMap(({ storage }) => storage.lines.map(parseLine))
    expect(records).toContainEqual(
      expect.objectContaining({ type: 'change.undone', of: 'request.endorsed', result: 'unknown' }),
    )
    expect(await outcome(desk().approve(bert, id, undefined))).toBe('done')
  })
})

describe('lists', () => {
  it('page through everything that is theirs to see, each once, newest first', async () => {
    const mallory = person('mallory')
    const ids: string[] = []
    for (let count = 0; count < 7; count++) {
      clock.wall += count % 2
      ids.push(await asked(mallory))
    }
    const seen: string[] = []
    let after: string | undefined
    do {
      const page = await desk().listRequests(mallory, { limit: 3, after })
      expect(page.items.length).toBeLessThanOrEqual(3)
      seen.push(...page.items.map(({ request }) => request.id))
      after = page.next
    } while (after !== undefined)
    expect(seen.toSorted()).toEqual(ids.toSorted())
    expect((await desk().listRequests(people.stranger, { limit: 10 })).items).toEqual([])
    const decidable = await desk().listRequests(carol, {
      limit: 50,
      principal: 'mallory',
      decidable: true,
    })
    expect(decidable.items).toHaveLength(7)
    expect(decidable.items[0]?.mayDecide).toBe(true)
  })

  it('of grants show their state', async () => {
    const id = await granted()
    const states = async (state: 'active' | 'revoked') =>
      (await desk().listGrants(root, { limit: 200, state })).items.map(({ grant }) => grant.id)
    expect(await states('active')).toContain(id)
    await desk().revoke(alice, id, 'done')
    expect(await states('active')).not.toContain(id)
    expect(await states('revoked')).toContain(id)
    expect((await desk().listGrants(carol, { limit: 200 })).items).not.toEqual([])
  })
})

describe('the clock', () => {
  it('asks nobody any more to prolong a grant that was revoked', async () => {
    const grantId = await granted()
    const more = await desk().extend(alice, grantId, { durationMs: 3 * day, reason: 'longer' })
    if (more.type !== 'requested') throw new Error('it was prolonged at once')
    await desk().revoke(root, grantId, 'laptop stolen')
    for (const { ledger } of processes) {
      await new Hours({ ...ledger, onProblem: () => undefined }).round()
    }
    const { request } = await desk().findRequest(root, more.view.request.id)
    expect(request.state).toBe('expired')
  })

  it('expires requests, warns of ends and ends grants, once, on however many processes', async () => {
    const requestId = await asked(person('frank'))
    const grantId = await granted()
    const rounds = () =>
      Promise.all(
        processes.map(({ ledger }) => {
          const onProblem = (error: unknown) => {
            throw error
          }
          return new Hours({ ...ledger, onProblem }).round()
        }),
      )
    await rounds()
    clock.wall += hour - 60_000
    await rounds()
    await rounds()
    expect((await changesOf(grantId)).types.slice(1)).toEqual(['grant.ending'])
    clock.wall += 8 * hour
    await rounds()
    await rounds()
    const grant = await changesOf(grantId)
    expect(grant.types.slice(1)).toEqual(['grant.ending', 'grant.expired'])
    expect(grant.records).toEqual(grant.rows)
    const request = await changesOf(requestId)
    expect(request.types).toEqual(['request.created', 'request.expired'])
    expect(request.records).toEqual(request.rows)
    expect((await desk().findRequest(root, requestId)).request.state).toBe('expired')
  })
})
