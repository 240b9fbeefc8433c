// What becomes of requests, by the rules of access, whichever of two pgwardens is asked: who may decide and
// who may not, what needs nobody, and that every end is an end.

import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import type { AccessRequest } from '../../src/client/answers.ts'
import { changesOnRecord } from '../support/change-books.ts'
import { eventually } from '../support/eventually.ts'
import { accessLines, introduce, type Person } from '../support/people.ts'
import { Warden } from '../support/warden.ts'

const adminUrl = inject('adminUrl')

let one: Warden
let two: Warden
let alice: Person
let bob: Person
let carol: Person
let dave: Person
let reports: Person

beforeAll(async () => {
  const terms = {
    access: accessLines,
    targets: ['bank:', '  <<: *shop', '  production: true'],
  }
  one = await Warden.start(adminUrl, { ...terms, schema: 'CREATE TABLE orders (id int)' })
  two = await Warden.start(adminUrl, { ...terms, beside: one })
  alice = await introduce(one, 'alice', { groups: ['developers'] })
  bob = await introduce(one, 'bob', { groups: ['managers'] })
  carol = await introduce(one, 'carol', { groups: ['security', 'dbas'] })
  dave = await introduce(one, 'dave', { groups: ['dbas'] })
  reports = await introduce(one, 'reports', { kind: 'service' })
}, 60_000)
afterAll(async () => {
  await two.stop()
  await one.stop()
})

async function asks(
  who: Person,
  role: string,
  more: { readonly target?: string; readonly durationSeconds?: number } = {},
): Promise<AccessRequest> {
  return who.at(one).request({ target: 'shop', role, reason: 'order 1234', ...more })
}

const decides = (who: Person, { id }: AccessRequest, decision: 'approve' | 'deny', why?: string) =>
  who.at(two).decide(id, decision, why)

const missing = (request: AccessRequest) => request.missing.map((need) => need.function)
const tooLate = { status: 409, code: 'conflict' }
const notTheirs = { status: 403, code: 'forbidden' }

describe('a request', () => {
  it('that was denied gives nothing, says who and why, and cannot be approved any more', async () => {
    const request = await asks(alice, 'read_limited_write')
    expect(request).toMatchObject({ state: 'pending' })
    expect(await decides(bob, request, 'deny', 'ask the owner')).toMatchObject({ state: 'denied' })
    const seen = await alice.at(one).findRequest(request.id)
    expect(seen.approvals).toMatchObject([
      { approver: 'bob', decision: 'deny', comment: 'ask the owner' },
    ])
    expect(seen.grantId).toBe(undefined)
    await expect(decides(bob, request, 'approve')).rejects.toMatchObject(tooLate)
  })

  it('that was withdrawn cannot be approved any more, and is withdrawn by nobody else', async () => {
    const request = await asks(alice, 'read_limited_write')
    await expect(bob.at(two).withdraw(request.id)).rejects.toMatchObject(notTheirs)
    expect(await alice.at(two).withdraw(request.id)).toMatchObject({ state: 'withdrawn' })
    await expect(decides(bob, request, 'approve')).rejects.toMatchObject(tooLate)
  })

  it('that nobody decided in time is expired by one of the proxies, once', async () => {
    const request = await asks(alice, 'read_limited_write')
    await one.inStore((store) =>
      store.query(
        `update pgwarden.requests set created_at = created_at - interval '9 hours',
           expires_at = now() - interval '1 second' where id = $1`,
        [request.id],
      ),
    )
    await expect(decides(bob, request, 'approve')).rejects.toMatchObject(tooLate)
    expect(await alice.at(one).findRequest(request.id)).toMatchObject({ state: 'expired' })
    const records = async () =>
      (await Promise.all([one, two].map((warden) => warden.journal('request.expired')))).flat()
    await eventually(async () => (await records()).length > 0, 15_000)
    expect(await records()).toMatchObject([{ requestId: request.id }])
  })

  it('is not seen by whom it does not concern', async () => {
    const { id } = await asks(alice, 'read_limited_write')
    await expect(reports.at(two).findRequest(id)).rejects.toMatchObject({ status: 404 })
    expect((await reports.at(two).listRequests({}, 100)).items).toEqual([])
  })
})

describe('approval', () => {
  it('nobody approves a request of their own', async () => {
    const own = await asks(carol, 'admin')
    await expect(decides(carol, own, 'approve')).rejects.toMatchObject(notTheirs)
    expect(await carol.at(two).findRequest(own.id)).toMatchObject({ state: 'pending' })
  })

  it('of admin takes the CISO and a DBA, of whom one person cannot be both', async () => {
    const request = await asks(alice, 'admin')
    expect(missing(request)).toEqual(['ciso', 'dba'])
    // A manager has no part in it, and does not see it.
    await expect(decides(bob, request, 'approve')).rejects.toMatchObject({ status: 404 })
    // In both groups, and one person all the same.
    expect(await decides(carol, request, 'approve')).toMatchObject({ state: 'pending' })
    await expect(decides(carol, request, 'approve')).rejects.toMatchObject(tooLate)
    const approved = await decides(dave, request, 'approve')
    expect(approved).toMatchObject({ state: 'approved', missing: [] })
    expect(approved.approvals.map(({ approver }) => approver)).toEqual(['carol', 'dave'])
    expect(await alice.at(one).findGrant(approved.grantId ?? '')).toMatchObject({
      ...{ role: 'admin', state: 'active' },
    })
  })

  it('by two at the same moment through two proxies makes one grant', async () => {
    const request = await asks(alice, 'read_limited_write')
    const both = await Promise.allSettled([
      bob.at(one).decide(request.id, 'approve', undefined),
      bob.at(two).decide(request.id, 'approve', undefined),
      alice.at(two).withdraw(request.id),
    ])
    expect(both.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    for (const one of both) if (one.status === 'rejected') expect(one.reason).toMatchObject(tooLate)
  })
})

describe('read_only', () => {
  it('on a target that is not production needs nobody, for a day, and reads', async () => {
    const request = await asks(alice, 'read_only', { durationSeconds: 86_400 })
    expect(request).toMatchObject({ state: 'approved', missing: [] })
    const { token, connection } = await alice.at(two).issueToken(request.grantId ?? '', 'one-time')
    const client = new Client({ ...connection, ssl: false, password: token })
    await client.connect()
    expect((await client.query('select * from orders')).rowCount).toBe(0)
    await expect(client.query('delete from orders')).rejects.toMatchObject({ code: '42501' })
    await client.end()
  })

  it('for more than a day, or in production, needs the manager', async () => {
    const longer = await asks(alice, 'read_only', { durationSeconds: 86_401 })
    const production = await asks(alice, 'read_only', { target: 'bank' })
    for (const request of [longer, production]) {
      expect(request).toMatchObject({ state: 'pending' })
      expect(missing(request)).toEqual(['manager'])
    }
  })

  it('is for programs too, and admin is not', async () => {
    expect(await asks(reports, 'read_only')).toMatchObject({ state: 'approved' })
    await expect(asks(reports, 'admin')).rejects.toMatchObject(notTheirs)
  })

  it('is not given without a reason', async () => {
    const terms = { target: 'shop', role: 'read_only', reason: ' ' }
    await expect(alice.at(one).request(terms)).rejects.toMatchObject({ status: 400 })
  })
})

describe('the audit', () => {
  it('has one record of every change, and both journals verify', async () => {
    const types = new Set(await changesOnRecord([one, two]))
    for (const end of ['approved', 'denied', 'withdrawn', 'expired', 'endorsed']) {
      expect(types).toContain(`request.${end}`)
    }
  })
})
