// Random histories of the desk against a model that knows nothing of its code: who may do what is written here a
// second time, as simply as it can be said, and approvals are assigned by trying every order.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Hours } from '../../src/access/hours.ts'
import type { Identity } from '../../src/access/identity.ts'
import { day, people } from '../support/access-rules.ts'
import { type MemoryDesk, memoryDesk } from '../support/memory-desk.ts'

const hour = 3_600_000
const { alice, bob, bert, carol, dave, erin, root, etl } = people

const groupOf: Readonly<Record<string, string>> = {
  manager: 'managers',
  ciso: 'security',
  dba: 'dbas',
}
const needs: Readonly<Record<string, readonly string[]>> = {
  read_only: ['manager'],
  read_full_write: ['manager', 'ciso'],
  admin: ['ciso', 'dba'],
}
/** Mostly those who can do something, so that histories get somewhere. */
const asker = fc.constantFrom(alice, alice, alice, alice, bob, etl)
const decider = fc.constantFrom(bob, bob, carol, carol, erin, erin, dave, bert, alice, root, etl)
const holder = fc.constantFrom(alice, alice, alice, alice, bob, root)
/** Counted from the newest. */
const nth = fc.constantFrom(0, 0, 0, 1, 1, 2, 3)
const likely = <T>(weight: number, arbitrary: fc.Arbitrary<T>) => ({ weight, arbitrary })

