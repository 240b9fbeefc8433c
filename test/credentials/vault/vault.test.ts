import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Failure } from '../../../src/errors.ts'
import { Secret } from '../../../src/secret.ts'
import {
  problemFrom,
  refusedConnection,
  status,
  vaultInMemory,
} from '../../support/vault-in-memory.ts'

beforeEach(() => void vi.useFakeTimers({ now: 1_000_000 }))
afterEach(() => void vi.useRealTimers())

const creds = 'database/creds/shop-ro'

describe('a question to Vault', () => {
  it('is answered with data, lease and the token that it hangs on', async () => {
    const { vault } = vaultInMemory()
    expect(await vault.read(creds)).toEqual({
      data: { username: expect.stringMatching(/^v-/), password: expect.stringMatching(/^pw-/) },
      leaseId: expect.stringMatching(/^database\/creds\/shop-ro\//),
      leaseMs: 3_600_000,
      renewable: true,
      token: expect.objectContaining({ endsAt: undefined }),
    })
  })

  it.each([
    ['sealed', status(503, 'Vault is sealed')],
    ['standby', { status: 307, retryAfter: undefined, body: '' }],
    ['throttled', status(429, 'rate limit quota exceeded')],
    ['failing', status(500, 'internal error')],
    ['unreachable', refusedConnection()],
  ] as const)('is asked again while Vault is %s, until it is not', async (_, trouble) => {
    const { vault, meet, told } = vaultInMemory()
    meet(() => trouble)
    const answer = vault.read(creds)
    await vi.advanceTimersByTimeAsync(3_000)
    meet(undefined)
    await vi.advanceTimersByTimeAsync(2_000)
    expect(await answer).toMatchObject({ renewable: true })
    expect(told.asked.length).toBeGreaterThan(4)
    expect(told.asked.length).toBeLessThan(12)
  })

  it('waits no longer than it may', async () => {
    const { vault, meet } = vaultInMemory({ waitForMs: 3_000 })
    meet(() => status(503, 'Vault is sealed'))
    let problem: unknown
    void problemFrom(vault.read(creds)).then((one) => {
      problem = one
    })
    await vi.advanceTimersByTimeAsync(1_500)
    expect(problem).toBeUndefined()
    await vi.advanceTimersByTimeAsync(1_500)
    expect(problem).toMatchObject({ kind: 'sealed' })
  })
})
