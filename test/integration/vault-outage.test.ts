// A Vault that is away: stopped, sealed, or answering nothing. Who is in stays in; who comes is told what
// is wrong; and when Vault is back nobody has to do anything. VAULT_OUTAGE_SECONDS makes the outage under
// load longer.

import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { describeWithOwnVault, startOwnVault } from '../support/vault.ts'
import type { OwnVault } from '../support/vault-process.ts'
import { VaultShop } from '../support/vault-shop.ts'
import { refusal, type Session, session, vaultWarden } from '../support/vault-warden.ts'
import type { Warden } from '../support/warden.ts'

const adminUrl = inject('adminUrl')
const outageMs = 1000 * Number(process.env['VAULT_OUTAGE_SECONDS'] ?? '4')
const unreachable = 'the credential service cannot be reached'
/** Waiting for Vault, the last question to it, and everything else about a login. */
const toldWithin = 1_000 + 2 * 1_000 + 1_000

describeWithOwnVault('while Vault is away', () => {
  let vault: OwnVault
  let shop: VaultShop
  let warden: Warden

  beforeAll(async () => {
    vault = await startOwnVault()
    const ttl = `${Math.max(60, (3 * outageMs) / 1000)}s`
    shop = await VaultShop.open(adminUrl, { load: { ttl, maxTtl: '2h' } }, vault)
  })
  beforeEach(async () => {
    warden = await vaultWarden(adminUrl, shop, {
      vault: ['timeout: 1s', 'waitFor: 1s'],
      logins: ['  roles: { admin: shop, read_only: load }'],
    })
  })
  afterEach(() => warden.stop())
  afterAll(() => shop.close())

  async function readiness(): Promise<string> {
    const answer = await fetch(`http://127.0.0.1:${warden.httpPort}/readyz`)
    return `${answer.status} ${await answer.text()}`
  }

  /** Until somebody can log in on a new grant; answers how long that took. */
  async function recovered(): Promise<number> {
    const since = performance.now()
    await eventually(async () => {
      try {
        const { client } = await session(await warden.login('admin'))
        await client.end()
        return true
      } catch {
        return false
      }
    }, 60_000)
    return performance.now() - since
  }

  it.each([
    {
      state: 'stopped',
      begin: () => vault.kill(),
      end: () => vault.restart(),
      said: unreachable,
    },
    {
      state: 'sealed',
      begin: () => vault.seal(),
      end: () => vault.unseal(),
      said: 'the credential service is sealed',
    },
    {
      state: 'answering nothing',
      begin: () => Promise.resolve(vault.pause()),
      end: () => Promise.resolve(vault.resume()),
      said: unreachable,
    },
  ])(
    '($state) sessions and warm leases go on, others are told, and all is well afterwards',
    async ({ begin, end, said }) => {
      const login = await warden.login('admin')
      const live = await session(login)
      expect(await readiness()).toMatch(/^200 .*"vault":"ok"/)
      await begin()
      try {
        const warm = await session(login)
        expect(warm.role).toBe(live.role)
        const since = performance.now()
        const error = await refusal(await warden.login('admin'))
        expect(performance.now() - since).toBeLessThan(toldWithin)
        expect(error).toMatchObject({ code: '57P03', severity: 'FATAL', message: said })
        expect(JSON.stringify(error)).not.toMatch(/127[.]0|vault/i)
        expect(await readiness()).toMatch(/^200 .*"vault":"(?!ok)/)
        await warm.client.end()
      } finally {
        await end()
      }
      await recovered()
      await eventually(async () => (await readiness()).includes('"vault":"ok"'))
      expect((await live.client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
      await live.client.end()
    },
  )

  it(
    '(stopped, under load) no session is lost, and new ones get in soon after',
    async () => {
      const logins = await Promise.all([1, 2, 3, 4].map(() => warden.login('read_only')))
      const sessions = await Promise.all([...logins, ...logins].map((login) => session(login)))
      let over = false
      const work = async ({ client }: Session): Promise<number> => {
        let statements = 0
        while (!over) {
          await client.query('select count(*) from generate_series(1, 100)')
          statements += 1
          await sleep(5)
        }
        return statements
      }
      const working = Promise.all(sessions.map(work))

      await vault.kill()
      const refused: unknown[] = []
      let slowest = 0
      for (const end = performance.now() + outageMs; performance.now() < end; ) {
        const login = await warden.login('admin')
        const since = performance.now()
        refused.push(await refusal(login))
        slowest = Math.max(slowest, performance.now() - since)
        await sleep(100)
      }
      await vault.restart()
      const backAfter = await recovered()

      over = true
      const statements = await working
      expect(statements.every((count) => count > 10)).toBe(true)
      expect(refused.length).toBeGreaterThan(2)
      for (const error of refused)
        expect(error).toMatchObject({ code: '57P03', message: unreachable })
      expect(slowest).toBeLessThan(toldWithin)
      expect(backAfter).toBeLessThan(20_000)
      console.info(
        `Vault away for ${outageMs} ms: ${statements.reduce((sum, count) => sum + count, 0)} statements` +
          ` of ${sessions.length} sessions, ${refused.length} logins refused within` +
          ` ${Math.round(slowest)} ms, back after ${Math.round(backAfter)} ms`,
      )
      for (const { client } of sessions) await client.end()
    },
    outageMs + 60_000,
  )
})
