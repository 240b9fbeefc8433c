// Changes in a real store, told to real receivers: whatever these do, each hears of each change, those of
// one object in their order, and one that is dead holds up nobody.

import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import { z } from 'zod'
import type { Change } from '../../src/access/change.ts'
import { systemClock } from '../../src/clock.ts'
import type { Channel } from '../../src/notifications/channel.ts'
import type { LaneOptions } from '../../src/notifications/lane.ts'
import { Notifier } from '../../src/notifications/notifier.ts'
import { Secret } from '../../src/secret.ts'
import { Store } from '../../src/store/store.ts'
import { alice, bob, grant, request, surroundings } from '../notifications/changes.ts'
import { certify } from '../support/certificates.ts'
import { type FreshDatabase, freshDatabase } from '../support/databases.ts'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/ports.ts'
import { type Received, type Receiver, type Reply, startReceiver } from '../support/receiver.ts'

const day = 24 * 60 * 60_000
const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'

let database: FreshDatabase
let store: Store
let direct: Pool
const receivers: Receiver[] = []
const notifiers: Notifier[] = []
let said: string[] = []
let waited = new Map<string, number>()

beforeAll(async () => {
  database = await freshDatabase(inject('adminUrl'), 'notifications')
  store = await Store.open({ url: new Secret(database.url), onProblem: () => {} })
  direct = new Pool({ connectionString: database.url })
})

beforeEach(async () => {
  said = []
  waited = new Map()
  await direct.query('truncate pgwarden.deliveries, pgwarden.changes')
})

afterEach(async () => {
  await Promise.all(notifiers.splice(0).map((notifier) => notifier.stop()))
  await Promise.all(receivers.splice(0).map((receiver) => receiver.close()))
})

afterAll(async () => {
  await store.close()
  await direct.end()
  await database.drop()
})

async function receiver(...given: Parameters<typeof startReceiver>): Promise<Receiver> {
  const started = await startReceiver(...given)
  receivers.push(started)
  return started
}

function webhook(url: string, more: Partial<Extract<Channel, { type: 'webhook' }>> = {}): Channel {
  return {
    type: 'webhook',
    name: 'hook',
    url: new Secret(url),
    ca: undefined,
    events: ['request.created', 'request.approved', 'request.denied', 'grant.revoked'],
    secrets: [new Secret(secret)],
    ...more,
  }
}

function notifier(
  channels: readonly Channel[],
  more: Partial<Omit<LaneOptions, 'outbox'>> = {},
): Notifier {
  const made = new Notifier(channels, {
    outbox: store.outbox,
    surroundings,
    clock: systemClock,
    everyMs: 20,
    pauseMs: () => 5,
    observer: {
      delivered: (channel) => said.push(`${channel} delivered`),
      failed: (channel, why) => said.push(`${channel} failed: ${why}`),
      givenUp: (channel, type, why) => said.push(`${channel} given up: ${type}, ${why}`),
      waits: (channel, ms) => waited.set(channel, ms),
      problem: (error) => said.push(`problem: ${String(error)}`),
    },
    ...more,
  })
  notifiers.push(made)
  made.start()
  return made
}

async function changed(change: Change, at = Date.now()): Promise<void> {
  await store.desk.transaction((transaction) => transaction.insertChange(change, at))
}

const created = (id: string): Change => ({
  type: 'request.created',
  request: { ...request, id },
  by: alice,
})
const approved = (id: string): Change => ({
  type: 'request.approved',
  request: { ...request, id, state: 'approved' },
  grant: { ...grant, id: `g${id}`, requestId: id },
  by: bob,
  comment: undefined,
})
const revoked = (id: string): Change => ({
  type: 'grant.revoked',
  grant: { ...grant, id: `g${id}`, requestId: id },
  by: bob,
  reason: 'over',
})

const told = z.object({
  type: z.string(),
  data: z.object({
    request: z.object({ id: z.string() }).optional(),
    grant: z.object({ requestId: z.string() }).optional(),
  }),
})

function subject({ body }: Received): string {
  const { type, data } = told.parse(JSON.parse(body))
  return `${data.request?.id ?? data.grant?.requestId ?? ''} ${type}`
}

async function untilEmpty(): Promise<void> {
  await eventually(async () => {
    const { rows } = await direct.query<{ open: boolean }>(
      `select exists (select from pgwarden.deliveries) or
              exists (select from pgwarden.changes where not distributed) as open`,
    )
    return rows[0]?.open === false
  })
}

