// What a process does when a grant is revoked or prolonged elsewhere, with the sessions, the store and the other
// processes made up and the timers held.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Grant } from '../../src/access/access.ts'
import { Authorization } from '../../src/access/authorization.ts'
import { GrantChanges } from '../../src/access/grant-changes.ts'
import type { Failure } from '../../src/errors.ts'
import { GrantWatch } from '../../src/proxy/grant-watch.ts'
import type { GrantState, Notices } from '../../src/proxy/ports.ts'
import { type ServedSession, Sessions } from '../../src/proxy/sessions.ts'

const hour = 3_600_000

/** The other processes. */
class FakeNotices implements Notices {
  readonly others = 1
  readonly #heard = new Map<string, Parameters<Notices['hear']>[1]>()

  tell(): Promise<boolean> {
    return Promise.resolve(true)
  }

  hear(topic: string, heard: Parameters<Notices['hear']>[1]): void {
    this.#heard.set(topic, heard)
  }

  says(body: Readonly<Record<string, string>>, topic = 'grant.revoked'): void {
    this.#heard.get(topic)?.(body, 'other')
  }
}

interface Client {
  /** Why the session was ended. */
  readonly failure: Failure | undefined
  /** The client closes its socket. */
  leaves(): void
}

let changes: GrantChanges
let notices: FakeNotices
let sessions: Sessions
let watch: GrantWatch
let over: string[]
let asked: (readonly string[])[]
let extended: [string, number][]
let inStore: () => Promise<readonly GrantState[]>
let warned: string[]

beforeEach(() => {
  vi.useFakeTimers()
  changes = new GrantChanges()
  notices = new FakeNotices()
  over = []
  asked = []
  warned = []
  extended = []
  inStore = () => Promise.resolve([])
  const clock = { now: () => Date.now(), elapsed: () => performance.now() }
  sessions = new Sessions(clock, (grantId) => over.push(grantId))
  const silent = (): void => undefined
  watch = new GrantWatch({
    changes,
    sessions,
    source: {
      grantStates: (ids) => {
        asked.push(ids)
        return inStore()
      },
    },
    credentials: {
      extendGrant: (grantId, endsAt) => {
        extended.push([grantId, endsAt])
        return Promise.resolve()
      },
    },
    notices,
    log: {
      debug: silent,
      info: silent,
      warn: (_, message) => warned.push(message),
      error: silent,
    },
  })
  sessions.start()
  watch.start()
})

afterEach(async () => {
  sessions.stop()
  await watch.stop()
  vi.useRealTimers()
})

function session(grantId: string): Client {
  const grant: Grant = {
    id: grantId,
    principal: 'alice',
    target: 'shop',
    role: 'read_only',
    startsAt: 0,
    endsAt: Date.now() + hour,
    revokedAt: undefined,
    reason: 'test',
    requestId: undefined,
    relations: undefined,
    claims: {},
  }
  let failure: Failure | undefined
  let leave = (): void => undefined
  const live: ServedSession = {
    authorization: Authorization.mint(grant, 't1', '192.0.2.1', changes),
    clientClosed: new Promise<void>((resolve) => {
      leave = resolve
    }),
    look: () => undefined,
    leave: () => undefined,
    activity: () => ({ target: 'shop', role: 'read_only', state: 'idle' }),
    end: (why) => {
      failure = why
      sessions.closed(live)
    },
  }
  sessions.opened(live)
  return {
    get failure() {
      return failure
    },
    leaves: () => leave(),
  }
}

describe('a grant that is revoked', () => {
  it('has all its sessions ended at once, and nobody elses', () => {
    const [one, two, other] = [session('g1'), session('g1'), session('g2')]
    notices.says({ grant: 'g1' })
    for (const { failure } of [one, two]) {
      expect(failure).toMatchObject({
        sqlstate: '57P01',
        message: 'terminating connection because the grant was revoked',
      })
    }
    expect(other.failure).toBeUndefined()
  })

  it('has its logins taken back when the last client has gone, and not before', async () => {
    const [one, two] = [session('g1'), session('g1')]
    notices.says({ grant: 'g1' })
    one.leaves()
    await vi.advanceTimersByTimeAsync(500)
    expect(over).toEqual([])
    two.leaves()
    await vi.advanceTimersByTimeAsync(0)
    expect(over).toEqual(['g1'])
  })

  it('does not wait for a client that does not go for longer than two seconds', async () => {
    const [gone] = [session('g1'), session('g1')]
    notices.says({ grant: 'g1' })
    gone.leaves()
    await vi.advanceTimersByTimeAsync(1_900)
    expect(over).toEqual([])
    await vi.advanceTimersByTimeAsync(100)
    expect(over).toEqual(['g1'])
  })

  it('has its logins taken back at once where nobody uses them', () => {
    notices.says({ grant: 'g1' })
    expect(over).toEqual(['g1'])
  })

  it('is revoked once, however often one hears of it', async () => {
    inStore = () => Promise.resolve([state('g1', { revoked: true })])
    notices.says({ grant: 'g1' })
    notices.says({ grant: 'g1' })
    await vi.advanceTimersByTimeAsync(20_000)
    expect(over).toEqual(['g1'])
  })

  it('is not in force any more for a login that is on its way', () => {
    const authorization = mintedFor('g1')
    notices.says({ grant: 'g1' })
    expect(authorization.endedAt(Date.now())?.sqlstate).toBe('57P01')
  })
})

