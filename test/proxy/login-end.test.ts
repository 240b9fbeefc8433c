// What a client hears of the end of its database login, and when it can be told without harm to what it
// is being told by the server.

import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { Authorization } from '../../src/access/authorization.ts'
import { GrantChanges } from '../../src/access/grant-changes.ts'
import { Journal } from '../../src/audit/journal.ts'
import { sessionContext } from '../../src/audit/record.ts'
import { usualRecording } from '../../src/audit/recording.ts'
import { Catalog } from '../../src/policy/catalog.ts'
import { LoginEnd } from '../../src/proxy/login-end.ts'
import { Relay } from '../../src/proxy/relay.ts'
import { loadParser } from '../../src/sql/analyse.ts'
import { type BackendMessage, decodeBackend } from '../../src/wire/backend.ts'
import { encodeBackend } from '../../src/wire/backend-encoder.ts'
import { encodeFrontend } from '../../src/wire/frontend.ts'
import { settled } from '../support/leases.ts'
import { emptyChain, HeldClock, MemoryStorage } from '../support/memory-journal.ts'
import { MemorySocket } from '../support/memory-socket.ts'
import { rulesFor } from '../support/rules.ts'
import { sql } from '../support/scripted-session.ts'
import { silentMeter } from '../support/silent-meter.ts'

beforeAll(loadParser)

describe('the end of a login', () => {
  function ending(remainingMs: number | undefined, client = { hears: true }) {
    const use = { remainingMs }
    const told: BackendMessage[] = []
    const end = new LoginEnd(use, (notice) => {
      if (client.hears) told.push(decodeBackend(notice, 0, notice.length))
      return client.hears
    })
    return { use, told, end }
  }

  it('is told once, with how long there is and what to do', () => {
    const { use, told, end } = ending(undefined)
    expect(end.look()).toBeUndefined()
    expect(told).toEqual([])
    for (use.remainingMs = 725_000; use.remainingMs > 2_000; use.remainingMs -= 1_000) {
      expect(end.look()).toBeUndefined()
    }
    expect(told).toEqual([
      {
        type: 'noticeResponse',
        fields: {
          S: 'NOTICE',
          V: 'NOTICE',
          C: '01000',
          M: 'the database login of this session ends in 12 minutes',
          D: 'It cannot be prolonged any further. A new connection gets a new login.',
          H: 'Connect again before then; a transaction that is open at that time is rolled back.',
        },
      },
    ])
  })

  it.each([
    [3_100, '1 second'],
    [61_000, '59 seconds'],
    [3_600_000, '59 minutes'],
    [7_300_000, '2 hours'],
  ])('at %i ms is said to be in %s', (remainingMs, words) => {
    const { told, end } = ending(remainingMs)
    end.look()
    expect(JSON.stringify(told)).toContain(`ends in ${words}"`)
  })

  it('is told later when it cannot be told now', () => {
    const client = { hears: false }
    const { told, end } = ending(60_000, client)
    end.look()
    end.look()
    expect(told).toEqual([])
    client.hears = true
    end.look()
    end.look()
    expect(told).toHaveLength(1)
  })

  it('ends the session two seconds before, so that it hears why', () => {
    const { use, end } = ending(2_001)
    expect(end.look()).toBeUndefined()
    use.remainingMs = 2_000
    expect(end.look()).toMatchObject({
      sqlstate: '57P01',
      message: 'terminating connection because its database login has come to its end',
    })
    expect(ending(0).end.look()).toMatchObject({ sqlstate: '57P01' })
  })
})