const step = fc.oneof(
  likely(
    3,
    fc.record({
      type: fc.constant('ask' as const),
      by: asker,
      target: fc.constantFrom('shop', 'lab', 'lab'),
      role: fc.constantFrom('read_only', 'read_only', 'read_full_write', 'admin'),
      hours: fc.constantFrom(1, 2, 10, 24, 25, 720, 721),
      inHours: fc.constantFrom(0, 0, 0, 2, 20, 100),
    }),
  ),
  likely(6, fc.record({ type: fc.constant('approve' as const), by: decider, nth })),
  likely(1, fc.record({ type: fc.constant('deny' as const), by: decider, nth })),
  likely(1, fc.record({ type: fc.constant('withdraw' as const), by: holder, nth })),
  likely(
    4,
    fc.record({
      type: fc.constant('extend' as const),
      by: holder,
      nth,
      hours: fc.constantFrom(1, 2, 22, 100, 719),
    }),
  ),
  likely(1, fc.record({ type: fc.constant('revoke' as const), by: decider, nth })),
  likely(1, fc.record({ type: fc.constant('token' as const), by: holder, nth })),
  likely(
    3,
    fc.record({ type: fc.constant('wait' as const), hours: fc.constantFrom(0.2, 1, 5, 30) }),
  ),
  likely(1, fc.record({ type: fc.constant('round' as const) })),
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

interface ModelRequest {
  id: string
  readonly by: Identity
  readonly role: string
  readonly hours: number
  readonly startsAt: number | undefined
  readonly extended: ModelGrant | undefined
  readonly expiresAt: number
  state: string
  readonly approvers: Identity[]
}

interface ModelGrant {
  id: string
  readonly by: Identity
  readonly target: string
  readonly role: string
  readonly startsAt: number
  endsAt: number
  revoked: boolean
  readonly automatic: boolean
}

class Model {
  readonly requests: ModelRequest[] = []
  readonly grants: ModelGrant[] = []

  /** Whether it is done. Time passes first: what is over is over, whether or not anybody has noted it. */
  take(step: Step, now: number): boolean {
    for (const request of this.requests) {
      if (request.state === 'pending' && now >= request.expiresAt) request.state = 'expired'
    }
    switch (step.type) {
      case 'ask':
        return this.#ask(step, now)
      case 'approve':
      case 'deny':
        return this.#decide(step, now)
      case 'withdraw': {
        const request = this.requests.at(-1 - step.nth)
        if (request?.state !== 'pending' || request.by !== step.by) return false
        request.state = 'withdrawn'
        return true
      }
      case 'extend':
        return this.#extend(step, now)
      case 'revoke': {
        const grant = this.grants.at(-1 - step.nth)
        if (grant === undefined || grant.revoked || now >= grant.endsAt) return false
        if (step.by !== grant.by && step.by !== root && !approves(step.by, grant.role)) return false
        grant.revoked = true
        return true
      }
      case 'token': {
        const grant = this.grants.at(-1 - step.nth)
        return grant !== undefined && grant.by === step.by && !grant.revoked && now < grant.endsAt
      }
      case 'wait':
        return true
      case 'round':
        // Nobody is asked to prolong what was taken back.
        for (const request of this.requests) {
          if (request.state === 'pending' && request.extended?.revoked) request.state = 'expired'
        }
        return true
    }
  }

  #ask(step: Step & { type: 'ask' }, now: number): boolean {
    const { by, role, target, hours, inHours } = step
    if (hours > 720 || (role === 'admin' && by.kind === 'service')) return false
    if (this.requests.filter((each) => each.by === by && each.state === 'pending').length >= 20) {
      return false
    }
    const startsAt = inHours === 0 ? undefined : now + inHours * hour
    const automatic = role === 'read_only' && target === 'lab' && hours + inHours <= 24
    const request: ModelRequest = {
      ...{ id: '', by, role, hours, startsAt, extended: undefined, approvers: [] },
      expiresAt: Math.min(now + 8 * hour, (startsAt ?? Number.POSITIVE_INFINITY) + hours * hour),
      state: automatic ? 'approved' : 'pending',
    }
    this.requests.push(request)
    this.#targets.set(request, target)
    if (automatic) this.#grant(request, startsAt ?? now, true)
    return true
  }

  readonly #targets = new Map<ModelRequest, string>()

  #grant(request: ModelRequest, startsAt: number, automatic: boolean): void {
    const { by, role, hours } = request
    const endsAt = (request.startsAt ?? startsAt) + hours * hour
    const target = this.#targets.get(request) ?? ''
    this.grants.push({ id: '', by, target, role, startsAt, endsAt, revoked: false, automatic })
  }

  #decide(step: { type: 'approve' | 'deny'; by: Identity; nth: number }, now: number): boolean {
    const request = this.requests.at(-1 - step.nth)
    if (request?.state !== 'pending' || request.by === step.by || step.by.kind === 'service') {
      return false
    }
    const { approvers, role } = request
    const wanted = needs[role] ?? []
    if (approvers.includes(step.by)) return false
    if (!assignable(wanted, [...approvers, step.by])) return false
    if (step.type === 'deny') {
      request.state = 'denied'
      return true
    }
    const { extended } = request
    const last = approvers.length + 1 === wanted.length
    if (last && extended !== undefined) {
      if (extended.revoked || now >= extended.endsAt) return false
      extended.endsAt += request.hours * hour
    }
    approvers.push(step.by)
    if (!last) return true
    request.state = 'approved'
    if (extended === undefined) this.#grant(request, Math.max(request.startsAt ?? now, now), false)
    return true
  }

  #extend(step: { by: Identity; nth: number; hours: number }, now: number): boolean {
    const grant = this.grants.at(-1 - step.nth)
    if (grant === undefined || grant.by !== step.by) return false
    if (grant.revoked || now >= grant.endsAt) return false
    if (this.#waitsForMore(grant)) return false
    const endsAt = grant.endsAt + step.hours * hour
    if (endsAt > grant.startsAt + 30 * day) return false
    if (grant.role === 'read_only' && grant.target === 'lab') {
      if (endsAt <= Math.min(grant.startsAt, now) + day) {
        grant.endsAt = endsAt
        return true
      }
    }
    if (
      this.requests.filter((each) => each.by === step.by && each.state === 'pending').length >= 20
    ) {
      return false
    }
    this.requests.push({
      ...{ id: '', by: step.by, role: grant.role, hours: step.hours, startsAt: undefined },
      ...{ extended: grant, approvers: [], state: 'pending' },
      expiresAt: Math.min(now + 8 * hour, grant.endsAt),
    })
    return true
  }

  /** Until somebody has noted that it expired, an overdue request is in the way as well. */
  #waitsForMore(grant: ModelGrant): boolean {
    return this.requests.some(
      (each) => each.extended === grant && (each.state === 'pending' || this.unnoted.has(each)),
    )
  }

  /** Expired, and not noted. */
  readonly unnoted = new Set<ModelRequest>()
}

