// kill -9 of a pgwarden that holds leases of a real Vault: whoever comes next, or is beside it, ends them.

import { afterAll, beforeAll, describe, inject, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { build } from '../support/executable.ts'
import { describeWithVault } from '../support/vault.ts'
import { VaultShop } from '../support/vault-shop.ts'
import { session, type VaultWardenOptions, vaultWarden } from '../support/vault-warden.ts'
import type { Warden } from '../support/warden.ts'

const adminUrl = inject('adminUrl')
/** A lease is taken for abandoned after 60 s without a sign of its holder. */
const sweptWithin = 90_000

describeWithVault('a killed process', () => {
  let shop: VaultShop
  const wardens: Warden[] = []

  beforeAll(async () => {
    await build()
    const times = { ttl: '1h', maxTtl: '2h' }
    shop = await VaultShop.open(adminUrl, { next: times, beside: times })
  }, 60_000)
  afterAll(async () => {
    // The first has the databases.
    for (const warden of wardens.reverse()) await warden.stop()
    await shop.close()
  })

  async function start(options: VaultWardenOptions): Promise<Warden> {
    const warden = await vaultWarden(adminUrl, shop, options)
    wardens.push(warden)
    return warden
  }

  /** Has as many leases out when it is killed. */
  async function killedHolding(count: number, role: string): Promise<Warden> {
    const warden = await start({ ownProcess: true, logins: [`  roles: { admin: ${role} }`] })
    const grants = Array.from({ length: count }, () => warden.login('admin'))
    await Promise.all((await Promise.all(grants)).map((login) => session(login)))
    await eventually(async () => (await shop.leases(role)).length === count)
    warden.run?.process.kill('SIGKILL')
    await warden.run?.ended()
    return warden
  }

  /** Until neither Vault nor PostgreSQL knows of them, nor the store of an open one. */
  async function swept(warden: Warden, role: string): Promise<void> {
    const since = performance.now()
    await eventually(async () => {
      const { rows } = await warden.inStore((store) =>
        store.query(
          'select from pgwarden.leases where ended_at is null and database_role like $1',
          [`v-%-${role}-%`],
        ),
      )
      const known = [await shop.leases(role), await shop.databaseRoles(role), rows]
      return known.every(({ length }) => length === 0)
    }, sweptWithin)
    console.info(`${role}: no lease left ${Math.round(performance.now() - since)} ms after kill -9`)
  }

  // Side by side, since most of it is waiting.
  describe.concurrent('after kill -9', () => {
    it('the next start leaves none of 20 leases behind, in Vault or in PostgreSQL', async () => {
      const warden = await killedHolding(20, 'next')
      await warden.serve(true)
      await swept(warden, 'next')
    }, 150_000)

    it('another process on the same store ends what the dead one held, and keeps its own', async ({
      expect,
    }) => {
      const logins = ['  roles: { admin: shop }']
      const dead = await killedHolding(3, 'beside')
      const beside = await start({ beside: dead, logins })
      const own = await session(await beside.login('admin'))
      await swept(dead, 'beside')
      expect((await own.client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
      expect(await shop.databaseRoles()).toEqual([own.role])
      await own.client.end()
    }, 150_000)
  })
})