describe('a notice of ours', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  const notice = encodeBackend({ type: 'noticeResponse', fields: { S: 'NOTICE', M: 'soon' } })
  const ready = encodeBackend({ type: 'readyForQuery', status: 'I' })
  const complete = (tag: string) => encodeBackend({ type: 'commandComplete', tag })
  const data = encodeBackend({ type: 'copyData', data: Buffer.from('1\tone\n') })

  function open() {
    const clock = new HeldClock()
    const client = new MemorySocket({ allowHalfOpen: true })
    const upstream = new MemorySocket({ allowHalfOpen: true })
    const nothing = (): undefined => undefined
    const ends: string[] = []
    const grant = {
      id: 'g1',
      principal: 'alice',
      target: 'shop',
      role: 'read_limited_write',
      startsAt: 0,
      endsAt: Number.MAX_SAFE_INTEGER,
      revokedAt: undefined,
      reason: 'test',
      requestId: undefined,
      relations: undefined,
      claims: {},
    }
    const rules = rulesFor(grant.role)
    const relay = new Relay(
      {
        authorization: Authorization.mint(grant, 't1', '127.0.0.1', new GrantChanges()),
        context: sessionContext({
          session: 's1',
          principal: 'alice',
          groups: undefined,
          grant: 'g1',
          requestId: undefined,
          requestReason: 'test',
          role: grant.role,
          target: 'shop',
          databaseRole: 'v-x',
          lease: 'creds/1',
          client: '127.0.0.1:5000',
          application: 'test',
          tls: false,
        }),
        rules: () => rules,
        catalog: () => Catalog.unread(),
        journal: new Journal(new MemoryStorage(), emptyChain, clock),
        clock,
        maxStatementBytes: 1024,
        recording: usualRecording,
        pinned: new Map(),
      },
      { client, upstream },
      {
        meter: silentMeter,
        trace: undefined,
        application: 'test',
        cancel: () => Promise.resolve(true),
        probe: undefined,
        onCatalogChanged: nothing,
        onTripped: nothing,
        onEnd: ({ reason }) => ends.push(reason),
      },
    )
    relay.start(Buffer.alloc(0), Buffer.alloc(0))
    const heard = (): Buffer => Buffer.concat(client.written.splice(0))
    return { relay, client, upstream, ends, heard }
  }

  it('comes between two messages, never inside one', async () => {
    const { relay, client, upstream, heard } = open()
    client.feed(encodeFrontend(sql('select repeat($$x$$, 100)')))
    await settled()
    const row = encodeBackend({ type: 'dataRow', values: [Buffer.alloc(100, 'x')] })
    upstream.feed(row.subarray(0, 50))
    await settled()
    expect(relay.notice(notice)).toBe(false)
    upstream.feed(row.subarray(50))
    await settled()
    expect(relay.notice(notice)).toBe(true)
    upstream.feed(Buffer.concat([complete('SELECT 1'), ready]))
    await settled()
    expect(heard()).toEqual(Buffer.concat([row, notice, complete('SELECT 1'), ready]))
  })

  it('leaves both kinds of COPY as they are', async () => {
    const { relay, client, upstream, heard, ends } = open()
    client.feed(encodeFrontend(sql('copy t to stdout')))
    await settled()
    const out = encodeBackend({ type: 'copyOutResponse', format: 0, columnFormats: [0, 0] })
    const done = Buffer.concat([encodeBackend({ type: 'copyDone' }), complete('COPY 2'), ready])
    upstream.feed(Buffer.concat([out, data]))
    await settled()
    expect(relay.notice(notice)).toBe(true)
    upstream.feed(Buffer.concat([data, done]))
    await settled()
    expect(heard()).toEqual(Buffer.concat([out, data, notice, data, done]))

    upstream.written.length = 0
    client.feed(encodeFrontend(sql('copy t from stdin')))
    await settled()
    const into = encodeBackend({ type: 'copyInResponse', format: 0, columnFormats: [0, 0] })
    upstream.feed(into)
    await settled()
    expect(relay.notice(notice)).toBe(true)
    const copied = encodeFrontend({ type: 'copyData', data: Buffer.from('1\tone\n') })
    const ended = encodeFrontend({ type: 'copyDone' })
    client.feed(Buffer.concat([copied, ended]))
    await settled()
    expect(Buffer.concat(upstream.written).subarray(-copied.length - ended.length)).toEqual(
      Buffer.concat([copied, ended]),
    )
    upstream.feed(Buffer.concat([complete('COPY 1'), ready]))
    await settled()
    expect(heard()).toEqual(Buffer.concat([into, notice, complete('COPY 1'), ready]))
    expect(ends).toEqual([])
  })

  it('does not cost a client its answer that has shut down its own side', async () => {
    const { relay, client, upstream, heard, ends } = open()
    client.feed(encodeFrontend(sql('select 1')))
    client.feedEnd()
    await settled()
    expect(relay.notice(notice)).toBe(true)
    expect(ends).toEqual([])
    upstream.feed(Buffer.concat([complete('SELECT 1'), ready]))
    await settled()
    expect(heard()).toEqual(Buffer.concat([notice, complete('SELECT 1'), ready]))
  })

  it('is nothing to a session that is over', () => {
    const { relay, client, heard } = open()
    client.destroy()
    relay.notice(notice)
    expect(heard().length).toBe(0)
  })
})
