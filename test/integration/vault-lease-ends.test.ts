// What becomes of sessions when a lease of a real Vault comes to an end that no renewal can move.

import { afterAll, afterEach, beforeAll, expect, inject, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { VaultShop } from '../support/vault-shop.ts'
import { exchangeToken, type Session, session, vaultWarden } from '../support/vault-warden.ts'
import type { Warden } from '../support/warden.ts'

const adminUrl = inject('adminUrl')

let shop: VaultShop
let warden: Warden

beforeAll(async () => {
  shop = await VaultShop.open(adminUrl, { brief: { ttl: '6s', maxTtl: '12s' } })
})
afterEach(() => warden.stop())
afterAll(() => shop.close())

const works = async ({ client }: Session): Promise<boolean> =>
  (await client.query('select 1')).rowCount === 1

const told = ({ notices }: Session): boolean => notices.some(({ code }) => code === '01000')

it('a lease is renewed while it is used; near max_ttl its sessions are told, replaced and ended', async () => {
  warden = await vaultWarden(adminUrl, shop, { logins: ['  roles: { admin: brief }'] })
  const login = await warden.login('admin')
  const began = Date.now()
  const first = await session(login)
  await eventually(async () => (await works(first)) && told(first), 12_000)
  // Past its first six seconds: it was renewed.
  const second = await session(login)
  expect(second.role).not.toBe(first.role)
  expect(told(second)).toBe(false)
  expect(await first.ended).toMatchObject({ code: '57P01' })
  const lasted = Date.now() - began
  expect(lasted).toBeGreaterThan(7_000)
  expect(lasted).toBeLessThan(12_500)
  expect(await works(second)).toBe(true)
  await eventually(async () => (await shop.databaseRoles('brief')).join() === second.role)
  await second.client.end()
}, 40_000)

it('a lease ends with its grant, however long Vault would have given it', async () => {
  warden = await vaultWarden(adminUrl, shop)
  const { role, ended } = await session(await warden.login('admin', { forMs: 5_000 }))
  const [lease] = await shop.leases()
  // Even if pgwarden died now.
  await eventually(async () => {
    const { data } = await shop.vault.request('PUT', 'sys/leases/lookup', { lease_id: lease })
    return Number(data['ttl']) <= 5
  }, 2_000)
  expect(await ended).toMatchObject({ code: '57P01' })
  await eventually(async () => !(await shop.databaseRoles()).includes(role))
}, 20_000)

it('leases end with the Vault token; another token in its file serves new sessions', async () => {
  const token = await shop.newToken({ ttl: '8s', renewable: false })
  warden = await vaultWarden(adminUrl, shop, { token })
  const login = await warden.login('admin')
  const first = await session(login)
  await exchangeToken(warden, await shop.newToken())
  await eventually(async () => told(first))
  expect(await first.ended).toMatchObject({ code: '57P01' })
  const second = await session(login)
  expect(second.role).not.toBe(first.role)
  expect(await works(second)).toBe(true)
  await eventually(async () => (await shop.databaseRoles()).join() === second.role)
  await second.client.end()
}, 30_000)
