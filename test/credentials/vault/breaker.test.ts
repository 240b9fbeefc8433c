import { describe, expect, it } from 'vitest'
import { Addresses } from '../../../src/credentials/vault/addresses.ts'
import { Breaker } from '../../../src/credentials/vault/breaker.ts'

class Dead extends Error {}

function breaker(): {
  readonly changes: boolean[]
  pass(ms: number): void
  run(outcome: 'ok' | Error | Promise<unknown>): Promise<string>
} {
  let now = 0
  const changes: boolean[] = []
  const subject = new Breaker({
    clock: { now: () => 0, elapsed: () => now },
    after: 3,
    firstPauseMs: 1_000,
    longestPauseMs: 4_000,
    shows: (error) =>
      error instanceof Dead ? 'dead' : error instanceof TypeError ? 'alive' : 'nothing',
    refusal: (last) => new Error('open', { cause: last }),
    onChange: (isOpen) => changes.push(isOpen),
  })
  return {
    changes,
    pass: (ms) => {
      now += ms
    },
    run: (outcome) =>
      subject
        .run(async () => {
          if (outcome instanceof Error) throw outcome
          await outcome
        })
        .then(
          () => 'ok',
          (error: unknown) => (error instanceof Error ? error.message : ''),
        ),
  }
}

const dead = new Dead('dead')

async function opened(): Promise<ReturnType<typeof breaker>> {
  const subject = breaker()
  for (let i = 0; i < 3; i += 1) expect(await subject.run(dead)).toBe('dead')
  return subject
}

describe('the breaker', () => {
  it('turns everybody away at once after some failures in a row', async () => {
    const subject = await opened()
    expect(subject.changes).toEqual([true])
    expect(await subject.run('ok')).toBe('open')
  })

  it('counts only failures in a row', async () => {
    const subject = breaker()
    for (let i = 0; i < 10; i += 1) {
      await subject.run(dead)
      await subject.run(dead)
      await subject.run(i % 2 === 0 ? 'ok' : new TypeError('an answer'))
    }
    expect(subject.changes).toEqual([])
  })

  it('learns nothing from what shows nothing', async () => {
    const subject = breaker()
    await subject.run(dead)
    await subject.run(dead)
    await subject.run(new Error('the client left'))
    await subject.run(dead)
    expect(subject.changes).toEqual([true])
  })

  it('lets one through when its pause is over, and all when that one succeeds', async () => {
    const subject = await opened()
    subject.pass(1_000)
    let succeed = (): void => {}
    const probe = subject.run(new Promise<void>((resolve) => (succeed = resolve)))
    expect(await subject.run('ok')).toBe('open')
    succeed()
    expect(await probe).toBe('ok')
    expect(await subject.run('ok')).toBe('ok')
    expect(subject.changes).toEqual([true, false])
  })

  it('doubles its pause with every probe that fails, up to a limit, and begins anew', async () => {
    const subject = await opened()
    for (const pause of [1_000, 2_000, 4_000, 4_000]) {
      subject.pass(pause - 1)
      expect(await subject.run('ok')).toBe('open')
      subject.pass(1)
      expect(await subject.run(dead)).toBe('dead')
    }
    subject.pass(4_000)
    expect(await subject.run('ok')).toBe('ok')
    for (let i = 0; i < 3; i += 1) await subject.run(dead)
    subject.pass(1_000)
    expect(await subject.run('ok')).toBe('ok')
  })

  it('is not opened for longer by those that were under way when it opened', async () => {
    const subject = breaker()
    let fail = (): void => {}
    const late = new Promise<never>((_, reject) => {
      fail = () => reject(dead)
    })
    const waiting = Array.from({ length: 20 }, () => subject.run(late))
    fail()
    await Promise.all(waiting)
    subject.pass(1_000)
    expect(await subject.run('ok')).toBe('ok')
  })

  it('stays open when the client behind the probe left, and the next one probes', async () => {
    const subject = await opened()
    subject.pass(1_000)
    expect(await subject.run(new Error('the client left'))).toBe('the client left')
    expect(await subject.run('ok')).toBe('ok')
  })
})

describe('the servers of one Vault', () => {
  it('are asked in the order in which they are written', () => {
    const addresses = new Addresses(['a', 'b', 'c'], { now: () => 0, elapsed: () => 0 })
    expect(addresses.inOrder).toEqual(['a', 'b', 'c'])
  })

  it('are asked first that served last, and last that failed a moment ago', () => {
    let now = 0
    const addresses = new Addresses(['a', 'b', 'c'], { now: () => 0, elapsed: () => now })
    addresses.failed('a')
    addresses.served('b')
    expect(addresses.inOrder).toEqual(['b', 'c', 'a'])
    addresses.failed('b')
    expect(addresses.inOrder).toEqual(['c', 'a', 'b'])
    addresses.served('c')
    now = 30_000
    expect(addresses.inOrder).toEqual(['c', 'a', 'b'])
  })
})
