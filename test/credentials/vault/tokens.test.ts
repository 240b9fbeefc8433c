import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { AuthSettings } from '../../../src/credentials/vault/authentication.ts'
import { Secret } from '../../../src/secret.ts'
import type { FakeVaultState } from '../../support/fake-vault-state.ts'
import {
  problemFrom,
  refusedConnection,
  status,
  testClock,
  type VaultInMemory,
  vaultInMemory,
} from '../../support/vault-in-memory.ts'

const directory = mkdtempSync(join(tmpdir(), 'pgwarden-vault-tokens-'))
afterAll(() => rmSync(directory, { recursive: true }))

// Files are really read while the time of the tests stands still.
beforeEach(
  () =>
    void vi.useFakeTimers({
      now: 1_000_000,
      toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance'],
    }),
)
afterEach(() => void vi.useRealTimers())

const creds = 'database/creds/shop-ro'
const login = 'auth/approle/login'
const renew = 'auth/token/renew-self'
const revoke = 'auth/token/revoke-self'
const hour = 3_600_000

function appRole(state: FakeVaultState): AuthSettings {
  const secretIdFile = join(directory, 'secret-id')
  writeFileSync(secretIdFile, `${state.newSecretId()}\n`)
  return {
    method: 'approle',
    mount: 'approle',
    roleId: new Secret(state.roleId),
    secretIdFile,
    wrapped: false,
  }
}

const withAppRole = (): VaultInMemory => vaultInMemory((state) => ({ auth: appRole(state) }))
const times = (subject: VaultInMemory, path: string): number =>
  subject.paths().filter((one) => one === path).length

/** Lets file reads and everything behind them come to an end: real ones, which pass the same queue. */
async function settled(): Promise<void> {
  for (let i = 0; i < 20; i += 1) await stat(directory)
}

async function pass(ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms)
  await settled()
}

