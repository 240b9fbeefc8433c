// A Vault that is away: cut off, or sealed. Who is in stays in; who comes is told what is wrong; and when
// Vault is back nobody has to do anything. VAULT_OUTAGE_SECONDS makes the outage under load longer.

import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { Line } from '../support/line.ts'
import { VaultShop } from '../support/vault-shop.ts'
import { refusal, type Session, session, vaultWarden } from '../support/vault-warden.ts'
import type { Warden } from '../support/warden.ts'

const adminUrl = inject('adminUrl')
const outageMs = 1000 * Number(process.env['VAULT_OUTAGE_SECONDS'] ?? '4')
const sentence = 'the credential service cannot be reached'

let shop: VaultShop
let line: Line
let warden: Warden

beforeAll(async () => {
  shop = await VaultShop.open(adminUrl, {
    load: { ttl: `${Math.max(60, (3 * outageMs) / 1000)}s`, maxTtl: '2h' },
  })
})
beforeEach(async () => {
  const { hostname, port } = new URL(shop.vault.address)
  line = await Line.to(hostname, Number(port))
  warden = await vaultWarden(adminUrl, shop, {
    address: `http://127.0.0.1:${line.port}`,
    vault: ['timeout: 2s', 'waitFor: 1s'],
    logins: ['  roles: { admin: shop, read_only: load }'],
  })
})
afterEach(async () => {
  await warden.stop()
  await line.cut()
})
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

it('keeps sessions and warm leases going, tells others within the limit, and recovers by itself', async () => {
  const login = await warden.login('admin')
  const live = await session(login)
  expect(await readiness()).toMatch(/^200 /)
  await line.cut()

  const warm = await session(login)
  expect(warm.role).toBe(live.role)
  const since = performance.now()
  const error = await refusal(await warden.login('admin'))
  expect(performance.now() - since).toBeLessThan(4_000)
  expect(error).toMatchObject({ code: '57P03', severity: 'FATAL', message: sentence })
  expect(JSON.stringify(error)).not.toContain('127.0.0.1')
  expect(await readiness()).toMatch(/^503 .*vault/s)

  await line.mend()
  await recovered()
  expect(await readiness()).toMatch(/^200 /)
  for (const { client } of [live, warm]) {
    expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    await client.end()
  }
})

it(
  'loses no session under load while Vault is away, and lets new ones in soon after',
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

    await line.cut()
    const refused: unknown[] = []
    let slowest = 0
    for (const end = performance.now() + outageMs; performance.now() < end; ) {
      const since = performance.now()
      refused.push(await refusal(await warden.login('admin')))
      slowest = Math.max(slowest, performance.now() - since)
      await sleep(100)
    }
    await line.mend()
    const backAfter = await recovered()

    over = true
    const statements = await working
    expect(statements.every((count) => count > 10)).toBe(true)
    expect(refused.length).toBeGreaterThan(2)
    for (const error of refused) expect(error).toMatchObject({ code: '57P03', message: sentence })
    expect(slowest).toBeLessThan(4_000)
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
