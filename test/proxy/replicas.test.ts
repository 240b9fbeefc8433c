// Asking other processes for a session that is not here, with the others made up and the timers held.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Notices } from '../../src/proxy/ports.ts'
import { Replicas } from '../../src/proxy/replicas.ts'

type Heard = Parameters<Notices['hear']>[1]

class FakeNotices implements Notices {
  others = 1
  audible = true
  readonly told: { readonly topic: string; readonly body: Readonly<Record<string, string>> }[] = []
  readonly #heard = new Map<string, Heard>()

  tell(topic: string, body: Readonly<Record<string, string>>): Promise<boolean> {
    this.told.push({ topic, body })
    return Promise.resolve(this.audible)
  }

  hear(topic: string, heard: Heard): void {
    this.#heard.set(topic, heard)
  }

  says(topic: string, body: Readonly<Record<string, string>>, from = 'other'): void {
    this.#heard.get(topic)?.(body, from)
  }
}

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

const nobody = (): undefined => undefined

describe('a process that does not know a key', () => {
  it('waits for whoever says to have dealt with it, and no longer than two seconds', async () => {
    const notices = new FakeNotices()
    const replicas = new Replicas(notices, nobody)
    const taken = replicas.ask('digest', '192.0.2.1:5')
    expect(notices.told).toMatchObject([
      { topic: 'cancel', body: { digest: 'digest', client: '192.0.2.1:5' } },
    ])
    const id = notices.told[0]?.body['id'] ?? ''
    notices.says('cancelled', { id: 'another', session: 's0' })
    notices.says('cancelled', { id, session: 's1' })
    expect(await taken).toEqual({ takenBy: 'other', session: 's1' })

    const unanswered = replicas.ask('digest', '192.0.2.1:5')
    await vi.advanceTimersByTimeAsync(2_000)
    expect(await unanswered).toBeUndefined()
  })

  it('does not wait when nobody is there, or nobody can be told', async () => {
    const notices = new FakeNotices()
    const replicas = new Replicas(notices, nobody)
    notices.others = 0
    expect(await replicas.ask('digest', 'c')).toBeUndefined()
    expect(notices.told).toEqual([])
    notices.others = 1
    notices.audible = false
    expect(await replicas.ask('digest', 'c')).toBeUndefined()
  })

  it('waits for so many at once and no more: who waits longest gives way, and a flood stops nobody', async () => {
    const notices = new FakeNotices()
    const replicas = new Replicas(notices, nobody)
    const flood = Array.from({ length: 200 }, () => replicas.ask('digest', 'c'))
    const genuine = replicas.ask('genuine', 'c')
    expect(await Promise.all(flood.slice(0, 137))).toEqual(Array(137).fill(undefined))
    notices.says('cancelled', { id: notices.told.at(-1)?.body['id'] ?? '', session: 's1' })
    expect(await genuine).toEqual({ takenBy: 'other', session: 's1' })
    replicas.stop()
    expect(new Set(await Promise.all(flood))).toEqual(new Set([undefined]))
  })
})

describe('a process that has the session', () => {
  it('says so when it has dealt with it, to whoever asked', async () => {
    const notices = new FakeNotices()
    const take = vi.fn(() => Promise.resolve({ result: 'sent', session: 's1' } as const))
    new Replicas(notices, take)
    notices.says('cancel', { id: 'q1', digest: 'digest', client: 'c' })
    await vi.advanceTimersByTimeAsync(0)
    expect(take).toHaveBeenCalledExactlyOnceWith('digest', 'c', 'other')
    expect(notices.told).toEqual([{ topic: 'cancelled', body: { id: 'q1', session: 's1' } }])
  })

  it('says nothing of a key that is not its own, or of a notice that it cannot read', async () => {
    const notices = new FakeNotices()
    const take = vi.fn(nobody)
    new Replicas(notices, take)
    notices.says('cancel', { id: 'q1', digest: 'digest', client: 'c' })
    notices.says('cancel', { id: 'q2' })
    await vi.advanceTimersByTimeAsync(0)
    expect(take).toHaveBeenCalledTimes(1)
    expect(notices.told).toEqual([])
  })
})
