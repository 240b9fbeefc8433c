// What the store is told of the sessions here, with a store in memory that can be away, and the timers held.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { LiveSession } from '../../src/access/live-session.ts'
import type { Failure } from '../../src/errors.ts'
import { SessionRegistry, type SessionsStore } from '../../src/proxy/session-registry.ts'

class Ledger {
  readonly processes = new Map<string, Map<string, LiveSession>>()
  toEnd: readonly string[] = []
  asked = 0
  away = false
  answer = (): Promise<void> => Promise.resolve()

  get ids(): readonly string[] {
    return [...this.processes.values()].flatMap((sessions) => [...sessions.keys()])
  }

  async writeSessions({ instance, opened, closed }: Parameters<Write>[0]): ReturnType<Write> {
    this.asked++
    await this.answer()
    if (this.away) throw new Error('the store is away')
    const known = this.processes.get(instance)
    const sessions = known ?? new Map<string, LiveSession>()
    this.processes.set(instance, sessions)
    for (const session of opened) sessions.set(session.id, session)
    for (const id of closed) sessions.delete(id)
    return { fresh: known === undefined, toEnd: this.toEnd }
  }
}

type Write = SessionsStore['writeSessions']

let ledger: Ledger
let registry: SessionRegistry
let problems: unknown[]
let hear: (body: { readonly session?: string }) => void

beforeEach(() => {
  vi.useFakeTimers()
  ledger = new Ledger()
  problems = []
  registry = new SessionRegistry({
    store: ledger,
    notices: {
      hear: (topic, heard) => {
        expect(topic).toBe('session.end')
        hear = (body) => heard(body, 'other')
      },
    },
    onProblem: (error) => problems.push(error),
  })
  registry.start()
})

afterEach(async () => {
  await registry.stop()
  vi.useRealTimers()
})

function open(id: string): { readonly failures: Failure[] } {
  const failures: Failure[] = []
  const who = { grantId: 'g1', principal: 'alice', target: 'shop', role: 'read_only' }
  const session = { ...who, id, client: '192.0.2.1:5000', application: undefined, startedAt: 0 }
  registry.opened(session, (failure) => failures.push(failure))
  return { failures }
}

async function beats(count: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(count * 2_000)
}

describe('the sessions of a process', () => {
  it('are in the store with the next beat, and out of it at once when they end', async () => {
    open('s1')
    open('s2')
    expect(ledger.ids).toEqual([])
    await beats(1)
    expect(ledger.ids).toEqual(['s1', 's2'])
    expect(ledger.asked).toBe(1)
    registry.closed('s1')
    await vi.advanceTimersByTimeAsync(200)
    expect(ledger.ids).toEqual(['s2'])
  })

  it('are written at once for whoever asks', async () => {
    open('s1')
    await registry.flush()
    expect(ledger.ids).toEqual(['s1'])
  })

  it('are never written when they are shorter than a beat, and nothing is where there is none', async () => {
    for (let n = 0; n < 1_000; n++) {
      open(`s${n}`)
      registry.closed(`s${n}`)
    }
    await beats(2)
    expect(ledger.asked).toBe(0)
  })

  it('are all written again when the store had taken the process for dead', async () => {
    open('s1')
    await beats(1)
    ledger.processes.clear()
    open('s2')
    await beats(1)
    expect([...ledger.ids].sort()).toEqual(['s1', 's2'])
  })

  it('are written after all when the store was away, of which one hears once', async () => {
    ledger.away = true
    open('s1')
    await beats(5)
    expect(problems).toHaveLength(1)
    ledger.away = false
    await beats(1)
    expect(ledger.ids).toEqual(['s1'])
  })

  it('do not stay in the store when they end while they are being written', async () => {
    let answer = (): void => undefined
    ledger.answer = () =>
      new Promise((resolve) => {
        answer = resolve
      })
    open('s1')
    await beats(1)
    registry.closed('s1')
    ledger.answer = () => Promise.resolve()
    answer()
    await vi.advanceTimersByTimeAsync(250)
    expect(ledger.ids).toEqual([])
  })

  it('cost no memory without end when the store does not listen for long', async () => {
    for (let n = 0; n < 10_500; n++) open(`s${n}`)
    await beats(1)
    ledger.away = true
    for (let n = 0; n < 10_499; n++) registry.closed(`s${n}`)
    ledger.away = false
    await beats(1)
    // Under a new name: the old one is silent from now on, and dropped as dead.
    expect(ledger.processes.size).toBe(2)
    expect([...([...ledger.processes.values()][1]?.keys() ?? [])]).toEqual(['s10499'])
  })
})

describe('a session that somebody wants to end', () => {
  it('is ended where it is when one hears of it, and its client is told by whom', async () => {
    const [ended, other] = [open('s1'), open('s2')]
    hear({ session: 's1' })
    hear({ session: 'elsewhere' })
    hear({})
    expect(ended.failures).toMatchObject([
      {
        sqlstate: '57P01',
        message: 'terminating connection because this session was ended by an operator',
      },
    ])
    expect(other.failures).toEqual([])
  })

  it('is ended with the next beat when nobody said it', async () => {
    const { failures } = open('s1')
    ledger.toEnd = ['s1', 'gone already']
    await beats(1)
    expect(failures).toHaveLength(1)
  })
})
