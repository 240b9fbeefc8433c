import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Catalogs } from '../../src/catalog/catalogs.ts'
import type { CatalogSnapshot } from '../../src/policy/catalog.ts'
import { emptySnapshot } from '../support/catalogs.ts'

const every = 300_000
const clock = { now: () => Date.now(), elapsed: () => Date.now() }

function snapshot(serverVersion: number): CatalogSnapshot {
  return { ...emptySnapshot, serverVersion }
}

let reads: string[] = []
let problems: unknown[] = []
let counted: string[] = []
let answer: (signal: AbortSignal) => Promise<CatalogSnapshot>
let catalogs: Catalogs

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 })
  reads = []
  problems = []
  counted = []
  answer = () => Promise.resolve(snapshot(180_000))
  catalogs = new Catalogs({
    read: (target, signal) => {
      reads.push(target)
      return answer(signal)
    },
    clock,
    onProblem: (_, error) => problems.push(error),
    meter: { catalogRead: (_, result) => counted.push(result) },
  })
})

afterEach(async () => {
  await catalogs.stop()
  vi.useRealTimers()
})

/** What takes this long, and ends at once when it is aborted. */
function taking(ms: number): typeof answer {
  return (signal) =>
    new Promise((resolve, reject) => {
      setTimeout(() => resolve(snapshot(180_000)), ms)
      signal.addEventListener('abort', () => reject(signal.reason))
    })
}

describe('the catalog of a target', () => {
  it('is read at the start and every few minutes', async () => {
    catalogs.watch(new Map([['shop', every]]))
    await vi.advanceTimersByTimeAsync(0)
    expect(catalogs.of('shop')?.serverVersion).toBe(180_000)
    await vi.advanceTimersByTimeAsync(2 * every)
    expect(reads).toEqual(['shop', 'shop', 'shop'])
  })

  it('is unknown where none is to be read', async () => {
    catalogs.watch(new Map([['shop', every]]))
    await catalogs.ready('bank')
    catalogs.changed('bank')
    expect(catalogs.of('bank')).toBeUndefined()
  })

  it('stays the same object while nothing in it changes, so that judgements last', async () => {
    catalogs.watch(new Map([['shop', every]]))
    await vi.advanceTimersByTimeAsync(0)
    const first = catalogs.of('shop')
    await vi.advanceTimersByTimeAsync(every)
    expect(catalogs.of('shop')).toBe(first)
    answer = () => Promise.resolve(snapshot(180_001))
    await vi.advanceTimersByTimeAsync(every)
    expect(catalogs.of('shop')?.serverVersion).toBe(180_001)
    expect(counted).toEqual(['changed', 'unchanged', 'changed'])
  })

  it('is read once, and soon, after many changes', async () => {
    catalogs.watch(new Map([['shop', every]]))
    await vi.advanceTimersByTimeAsync(1_000)
    for (let i = 0; i < 10; i++) {
      catalogs.changed('shop')
      await vi.advanceTimersByTimeAsync(19)
    }
    expect(reads).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(10)
    expect(reads).toHaveLength(2)
    await vi.advanceTimersByTimeAsync(10_000)
    expect(reads).toHaveLength(2)
  })

  it('is read once more after a change during a read, and never twice at a time', async () => {
    answer = taking(100)
    catalogs.watch(new Map([['shop', every]]))
    await vi.advanceTimersByTimeAsync(50)
    catalogs.changed('shop')
    catalogs.changed('shop')
    expect(reads).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(10_000)
    expect(reads).toHaveLength(2)
  })

  it('takes at most a fifth of the time to read, however often it changes', async () => {
    answer = taking(2_000)
    catalogs.watch(new Map([['shop', every]]))
    for (let i = 0; i < 990; i++) {
      await vi.advanceTimersByTimeAsync(100)
      catalogs.changed('shop')
    }
    expect(reads).toHaveLength(10)
  })

  it('is kept when it cannot be read again, which is told and tried with growing pauses', async () => {
    catalogs.watch(new Map([['shop', every]]))
    await vi.advanceTimersByTimeAsync(0)
    const first = catalogs.of('shop')
    answer = () => Promise.reject(new Error('away'))
    await vi.advanceTimersByTimeAsync(every + 1_000 + 2_000 + 4_000)
    expect(reads).toHaveLength(5)
    expect(problems).toHaveLength(4)
    expect(catalogs.of('shop')).toBe(first)
    // Changes do not make it hurry.
    catalogs.changed('shop')
    await vi.advanceTimersByTimeAsync(7_000)
    expect(reads).toHaveLength(5)
    answer = () => Promise.resolve(snapshot(180_001))
    await vi.advanceTimersByTimeAsync(1_000)
    expect(catalogs.of('shop')?.serverVersion).toBe(180_001)
  })
})

describe('who waits for a first snapshot', () => {
  async function waitsFor(ms: number): Promise<boolean> {
    let isReady = false
    void catalogs.ready('shop').then(() => {
      isReady = true
    })
    await vi.advanceTimersByTimeAsync(ms)
    return isReady
  }

  it('goes on when it is there', async () => {
    answer = taking(500)
    catalogs.watch(new Map([['shop', every]]))
    expect(await waitsFor(499)).toBe(false)
    expect(await waitsFor(1)).toBe(true)
  })

  it('goes on when it has failed', async () => {
    answer = () => Promise.reject(new Error('away'))
    catalogs.watch(new Map([['shop', every]]))
    expect(await waitsFor(0)).toBe(true)
  })

  it('goes on after a few seconds in any case', async () => {
    answer = taking(30_000)
    catalogs.watch(new Map([['shop', every]]))
    expect(await waitsFor(2_999)).toBe(false)
    expect(await waitsFor(1)).toBe(true)
  })
})

describe('a stop', () => {
  it('breaks off what is under way, and reads no more', async () => {
    answer = taking(30_000)
    catalogs.watch(new Map([['shop', every]]))
    await catalogs.stop()
    catalogs.changed('shop')
    await vi.advanceTimersByTimeAsync(2 * every)
    expect(reads).toHaveLength(1)
    expect(problems).toEqual([])
  })
})
