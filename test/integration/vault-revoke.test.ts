// `grant revoke` of grants whose logins come from a real Vault: sessions, role and lease are gone when it
// returns, and it says so only when somebody has looked.

import { afterAll, afterEach, beforeAll, expect, inject, it } from 'vitest'
import type { Revocation } from '../../src/cli/operations.ts'
import { operations } from '../../src/composition/server.ts'
import { connectedTo, runs } from '../support/databases.ts'
import { eventually } from '../support/eventually.ts'
import { build } from '../support/executable.ts'
import { Line } from '../support/line.ts'
import { findPsql, runProgram } from '../support/psql.ts'
import { describeWithVault } from '../support/vault.ts'
import { VaultShop } from '../support/vault-shop.ts'
import { refusal, session, type VaultWardenOptions, vaultWarden } from '../support/vault-warden.ts'
import type { Warden } from '../support/warden.ts'

const adminUrl = inject('adminUrl')
const psql = findPsql()
const roles = '  roles: { admin: shop, read_only: shop }'

describeWithVault('the revoke of a grant', () => {
  let shop: VaultShop
  let wardens: Warden[] = []

  beforeAll(async () => {
    await build()
    shop = await VaultShop.open(adminUrl)
  })
  afterEach(async () => {
    // The first has the databases.
    for (const warden of wardens.reverse()) await warden.stop()
    wardens = []
  })
  afterAll(() => shop.close())

  async function start(options: VaultWardenOptions): Promise<Warden> {
    const warden = await vaultWarden(adminUrl, shop, options)
    wardens.push(warden)
    return warden
  }

  /** A monitor whose password nobody but Vault knows. */
  const monitored = (): string[] => [
    roles,
    `monitor: { vault: { mount: ${shop.mounts.database}, role: app } }`,
  ]

  function revoke(warden: Warden, grantId: string, waitMs = 10_000): Promise<Revocation> {
    return operations.revokeGrant({
      configFile: warden.configFile,
      grantId,
      reason: 'integration test',
      waitMs,
      onWaiting: () => undefined,
    })
  }

  it('ends sessions in every process at once, with role and lease, and has looked', async () => {
    const warden = await start({ logins: monitored() })
    const beside = await start({ logins: monitored(), beside: warden })
    const login = await warden.login('admin')
    const busy = await session(login)
    const idle = await session({ ...login, port: beside.port })
    const statement = 'select pg_sleep(300)'
    const working = busy.client.query(statement).catch((error: unknown) => error)
    await connectedTo(adminUrl, runs(statement))

    const { logins, tookMs } = await revoke(warden, login.grantId)
    expect(logins.map(({ databaseRole }) => databaseRole).sort()).toEqual(
      [busy.role, idle.role].sort(),
    )
    expect(logins.map(({ ended }) => ended)).toEqual(['confirmed', 'confirmed'])
    expect(await shop.hasNothing()).toBe(true)
    expect(tookMs).toBeLessThan(5_000)
    console.info(`two sessions, roles and leases gone ${Math.round(tookMs)} ms after the revoke`)
    expect(await working).toMatchObject({ code: '57P01' })
    expect(await idle.ended).toMatchObject({ code: '57P01' })
    expect(await refusal(login)).toMatchObject({ code: '28000' })

    const [record] = await warden.journal('lease.revoke')
    expect(record).toMatchObject({ reason: 'grant_over', result: 'confirmed' })
  })

  it.runIf(psql !== undefined)(
    'ends psql in the middle of a statement, and tells it why',
    async () => {
      const warden = await start({ logins: monitored() })
      const { user, password, grantId } = await warden.login('admin')
      const statement = 'select pg_sleep(301)'
      const running = runProgram(psql ?? '', [
        ...['-XAt', '-c', 'select current_user', '-c', statement],
        `host=127.0.0.1 port=${warden.port} dbname=shop user=${user} password=${password}`,
      ])
      await connectedTo(adminUrl, runs(statement))
      const { logins, tookMs } = await revoke(warden, grantId)
      expect(logins).toMatchObject([{ engine: 'vault-dynamic', ended: 'confirmed' }])
      expect(await shop.hasNothing()).toBe(true)
      console.info(`psql’s role and lease gone ${Math.round(tookMs)} ms after the revoke`)
      const { stdout, stderr, status } = await running
      expect(stdout).toMatch(/^v-.*-shop-/)
      expect(stderr).toContain('FATAL:  terminating connection because the grant')
      expect(status).toBe(2)
    },
  )

  it('has only Vault’s word for it where nobody looks', async () => {
    const warden = await start({ logins: [roles] })
    const login = await warden.login('admin')
    const { ended } = await session(login)
    const { logins } = await revoke(warden, login.grantId)
    expect(logins).toMatchObject([{ engine: 'vault-dynamic', ended: 'unconfirmed' }])
    expect(await ended).toMatchObject({ code: '57P01' })
    expect(await shop.hasNothing()).toBe(true)
  })

  it('tells of a login that others use, though it is let go of in no time', async () => {
    const { username, password } = new URL(adminUrl)
    await shop.keep('shop/shared', {
      username: decodeURIComponent(username),
      password: decodeURIComponent(password),
    })
    const kv = `  roles: { admin: { engine: kv, mount: ${shop.mounts.kv}, role: shop/shared } }`
    const warden = await start({ ownProcess: true, logins: [kv] })
    // A race between the command and the proxy: often enough for either to win.
    for (let round = 0; round < 10; round++) {
      const login = await warden.login('admin')
      const { ended } = await session(login)
      const { logins } = await revoke(warden, login.grantId)
      expect(logins).toMatchObject([{ engine: 'vault-kv', ended: 'unconfirmed' }])
      expect(await ended).toMatchObject({ code: '57P01' })
    }
  })

  it('ends sessions while Vault is away, says that the login is not known to be gone, and goes on trying', async () => {
    const { hostname, port } = new URL(shop.vault.address)
    const line = await Line.to(hostname, Number(port))
    const warden = await start({
      address: `http://127.0.0.1:${line.port}`,
      vault: ['timeout: 1s', 'waitFor: 1s'],
      logins: monitored(),
    })
    const login = await warden.login('admin')
    const { ended } = await session(login)
    await line.cut()
    const { logins } = await revoke(warden, login.grantId, 3_000)
    expect(await ended).toMatchObject({ code: '57P01' })
    expect(logins).toMatchObject([{ ended: undefined }])
    expect(await shop.hasNothing()).toBe(false)
    expect(await warden.journal('lease.problem')).not.toEqual([])
    await line.mend()
    await eventually(() => shop.hasNothing(), 20_000)
    await warden.stop()
    wardens = []
    await line.cut()
  })

  it('the catalog is read with the monitor’s login, which Vault keeps', async () => {
    const warden = await start({
      logins: monitored(),
      shop: [],
      schema: "create function twice(n int) returns int language sql immutable as 'select n * 2'",
    })
    const { client } = await session(await warden.login('read_only'))
    await eventually(() =>
      client.query('select twice(2)').then(
        ({ rows }) => JSON.stringify(rows) === '[{"twice":4}]',
        () => false,
      ),
    )
    await client.end()
    // So does the command, in a process of its own.
    const { configFile } = warden
    expect(await operations.snapshot({ configFile, target: 'shop' })).toContain('"twice"')
  })
})