describe('our Vault token', () => {
  it('is obtained once for a hundred that come at the same moment', async () => {
    const subject = withAppRole()
    await Promise.all(Array.from({ length: 100 }, () => subject.vault.read(creds)))
    expect(times(subject, login)).toBe(1)
  })

  it('is there before anybody asks, and its end is told', async () => {
    const subject = withAppRole()
    subject.vault.start()
    await vi.waitFor(() => expect(subject.told.tokenEnds).toHaveLength(1))
    expect(subject.told.tokenEnds[0]).toBeCloseTo(Date.now() + hour, -3)
  })

  it('is renewed at two thirds of its life, and the leases’ token moves along', async () => {
    const subject = withAppRole()
    const { token } = await subject.vault.read(creds)
    const ends = token.endsAt ?? 0
    await pass(hour * 0.66)
    expect(times(subject, renew)).toBe(0)
    await pass(hour * 0.02)
    expect(times(subject, renew)).toBe(1)
    expect(token.endsAt).toBeGreaterThan(ends)
    expect((await subject.vault.read(creds)).token).toBe(token)
    // And again, and again.
    await pass(10 * hour)
    expect(times(subject, login)).toBe(1)
    expect(token.endsAt).toBeGreaterThan(testClock.elapsed())
  })

  it('is obtained afresh when its maximum is near, and the old one is left to end', async () => {
    const subject = withAppRole()
    subject.state.loginTerms = { ttlMs: hour, maxTtlMs: 1.5 * hour }
    const { token } = await subject.vault.read(creds)
    await pass(0.68 * hour)
    expect(times(subject, renew)).toBe(1)
    await vi.waitFor(() => expect(times(subject, login)).toBe(2))
    const later = await subject.vault.read(creds)
    expect(later.token).not.toBe(token)
    expect(times(subject, revoke)).toBe(0)
    expect(subject.state.tokens.size).toBe(2)
  })

  it('is obtained afresh when it is not renewable', async () => {
    const subject = withAppRole()
    subject.state.loginTerms = { ttlMs: hour, renewable: false }
    await subject.vault.read(creds)
    await pass(0.7 * hour)
    await vi.waitFor(() => expect(times(subject, login)).toBe(2))
    expect(times(subject, renew)).toBe(0)
  })

  it('is obtained afresh when its renewal is denied', async () => {
    const subject = withAppRole()
    await subject.vault.read(creds)
    subject.meet(({ url }) => (url.pathname.endsWith(renew) ? status(403) : undefined))
    await pass(0.7 * hour)
    await vi.waitFor(() => expect(times(subject, login)).toBe(2))
  })

  it('outlives a Vault that is sealed in the middle of its renewal', async () => {
    const subject = withAppRole()
    const { token } = await subject.vault.read(creds)
    subject.meet(() => status(503, 'Vault is sealed'))
    await pass(0.7 * hour)
    await pass(300_000)
    const tries = times(subject, renew)
    expect(tries).toBeGreaterThan(8)
    expect(tries).toBeLessThan(30)
    expect(subject.told.problems).toHaveLength(tries)
    subject.meet(undefined)
    await pass(30_000)
    expect(times(subject, renew)).toBe(tries + 1)
    expect((await subject.vault.read(creds)).token).toBe(token)
  })

  it('is renewed in its turn when it took the place of one whose renewal was still under way', async () => {
    const subject = withAppRole()
    await subject.vault.read(creds)
    let answer = (_: ReturnType<typeof status>): void => {}
    const late = new Promise<ReturnType<typeof status>>((resolve) => {
      answer = resolve
    })
    subject.meet(({ url }) => (url.pathname.endsWith(renew) ? late : undefined))
    await pass(0.7 * hour)
    subject.state.tokens.clear()
    const { token } = await subject.vault.read(creds)
    subject.meet(undefined)
    answer(status(503, 'Vault is sealed'))
    await pass(0.7 * hour)
    expect(times(subject, renew)).toBe(2)
    expect(token.endsAt).toBeGreaterThan(testClock.elapsed() + 0.9 * hour)
  })

  it('is obtained afresh when Vault was away until it had ended', async () => {
    const subject = withAppRole()
    const { token } = await subject.vault.read(creds)
    subject.meet(() => refusedConnection())
    await pass(2 * hour)
    subject.meet(undefined)
    expect((await subject.vault.read(creds)).token).not.toBe(token)
  })

  it('is obtained afresh, once, when somebody has revoked it', async () => {
    const subject = withAppRole()
    await subject.vault.read(creds)
    subject.state.tokens.clear()
    const again = await Promise.all(Array.from({ length: 20 }, () => subject.vault.read(creds)))
    expect(new Set(again.map(({ token }) => token)).size).toBe(1)
    expect(times(subject, login)).toBe(2)
    expect(times(subject, 'auth/token/lookup-self')).toBe(1)
  })

  it('is kept when it is good and merely may not do what was asked', async () => {
    const subject = withAppRole()
    await subject.vault.read(creds)
    subject.meet(({ url }) => (url.pathname.endsWith('hr') ? status(403) : undefined))
    for (let i = 0; i < 3; i += 1) {
      expect(await problemFrom(subject.vault.read('database/creds/hr'))).toMatchObject({
        kind: 'denied',
      })
    }
    expect(times(subject, 'database/creds/hr')).toBe(3)
    expect(times(subject, login)).toBe(1)
  })

  it('is not asked for in a loop when every token is refused', async () => {
    const subject = withAppRole()
    await subject.vault.read(creds)
    subject.meet(({ url }) => (url.pathname.endsWith('login') ? undefined : status(403)))
    expect(await problemFrom(subject.vault.read(creds))).toMatchObject({ kind: 'denied' })
    expect(times(subject, login)).toBe(2)
    expect(times(subject, creds)).toBe(3)
  })

  it('is not asked for by every client when the login is refused: Vault would lock us out', async () => {
    const subject = withAppRole()
    subject.state.secretIds.clear()
    for (let i = 0; i < 20; i += 1) {
      expect(await problemFrom(subject.vault.read(creds))).toMatchObject({
        kind: 'unauthenticated',
      })
    }
    expect(times(subject, login)).toBe(1)
    await pass(10_000)
    await problemFrom(subject.vault.read(creds))
    await problemFrom(subject.vault.read(creds))
    expect(times(subject, login)).toBe(2)
  })

  it('is asked for at once when another secret id lies there', async () => {
    const subject = withAppRole()
    const [good] = subject.state.secretIds
    subject.state.secretIds.clear()
    await problemFrom(subject.vault.read(creds))
    const another = subject.state.newSecretId()
    expect(another).not.toBe(good)
    writeFileSync(join(directory, 'secret-id'), another)
    expect(await subject.vault.read(creds)).toMatchObject({ renewable: true })
  })

  it('is kept when what we logged in with has changed since', async () => {
    const subject = withAppRole()
    const { token } = await subject.vault.read(creds)
    writeFileSync(join(directory, 'secret-id'), subject.state.newSecretId())
    await pass(5_000)
    expect((await subject.vault.read(creds)).token).toBe(token)
  })

  it('is tried for again and again in the background until Vault is there', async () => {
    const subject = withAppRole()
    subject.meet(() => refusedConnection())
    subject.vault.start()
    await vi.waitFor(() => expect(subject.told.problems).not.toHaveLength(0))
    for (let i = 0; i < 30; i += 1) await pass(10_000)
    expect(times(subject, login)).toBeGreaterThan(8)
    expect(times(subject, login)).toBeLessThan(25)
    subject.meet(undefined)
    await pass(30_000)
    expect(subject.told.tokenEnds).toHaveLength(1)
  })

  it('is given back at the stop, those before it as well, with every lease on them', async () => {
    const subject = withAppRole()
    subject.state.loginTerms = { ttlMs: hour, renewable: false }
    await subject.vault.read(creds)
    await pass(0.7 * hour)
    await vi.waitFor(() => expect(times(subject, login)).toBe(2))
    await subject.vault.read(creds)
    await subject.vault.stop()
    expect(times(subject, revoke)).toBe(2)
    expect([subject.state.tokens.size, subject.state.leases.size]).toEqual([0, 0])
    await pass(10 * hour)
    expect(times(subject, login)).toBe(2)
  })

  it('does not keep a stop waiting when Vault is away', async () => {
    const subject = withAppRole()
    await subject.vault.read(creds)
    subject.meet(() => refusedConnection())
    await subject.vault.stop()
  })
})