function approves(by: Identity, role: string): boolean {
  return (
    by.kind === 'person' &&
    (needs[role] ?? []).some((each) => by.groups.includes(groupOf[each] ?? ''))
  )
}

/** Whether each of them can fill a function of their own. */
function assignable(functions: readonly string[], [first, ...rest]: readonly Identity[]): boolean {
  return (
    first === undefined ||
    functions.some(
      (each, at) =>
        first.groups.includes(groupOf[each] ?? '') && assignable(functions.toSpliced(at, 1), rest),
    )
  )
}

describe('whatever people and clock do, in whatever order', () => {
  it('is allowed, refused, and ends up as the rules say', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 40, maxLength: 60 }), async (steps) => {
        const memory = memoryDesk()
        const model = new Model()
        for (const each of steps) await play(memory, model, each)
        for (const { approvers, by, state, role } of model.requests) {
          expect(approvers).not.toContain(by)
          expect(new Set(approvers).size).toBe(approvers.length)
          if (state === 'approved' && role !== 'read_only') {
            expect(approvers.length).toBe(needs[role]?.length)
          }
        }
        const { recorded, store, committed, undone } = memory
        expect(recorded.map(({ change }) => change)).toEqual(store.rows.changes)
        expect(committed).toEqual(store.rows.changes)
        expect(undone).toEqual([])
      }),
      { numRuns: 60 },
    )
  }, 30_000)
})

async function play(memory: MemoryDesk, model: Model, each: Step): Promise<void> {
  const { clock, store, ledger } = memory
  if (each.type === 'wait') clock.wall += each.hours * hour
  if (each.type === 'round') {
    await new Hours({ ...ledger, onProblem: () => undefined }).round()
    model.unnoted.clear()
  }
  const pending = model.requests.filter(({ state }) => state === 'pending')
  const expected = model.take(each, clock.now())
  if (each.type !== 'round') {
    for (const request of pending) if (request.state === 'expired') model.unnoted.add(request)
  }
  expect([each, await isDone(memory, model, each)]).toEqual([each, expected])
  const requests = [...store.rows.requests.values()]
  const grants = [...store.rows.grants.values()]
  for (const [at, request] of requests.entries())
    Object.assign(model.requests[at] ?? {}, { id: request.id })
  for (const [at, grant] of grants.entries())
    Object.assign(model.grants[at] ?? {}, { id: grant.id })
  const states = await Promise.all(
    requests.map(async ({ id }) => (await memory.desk.findRequest(root, id)).request.state),
  )
  expect(states).toEqual(model.requests.map(({ state }) => state))
  expect(
    grants.map(({ startsAt, endsAt, revokedAt }) => [startsAt, endsAt, revokedAt !== undefined]),
  ).toEqual(model.grants.map(({ startsAt, endsAt, revoked }) => [startsAt, endsAt, revoked]))
}

async function isDone({ desk, clock }: MemoryDesk, model: Model, each: Step): Promise<boolean> {
  return attempt().then(
    () => true,
    (error: unknown) => {
      if (error instanceof Error && error.name === 'Failure') return false
      throw error
    },
  )

  async function attempt(): Promise<unknown> {
    const reason = 'because'
    switch (each.type) {
      case 'ask': {
        const { by, target, role, hours, inHours } = each
        const startsAt = inHours === 0 ? undefined : clock.now() + inHours * hour
        return desk.request(by, { target, role, reason, durationMs: hours * hour, startsAt })
      }
      case 'approve':
        return desk.approve(each.by, requestId(each.nth), undefined)
      case 'deny':
        return desk.deny(each.by, requestId(each.nth), undefined)
      case 'withdraw':
        return desk.withdraw(each.by, requestId(each.nth))
      case 'extend':
        return desk.extend(each.by, grantId(each.nth), {
          durationMs: each.hours * hour,
          reason,
        })
      case 'revoke':
        return desk.revoke(each.by, grantId(each.nth), reason)
      case 'token':
        return desk.issueToken(each.by, grantId(each.nth), 'one-time')
      case 'wait':
      case 'round':
        return undefined
    }
  }

  function requestId(at: number): string {
    return model.requests.at(-1 - at)?.id ?? 'none'
  }

  function grantId(at: number): string {
    return model.grants.at(-1 - at)?.id ?? 'none'
  }
}
