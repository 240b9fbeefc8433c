// Sessions whose database logins come from a real Vault, on a real PostgreSQL.

import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { findPsql, runProgram } from '../support/psql.ts'
import { describeWithVault } from '../support/vault.ts'
import { VaultShop } from '../support/vault-shop.ts'
import { refusal, session, type VaultWardenOptions, vaultWarden } from '../support/vault-warden.ts'
import type { Warden } from '../support/warden.ts'

const adminUrl = inject('adminUrl')
const psql = findPsql()

describeWithVault('sessions with logins from Vault', () => {
  let shop: VaultShop
  let wardens: Warden[] = []

  beforeAll(async () => {
    shop = await VaultShop.open(adminUrl)
  })
  afterEach(async () => {
    for (const warden of wardens) await warden.stop()
    wardens = []
  })
  afterAll(() => shop.close())

  async function start(options?: VaultWardenOptions): Promise<Warden> {
    const warden = await vaultWarden(adminUrl, shop, options)
    wardens.push(warden)
    return warden
  }

  describe('a dynamic role', () => {
    it('is made for a grant, runs its sessions, and is gone from Vault and PostgreSQL after it', async () => {
      const warden = await start()
      const login = await warden.login('admin', { forMs: 4_000 })
      const { role, processId, ended } = await session(login)
      expect(role).toMatch(/^v-/)
      expect(await shop.databaseRoles()).toEqual([role])
      expect(await shop.leases()).toHaveLength(1)
      const seen = await warden.asSuperuser((su) =>
        su.query('select usename from pg_stat_activity where pid = $1', [processId]),
      )
      expect(seen.rows).toEqual([{ usename: role }])
      expect(await ended).toMatchObject({ code: '57P01' })
      await eventually(() => shop.hasNothing())

      // The audit knows of the lease before any session of it, and of its end.
      const leaseRecords = ['lease.issue', 'session.start', 'lease.revoke']
      await eventually(async () => (await warden.journal('lease.revoke')).length === 1)
      const records = await warden.journal(...leaseRecords)
      expect(records.map(({ type }) => type)).toEqual(leaseRecords)
      const [issued] = records
      expect(issued).toMatchObject({ engine: 'vault-dynamic', databaseRole: role })
      for (const record of records) expect(record['databaseRole']).toBe(role)
      expect(records[1]?.['lease']).toBe(issued?.['vaultLease'])
      expect(records[2]?.['lease']).toBe(issued?.['lease'])
    })

    it.runIf(psql !== undefined)('serves psql', async () => {
      const warden = await start()
      const { stdout, stderr } = await runProgram(psql ?? '', [
        '-XAtc',
        'select current_user',
        await warden.conninfo('read_only'),
      ])
      expect(stderr).toBe('')
      expect(stdout).toMatch(/^v-.*-shop-/)
    })

    it('is one lease for a hundred logins of one grant at the same time', async () => {
      const warden = await start()
      const login = await warden.login('admin')
      const sessions = await Promise.all(Array.from({ length: 100 }, () => session(login)))
      expect(new Set(sessions.map(({ role }) => role)).size).toBe(1)
      expect(await shop.leases()).toHaveLength(1)
      await Promise.all(sessions.map(({ client }) => client.end()))
    })

    it('is another one for each grant', async () => {
      const warden = await start()
      const one = await session(await warden.login('admin'))
      const other = await session(await warden.login('admin'))
      expect(one.role).not.toBe(other.role)
      expect(await shop.leases()).toHaveLength(2)
      await one.client.end()
      await other.client.end()
    })

    it('belongs to a single session where the configuration says so, and ends with it', async () => {
      const logins = ['  lease: session', '  roles: { admin: shop }']
      const warden = await start({ logins })
      const login = await warden.login('admin')
      const [one, other] = [await session(login), await session(login)]
      expect(one.role).not.toBe(other.role)
      await one.client.end()
      await eventually(async () => (await shop.leases()).length === 1)
      expect((await other.client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
      expect(await shop.databaseRoles()).toEqual([other.role])
      await other.client.end()
      await eventually(() => shop.hasNothing())
    })

    it('is revoked some time after its last session where the configuration says so', async () => {
      const logins = ['  unusedTimeout: 1s', '  roles: { admin: shop }']
      const warden = await start({ logins })
      const { client } = await session(await warden.login('admin'))
      await client.end()
      await eventually(() => shop.hasNothing())
    })

    it('is gone when pgwarden has stopped', async () => {
      const warden = await start()
      const { client } = await session(await warden.login('admin'))
      await warden.halt()
      expect(await shop.hasNothing()).toBe(true)
      await client.end().catch(() => undefined)
    })

    it('that the target has not is refused without a word to Vault', async () => {
      const warden = await start()
      expect(await refusal(await warden.login('read_full_write'))).toMatchObject({ code: '28000' })
    })
  })

  describe('a static role', () => {
    const logins = ['  roles: { admin: { engine: static, role: app } }']

    it('serves several grants, and keeps its sessions when its password is changed', async () => {
      const warden = await start({ logins })
      const login = await warden.login('admin')
      const before = await session(login)
      expect(before.role).toBe(shop.staticUser)
      await shop.rotate()
      const after = await session(login)
      const another = await session(await warden.login('admin'))
      expect([after.role, another.role]).toEqual([shop.staticUser, shop.staticUser])
      expect((await before.client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
      for (const { client } of [before, after, another]) await client.end()
    })

    it('stays when the grant ends, and so do the sessions of others', async () => {
      const warden = await start({ logins })
      const brief = await session(await warden.login('admin', { forMs: 3_000 }))
      const lasting = await session(await warden.login('admin'))
      expect(await brief.ended).toMatchObject({ code: '57P01' })
      await eventually(async () => {
        const { rows } = await warden.asSuperuser((su) =>
          su.query<{ pid: number }>('select pid from pg_stat_activity where usename = $1', [
            shop.staticUser,
          ]),
        )
        return rows.length === 1 && rows[0]?.pid === lasting.processId
      })
      await lasting.client.end()
    })
  })

  describe('a login from the KV store', () => {
    const logins = (): string[] => [
      `  roles: { admin: { engine: kv, mount: ${shop.mounts.kv}, role: shop/legacy } }`,
    ]

    it('is the name and password that somebody has put there', async () => {
      const { username, password } = new URL(adminUrl)
      await shop.keep('shop/legacy', {
        username: decodeURIComponent(username),
        password: decodeURIComponent(password),
      })
      const warden = await start({ logins: logins() })
      const { client, role } = await session(await warden.login('admin'))
      expect(role).toBe(decodeURIComponent(username))
      await client.end()
    })

    it('that is incomplete is refused with a sentence that names no path', async () => {
      await shop.keep('shop/legacy', { username: 'postgres', pass: 'hidden' })
      const warden = await start({ logins: logins() })
      const error = await refusal(await warden.login('admin'))
      expect(error).toMatchObject({ code: '57P03' })
      expect(JSON.stringify(error)).not.toMatch(/legacy|hidden|kv-/)
    })
  })
})