describe('a token that was given', () => {
  const file = join(directory, 'token')
  const given = (terms = {}): VaultInMemory =>
    vaultInMemory((state) => {
      writeFileSync(file, `${state.newToken(terms)}\n`)
      return { auth: { method: 'token', token: { file } } }
    })

  it('tells its life, and is renewed', async () => {
    const subject = given({ ttlMs: hour })
    const { token } = await subject.vault.read(creds)
    expect(token.endsAt).toBeCloseTo(testClock.elapsed() + hour, -2)
    await pass(0.7 * hour)
    expect(times(subject, renew)).toBe(1)
  })

  it('may never end', async () => {
    const subject = given()
    expect((await subject.vault.read(creds)).token.endsAt).toBeUndefined()
    expect(subject.told.tokenEnds).toEqual([undefined])
  })

  it('is exchanged when its file changes, and not before the new one is good', async () => {
    const subject = given()
    const { token } = await subject.vault.read(creds)
    writeFileSync(file, 'not-a-token-of-this-vault')
    await pass(1_000)
    expect((await subject.vault.read(creds)).token).toBe(token)
    writeFileSync(file, subject.state.newToken())
    await pass(2_000)
    expect((await subject.vault.read(creds)).token).not.toBe(token)
    rmSync(file)
    await pass(2_000)
    await subject.vault.read(creds)
  })

  it('is read again when Vault refuses it', async () => {
    const subject = given()
    await subject.vault.read(creds)
    subject.state.tokens.clear()
    writeFileSync(file, subject.state.newToken())
    await subject.vault.read(creds)
  })

  it('is not ours to give back', async () => {
    const subject = given({ ttlMs: hour })
    await subject.vault.read(creds)
    await subject.vault.stop()
    expect(times(subject, revoke)).toBe(0)
  })

  it('is missed aloud when it ends and nobody has renewed it, without flooding the log', async () => {
    const subject = given({ ttlMs: hour, renewable: false })
    await subject.vault.read(creds)
    for (let i = 0; i < 60; i += 1) await pass(60_000)
    expect(inspect(subject.told.problems[0])).toContain('ends and is not renewed')
    expect(subject.told.problems.length).toBeLessThan(30)
    expect(await problemFrom(subject.vault.read(creds))).toMatchObject({ kind: 'unauthenticated' })
  })

  it('may live longer than the longest timer', async () => {
    const day = 24 * hour
    const subject = given({ ttlMs: 60 * day })
    await subject.vault.read(creds)
    await pass(6 * day)
    expect(times(subject, renew)).toBe(0)
    await pass(2 * day)
    expect(times(subject, renew)).toBe(1)
  })
})
