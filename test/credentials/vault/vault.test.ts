import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { VaultProblem } from '../../../src/credentials/vault/problem.ts'
import { Failure } from '../../../src/errors.ts'
import {
  problemFrom,
  refusedConnection,
  status,
  vaultInMemory,
} from '../../support/vault-in-memory.ts'

beforeEach(() => void vi.useFakeTimers({ now: 1_000_000 }))
afterEach(() => void vi.useRealTimers())

const creds = 'database/creds/shop-ro'
const lookup = 'auth/token/lookup-self'
const sealed = status(503, 'Vault is sealed')

describe('a question to Vault', () => {
  it('is answered with data, lease and the token that the lease hangs on', async () => {
    const { vault } = vaultInMemory()
    const { data, leaseId, leaseMs, renewable, token } = await vault.read(creds)
    expect(data['username']).toMatch(/^v-/)
    expect(data['password']).toMatch(/^pw-/)
    expect(leaseId).toMatch(/^database\/creds\/shop-ro\//)
    expect([leaseMs, renewable, token.endsAt]).toEqual([3_600_000, true, undefined])
  })

  it.each([
    ['sealed', sealed],
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
    meet(() => sealed)
    let problem: unknown
    void problemFrom(vault.read(creds)).then((one) => {
      problem = one
    })
    await vi.advanceTimersByTimeAsync(1_500)
    expect(problem).toBeUndefined()
    await vi.advanceTimersByTimeAsync(1_500)
    expect(problem).toMatchObject({ kind: 'sealed' })
  })

  it('is asked once by whoever has no patience', async () => {
    const { vault, meet, requests } = vaultInMemory()
    meet(() => sealed)
    expect(await problemFrom(vault.read(creds, { waitMs: 0 }))).toMatchObject({ kind: 'sealed' })
    expect(requests).toHaveLength(1)
  })

  it('stays away as long as Vault says, or gives up when that is too long', async () => {
    const { vault, meet, paths } = vaultInMemory()
    const busy = (seconds: string) => () => ({ ...status(429), retryAfter: seconds })
    await vault.read(creds)
    meet(busy('3'))
    const answer = vault.read(creds)
    await vi.advanceTimersByTimeAsync(1)
    meet(undefined)
    await vi.advanceTimersByTimeAsync(2_900)
    expect(paths().filter((path) => path === creds)).toHaveLength(2)
    await vi.advanceTimersByTimeAsync(200)
    expect(await answer).toMatchObject({ renewable: true })

    meet(busy('60'))
    expect(await problemFrom(vault.read(creds))).toMatchObject({ kind: 'throttled' })
  })

  it('is not asked again when it may have been obeyed: nobody would know of the first lease', async () => {
    const { vault, meet, paths } = vaultInMemory()
    await vault.read(lookup)
    meet(() => new VaultProblem('unreachable', 'no answer', { unanswered: true }))
    expect(await problemFrom(vault.read(creds))).toMatchObject({
      kind: 'unreachable',
      unanswered: true,
    })
    expect(paths().filter((path) => path === creds)).toHaveLength(1)
  })

  it.each([
    [403, 'denied'],
    [404, 'missing'],
    [400, 'invalid'],
  ] as const)('is not asked again after %i', async (code, kind) => {
    const { vault, meet, paths } = vaultInMemory()
    meet(({ url }) => (url.pathname.endsWith(creds) ? status(code) : undefined))
    expect(await problemFrom(vault.read(creds))).toMatchObject({ kind })
    expect(paths().filter((path) => path === creds)).toHaveLength(1)
  })

  it('ends when the client behind it has left', async () => {
    const { vault, meet, requests } = vaultInMemory()
    meet(() => sealed)
    const left = new AbortController()
    const answer = vault.read(creds, { signal: left.signal }).catch((error: unknown) => error)
    await vi.advanceTimersByTimeAsync(50)
    left.abort(new Error('the client left'))
    expect(await answer).toMatchObject({ message: 'the client left' })
    const asked = requests.length
    await vi.advanceTimersByTimeAsync(5_000)
    expect(requests).toHaveLength(asked)
  })

  it('is not asked any more by a pgwarden that stops', async () => {
    const { vault, requests } = vaultInMemory()
    await vault.stop()
    expect(await problemFrom(vault.read(creds, { waitMs: 0 }))).toMatchObject({
      kind: 'unreachable',
      message: 'pgwarden is stopping',
    })
    expect(requests).toEqual([])
  })
})

describe('several servers', () => {
  const addresses = ['https://one.test', 'https://two.test', 'https://three.test']

  it('are asked in order until one serves, and that one first from then on', async () => {
    const { vault, meet, requests } = vaultInMemory({ addresses })
    meet(({ url }) => {
      if (url.host === 'one.test') return refusedConnection()
      return url.host === 'two.test' ? sealed : undefined
    })
    await vault.read(creds)
    expect(requests.map(({ url }) => url.host)).toEqual([
      'one.test',
      'two.test',
      'three.test',
      'three.test',
    ])
    requests.length = 0
    await vi.advanceTimersByTimeAsync(60_000)
    await vault.read(creds)
    expect(requests.map(({ url }) => url.host)).toEqual(['three.test'])
  })

  it('are no way round a denial, and none to a second lease', async () => {
    const { vault, meet, requests } = vaultInMemory({ addresses })
    await vault.read(lookup)
    for (const trouble of [
      status(403),
      status(500),
      new VaultProblem('unreachable', 'cut', { unanswered: true }),
    ]) {
      requests.length = 0
      meet(({ url }) => (url.pathname.endsWith(creds) ? trouble : undefined))
      expect(await problemFrom(vault.read(creds, { waitMs: 0 }))).toBeDefined()
      expect(requests.filter(({ url }) => url.pathname.endsWith(creds))).toHaveLength(1)
    }
  })

  it('are not asked for a second lease when the one that may have issued the first died of it', async () => {
    const { vault, meet, requests } = vaultInMemory({ addresses })
    await vault.read(lookup)
    meet(({ url }) =>
      url.host === 'one.test'
        ? new VaultProblem('unreachable', 'cut', { unanswered: true })
        : undefined,
    )
    expect(await problemFrom(vault.read(creds))).toMatchObject({
      kind: 'unreachable',
      unanswered: true,
    })
    expect(requests.filter(({ url }) => url.pathname.endsWith(creds))).toHaveLength(1)
    // The next question goes to the next server.
    await vault.read(creds)
    expect(requests.at(-1)?.url.host).toBe('two.test')
  })

  it('share the time of one: a dead one leaves the others theirs', async () => {
    const { vault, meet, requests } = vaultInMemory({ addresses, timeoutMs: 3_000 })
    meet(() => refusedConnection())
    await problemFrom(vault.read(creds, { waitMs: 0 }))
    expect(requests.map(({ connectMs, timeoutMs }) => [connectMs, timeoutMs])).toEqual([
      [1_000, 3_000],
      [1_500, 3_000],
      [3_000, 3_000],
    ])
  })

  it('tell the log of each what is the matter', async () => {
    const { vault, meet } = vaultInMemory({ addresses })
    meet(({ url }) => (url.host === 'two.test' ? sealed : refusedConnection()))
    const problem = await problemFrom(vault.read(creds, { waitMs: 0 }))
    expect(problem).toMatchObject({ kind: 'sealed' })
    expect(problem?.message).toMatch(/ECONNREFUSED; .*two[.]test.* status 503.*; .*ECONNREFUSED/)
  })
})

describe('a Vault that does not answer one question', () => {
  const unanswered = new VaultProblem('unreachable', 'no answer', { unanswered: true })

  it('is alive when it answers another: one dead database closes no door to the others', async () => {
    const { vault, meet, told } = vaultInMemory()
    await vault.read(lookup)
    meet(({ url }) => (url.pathname.endsWith(creds) ? unanswered : undefined))
    for (let i = 0; i < 10; i += 1) {
      expect(await problemFrom(vault.read(creds))).toMatchObject({
        kind: 'failing',
        unanswered: true,
      })
    }
    expect(told.breaker).toEqual([])
    expect(await vault.read('database/creds/hr-ro')).toMatchObject({ renewable: true })
  })
})

describe('a Vault that serves nobody', () => {
  it('holds up some logins, turns the next away at once, and serves again by itself', async () => {
    const { vault, meet, requests, told } = vaultInMemory()
    await vault.read(creds)
    meet(() => sealed)
    const logins = Array.from({ length: 100 }, () => problemFrom(vault.read(creds)))
    await vi.advanceTimersByTimeAsync(4_000)
    for (const login of logins) expect(await login).toMatchObject({ kind: 'sealed' })
    expect(told.breaker).toEqual([true])

    const asked = requests.length
    const refused = await problemFrom(vault.read(creds))
    expect(refused).toMatchObject({ kind: 'sealed' })
    expect(refused?.message).toMatch(/^not asked again yet, after: GET https:\/\/vault.test/)
    expect(requests).toHaveLength(asked)

    meet(undefined)
    await vi.advanceTimersByTimeAsync(1_000)
    expect(await vault.read(creds)).toMatchObject({ renewable: true })
    expect(told.breaker).toEqual([true, false])
  })

  it('fails the check of readiness with a sentence that names no internals', async () => {
    const { vault, meet } = vaultInMemory()
    await vault.check()
    meet(() => sealed)
    const failure: unknown = await vault.check().catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(Failure)
    expect(failure).toMatchObject({ message: 'the credential service is sealed', status: 503 })
    meet(undefined)
    await vault.check()
  })

  it('is asked for a sign of health once, however many want to know', async () => {
    const { vault, requests } = vaultInMemory()
    await vault.check()
    requests.length = 0
    await Promise.all(Array.from({ length: 50 }, () => vault.check()))
    expect(requests).toHaveLength(1)
  })
})