describe('a revoke of which nobody said anything', () => {
  it('is found in the store within five seconds, with one question for everything', async () => {
    const client = session('g1')
    session('g1')
    session('g2')
    inStore = () => Promise.resolve([state('g1', { revoked: true })])
    await vi.advanceTimersByTimeAsync(5_000)
    expect(asked).toEqual([['g1', 'g2']])
    expect(client.failure?.message).toContain('was revoked')
  })

  it('is found later when the store did not answer', async () => {
    const client = session('g1')
    inStore = () => Promise.reject(new Error('the store is away'))
    await vi.advanceTimersByTimeAsync(5_000)
    expect(client.failure).toBeUndefined()
    expect(warned).toHaveLength(1)
    inStore = () => Promise.resolve([state('g1', { revoked: true })])
    await vi.advanceTimersByTimeAsync(5_000)
    expect(client.failure?.message).toContain('was revoked')
  })

  it('is not asked for twice at a time, and not at all where nothing is open', async () => {
    await vi.advanceTimersByTimeAsync(20_000)
    expect(asked).toEqual([])
    session('g1')
    let answer = (_: readonly GrantState[]): void => undefined
    inStore = () =>
      new Promise((resolve) => {
        answer = resolve
      })
    await vi.advanceTimersByTimeAsync(20_000)
    expect(asked).toHaveLength(1)
    answer([])
  })
})

describe('a grant that is prolonged', () => {
  it('goes on to the end that the store knows, whatever a notice says', async () => {
    const client = session('g1')
    const until = Date.now() + 2 * hour
    inStore = () => Promise.resolve([state('g1', { endsAt: until })])
    notices.says({ grant: 'g1', endsAt: String(until + hour) }, 'grant.extended')
    await vi.advanceTimersByTimeAsync(0)
    expect(extended).toEqual([['g1', until]])
    await vi.advanceTimersByTimeAsync(hour + 10_000)
    expect(client.failure).toBeUndefined()
    await vi.advanceTimersByTimeAsync(hour)
    expect(client.failure?.message).toContain('the grant has ended')
  })

  it('goes on within five seconds when nobody said anything', async () => {
    session('g1')
    inStore = () => Promise.resolve([state('g1', { endsAt: Date.now() + 2 * hour })])
    await vi.advanceTimersByTimeAsync(5_000)
    expect(extended).toHaveLength(1)
  })

  it('is not cut short again by an answer that comes late', async () => {
    const client = session('g1')
    inStore = () => Promise.resolve([state('g1', { endsAt: Date.now() + 2 * hour })])
    notices.says({ grant: 'g1' }, 'grant.extended')
    await vi.advanceTimersByTimeAsync(0)
    inStore = () => Promise.resolve([state('g1', { endsAt: Date.now() + hour })])
    notices.says({ grant: 'g1' }, 'grant.extended')
    await vi.advanceTimersByTimeAsync(0)
    expect(extended).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(hour + 10_000)
    expect(client.failure).toBeUndefined()
  })

  it('is revoked all the same', async () => {
    const client = session('g1')
    inStore = () => Promise.resolve([state('g1', { endsAt: Date.now() + 2 * hour })])
    notices.says({ grant: 'g1' }, 'grant.extended')
    await vi.advanceTimersByTimeAsync(0)
    notices.says({ grant: 'g1' })
    expect(client.failure?.message).toContain('was revoked')
  })
})

describe('the memory of what was revoked', () => {
  it('has a bound, and forgets the oldest', () => {
    for (let n = 0; n < 10_001; n++) changes.revoke(`g${n}`)
    expect(changes.isRevoked('g0')).toBe(false)
    expect(changes.isRevoked('g1')).toBe(true)
    expect(changes.isRevoked('g10000')).toBe(true)
  })
})

function state(id: string, is: Partial<GrantState>): GrantState {
  return { id, revoked: false, endsAt: Date.now() + hour, ...is }
}

function mintedFor(id: string): Authorization {
  const grant = { id, principal: 'alice', target: 'shop', role: 'read_only', reason: 'test' }
  const times = { startsAt: 0, endsAt: Date.now() + hour, revokedAt: undefined }
  return Authorization.mint(
    { ...grant, ...times, requestId: undefined, relations: undefined, claims: {} },
    't1',
    '::1',
    changes,
  )
}