describe('a webhook', () => {
  it('gets a letter that any implementation of Standard Webhooks verifies', async () => {
    const hook = await receiver()
    await changed(created('r1'))
    notifier([webhook(hook.url)])
    await untilEmpty()
    const [letter] = hook.received
    const header = (name: string) => z.string().parse(letter?.headers[name])
    const [, signature = ''] = header('webhook-signature').split('v1,')
    const key = await crypto.subtle.importKey(
      'raw',
      Buffer.from(secret.slice('whsec_'.length), 'base64'),
      { name: 'HMAC', hash: 'SHA-256' },
      false,
      ['verify'],
    )
    const verifies = (body: string) =>
      crypto.subtle.verify(
        'HMAC',
        key,
        Buffer.from(signature, 'base64'),
        Buffer.from(`${header('webhook-id')}.${header('webhook-timestamp')}.${body}`),
      )
    expect(await verifies(letter?.body ?? '')).toBe(true)
    expect(await verifies(`${letter?.body} `)).toBe(false)
    expect(Math.abs(Number(header('webhook-timestamp')) - Date.now() / 1000)).toBeLessThan(10)
  })

  it.each<[string, Reply]>([
    ['fails', { status: 500 }],
    ['refuses', { status: 401 }],
    ['does not answer', 'silence'],
  ])('that %s is told again, and the others in the meantime', async (_, trouble) => {
    const bad = await receiver((_letter, number) => (number <= 3 ? trouble : { status: 200 }))
    const good = await receiver()
    await changed(created('r1'))
    notifier([webhook(bad.url, { name: 'bad' }), webhook(good.url, { name: 'good' })], {
      timeoutMs: 60,
    })
    await untilEmpty()
    expect(bad.received.map(subject)).toEqual(Array(4).fill('r1 request.created'))
    expect(new Set(bad.received.map(({ headers }) => headers['webhook-id'])).size).toBe(1)
    expect(good.received).toHaveLength(1)
    expect(said.indexOf('good delivered')).toBeLessThan(said.length - 1)
    expect(said.at(-1)).toBe('bad delivered')
  })

  it('that is not there is tried again, and how long it was not told is known', async () => {
    const port = await freePort()
    await changed(created('r1'))
    notifier([webhook(`http://127.0.0.1:${port}/`)])
    await eventually(async () => said.length > 2)
    expect(said).toContain('hook failed: no connection (ECONNREFUSED)')
    expect(waited.get('hook')).toBeGreaterThan(0)
  })

  it('is left alone for as long as it asks', async () => {
    const hook = await receiver(() => ({ status: 429, headers: { 'retry-after': '60' } }))
    await changed(created('r1'))
    notifier([webhook(hook.url)])
    await eventually(async () => said.length > 0)
    await sleep(100)
    expect(hook.received).toHaveLength(1)
  })

  it('that redirects is not followed', async () => {
    const elsewhere = await receiver()
    const hook = await receiver(() => ({ status: 307, headers: { location: elsewhere.url } }))
    await changed(created('r1'))
    notifier([webhook(hook.url)])
    await eventually(async () => said.length > 0)
    expect(said[0]).toBe('hook failed: status 307; redirects are not followed')
    expect(elsewhere.received).toHaveLength(0)
  })

  it('is asked for a decision only while there is one to make', async () => {
    const hook = await receiver()
    await store.desk.transaction(async (transaction) => {
      await transaction.insertRequest(request)
      await transaction.insertChange(created(request.id), Date.now())
    })
    notifier([webhook(hook.url)])
    await untilEmpty()
    await store.desk.transaction(async (transaction) => {
      await transaction.updateRequest({ ...request, state: 'denied', decidedAt: Date.now() })
      await transaction.insertChange(created(request.id), Date.now())
    })
    await untilEmpty()
    const [before, after] = hook.received
    expect(before?.body).toContain(`"approve":"pgwarden approve ${request.id}"`)
    expect(after?.body).not.toContain('pgwarden approve')
  })

  it('is not told of a day ago, once it could not be told for a day', async () => {
    const hook = await receiver(() => ({ status: 500 }))
    await changed(created('r1'))
    let now = Date.now()
    notifier([webhook(hook.url)], { clock: { ...systemClock, now: () => now } })
    await eventually(async () => said.length > 0)
    now += day
    await untilEmpty()
    expect(said.at(-1)).toBe('hook given up: request.created, status 500')
    expect(said.filter((line) => line.includes('given up'))).toHaveLength(1)
  })

  it('that is new is not told what is older than a day', async () => {
    const hook = await receiver()
    await changed(created('old'), Date.now() - day - 1)
    await changed(created('new'))
    notifier([webhook(hook.url)])
    await untilEmpty()
    expect(hook.received.map(subject)).toEqual(['new request.created'])
  })

  it('hears of what it has asked for', async () => {
    const hook = await receiver()
    await changed(created('r1'))
    await changed(approved('r1'))
    notifier([webhook(hook.url, { events: ['request.approved'] })])
    await untilEmpty()
    expect(hook.received.map(subject)).toEqual(['r1 request.approved'])
  })

  it('gets four at a time from one process, and no more', async () => {
    const hook = await receiver(async () => {
      await sleep(60)
      return { status: 200 }
    })
    for (let at = 0; at < 12; at++) await changed(created(`r${at}`))
    notifier([webhook(hook.url)])
    await untilEmpty()
    expect(hook.mostAtOnce).toBe(4)
  })

  it('shows a certificate of the CA that is written down, or gets nothing', async () => {
    const pair = await certify('receiver', { names: ['127.0.0.1'] })
    const hook = await receiver(undefined, pair)
    await changed(created('r1'))
    const bare = notifier([webhook(hook.url)])
    await eventually(async () => said.length > 0)
    await bare.stop()
    expect(said[0]).toMatch(/no connection \((DEPTH_ZERO_)?SELF_SIGNED_CERT/)
    expect(hook.received).toHaveLength(0)
    notifier([webhook(hook.url, { ca: pair.certificate })])
    await untilEmpty()
    expect(hook.received).toHaveLength(1)
  })
})

describe('changes of one object', () => {
  it('come in their order, a request and its grant together, though some fail and two tell them', async () => {
    const hook = await receiver((_, number) => ({ status: number % 3 === 0 ? 503 : 200 }))
    const objects = ['r1', 'r2', 'r3', 'r4']
    for (const step of [created, approved, revoked]) {
      for (const id of objects) await changed(step(id))
    }
    notifier([webhook(hook.url)])
    notifier([webhook(hook.url)])
    await untilEmpty()
    for (const id of objects) {
      const order = hook.received.map(subject).filter((line) => line.startsWith(`${id} `))
      // A letter that failed came once more.
      expect(order.filter((line, at) => line !== order[at - 1])).toEqual([
        `${id} request.created`,
        `${id} request.approved`,
        `${id} grant.revoked`,
      ])
    }
  })

  it('are not missed when a transaction commits after a later one', async () => {
    const hook = await receiver()
    await store.desk.transaction(async (transaction) => {
      await transaction.insertChange(created('slow'), Date.now())
      await changed(created('fast'))
      notifier([webhook(hook.url)])
      await eventually(async () => hook.received.length === 1)
    })
    await untilEmpty()
    expect(hook.received.map(subject)).toEqual(['fast request.created', 'slow request.created'])
  })
})

describe('several processes', () => {
  it('tell each change once, and a receiver gets few at a time from each', async () => {
    const hook = await receiver(async () => {
      await sleep(5)
      return { status: 200 }
    })
    const ids = Array.from({ length: 60 }, (_, at) => `r${at}`)
    await Promise.all(ids.map((id) => changed(created(id))))
    const channels = [webhook(hook.url)]
    notifier(channels)
    notifier(channels)
    await untilEmpty()
    expect(hook.received.map(subject).sort()).toEqual(
      ids.map((id) => `${id} request.created`).sort(),
    )
    expect(hook.mostAtOnce).toBeGreaterThan(1)
    expect(hook.mostAtOnce).toBeLessThanOrEqual(8)
  })

  it('tell what one had taken that was killed, half a minute later', async () => {
    const hook = await receiver()
    await changed(created('r1'))
    let now = Date.now()
    const wanted = [{ channel: 'hook', types: ['request.created'] }] as const
    await store.outbox.distribute(wanted, now, now - day)
    expect(await store.outbox.claim('hook', now, now + 30_000)).toMatchObject({ tries: 1 })
    notifier([webhook(hook.url)], { clock: { ...systemClock, now: () => now } })
    await sleep(100)
    expect(hook.received).toHaveLength(0)
    now += 30_000
    await untilEmpty()
    expect(hook.received).toHaveLength(1)
  })

  it('take over what one that stops was telling', async () => {
    const hook = await receiver((_, number) => (number === 1 ? 'silence' : { status: 200 }))
    await changed(created('r1'))
    const first = notifier([webhook(hook.url)])
    await eventually(async () => hook.received.length === 1)
    const asked = Date.now()
    await first.stop()
    expect(Date.now() - asked).toBeLessThan(1_000)
    notifier([webhook(hook.url)])
    await untilEmpty()
    expect(hook.received).toHaveLength(2)
  })
})
