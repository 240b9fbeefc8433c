// What becomes of sessions when a lease of a real Vault comes to an end that no renewal can move.

import { afterAll, beforeAll, inject, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { describeWithVault } from '../support/vault.ts'
import { VaultShop } from '../support/vault-shop.ts'
import {
  exchangeToken,
  type Session,
  session,
  type VaultWardenOptions,
  vaultWarden,
} from '../support/vault-warden.ts'
import type { Warden } from '../support/warden.ts'

const adminUrl = inject('adminUrl')

describeWithVault('the end of a lease', () => {
  let shop: VaultShop
  const wardens: Warden[] = []

  beforeAll(async () => {
    shop = await VaultShop.open(adminUrl, {
      brief: { ttl: '6s', maxTtl: '12s' },
      granted: { ttl: '1h', maxTtl: '2h' },
    })
  })
  afterAll(async () => {
    for (const warden of wardens) await warden.stop()
    await shop.close()
  })

  async function start(options?: VaultWardenOptions): Promise<Warden> {
    const warden = await vaultWarden(adminUrl, shop, options)
    wardens.push(warden)
    return warden
  }

  const works = async ({ client }: Session): Promise<boolean> =>
    (await client.query('select 1')).rowCount === 1

  const told = ({ notices }: Session): boolean => notices.some(({ code }) => code === '01000')

  // Side by side, since most of it is waiting.
  it.concurrent('near max_ttl: it is renewed while it is used, then its sessions are told, replaced and ended', async ({
    expect,
  }) => {
    const warden = await start({ logins: ['  roles: { admin: brief }'] })
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

  it.concurrent('comes with its grant’s, however long Vault would have given it', async ({
    expect,
  }) => {
    const warden = await start({ logins: ['  roles: { admin: granted }'] })
    const { role, ended } = await session(await warden.login('admin', { forMs: 5_000 }))
    const [lease] = await shop.leases('granted')
    // Even if pgwarden died now.
    await eventually(async () => {
      const { data } = await shop.vault.request('PUT', 'sys/leases/lookup', { lease_id: lease })
      return Number(data['ttl']) <= 5
    }, 2_000)
    expect(await ended).toMatchObject({ code: '57P01' })
    await eventually(async () => !(await shop.databaseRoles('granted')).includes(role))
  }, 20_000)

  it.concurrent('comes with the Vault token’s; another token in its file serves new sessions', async ({
    expect,
  }) => {
    const token = await shop.newToken({ ttl: '8s', renewable: false })
    const warden = await start({ token })
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
})
