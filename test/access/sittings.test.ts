import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { SittingKeeper } from '../../src/access/sittings.ts'

const grace = 60_000
const clock = { now: () => Date.now(), elapsed: () => performance.now() }

let kept: { readonly ids: readonly string[]; readonly until: number }[] = []
let problems: unknown[] = []
let answer: () => Promise<void> = () => Promise.resolve()
let keeper: SittingKeeper

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 })
  kept = []
  problems = []
  answer = () => Promise.resolve()
  const tokens = {
    keepSittings: (ids: readonly string[], until: number) => {
      kept.push({ ids, until })
      return answer()
    },
  }
  keeper = new SittingKeeper(
    tokens,
    clock,
    () => ({ sittingGraceMs: grace }),
    (error) => {
      problems.push(error)
    },
  )
  keeper.start()
})

afterEach(async () => {
  await keeper.stop()
  vi.useRealTimers()
})

describe('a sitting', () => {
  it('is kept while a session of it is open, with time to spare for two failures', async () => {
    keeper.opened('a')
    await vi.advanceTimersByTimeAsync(grace)
    expect(kept.map(({ ids }) => ids)).toEqual([['a'], ['a'], ['a']])
    expect(kept[0]?.until).toBe(1_000_000 + grace / 3 + grace)
  })

  it('has its grace from the moment the session closes, and is then left alone', async () => {
    keeper.opened('a')
    await vi.advanceTimersByTimeAsync(1_000)
    keeper.closed('a')
    expect(kept).toEqual([{ ids: ['a'], until: 1_001_000 + grace }])
    await vi.advanceTimersByTimeAsync(2 * grace)
    expect(kept).toHaveLength(1)
  })

  it('goes on while one of several sessions is open', async () => {
    keeper.opened('a')
    keeper.opened('a')
    keeper.closed('a')
    kept = []
    await vi.advanceTimersByTimeAsync(grace / 3)
    expect(kept.map(({ ids }) => ids)).toEqual([['a']])
  })

  it('is tried again when the store did not answer', async () => {
    answer = () => Promise.reject(new Error('away'))
    keeper.opened('a')
    keeper.closed('a')
    await vi.advanceTimersByTimeAsync(0)
    expect(problems).toEqual([new Error('away')])
    answer = () => Promise.resolve()
    await vi.advanceTimersByTimeAsync(grace / 3)
    expect(kept.map(({ ids }) => ids)).toEqual([['a'], ['a']])
    await vi.advanceTimersByTimeAsync(grace)
    expect(kept).toHaveLength(2)
  })
})

describe('the keeper of sittings', () => {
  it('does not ask the store once a session when a thousand close together', async () => {
    for (let i = 0; i < 1000; i++) keeper.opened(`t${i}`)
    for (let i = 0; i < 1000; i++) keeper.closed(`t${i}`)
    await vi.advanceTimersByTimeAsync(0)
    expect(kept).toHaveLength(2)
    expect(kept.flatMap(({ ids }) => ids)).toEqual(expect.arrayContaining(['t0', 't999']))
  })

  it('asks nothing when there is nothing to keep', async () => {
    await vi.advanceTimersByTimeAsync(5 * grace)
    expect(kept).toEqual([])
  })

  it('waits at its stop for what is under way', async () => {
    let finish = (): void => {}
    answer = () =>
      new Promise((resolve) => {
        finish = resolve
      })
    keeper.opened('a')
    keeper.closed('a')
    let stopped = false
    const stop = keeper.stop().then(() => {
      stopped = true
    })
    await vi.advanceTimersByTimeAsync(grace)
    expect(stopped).toBe(false)
    finish()
    await stop
    expect(kept).toHaveLength(1)
  })
})
