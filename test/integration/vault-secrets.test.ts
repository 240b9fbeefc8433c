// Everything that pgwarden writes or answers, gone over for every secret that went between it and Vault.

import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, inject, it } from 'vitest'
import { build } from '../support/executable.ts'
import { Line } from '../support/line.ts'
import { describeWithVault } from '../support/vault.ts'
import { VaultShop } from '../support/vault-shop.ts'
import { refusal, session, vaultWarden } from '../support/vault-warden.ts'
import type { Warden } from '../support/warden.ts'

const adminUrl = inject('adminUrl')
const legacy = 'legacy-password-of-nobody'

describeWithVault('the secrets of Vault', () => {
  let shop: VaultShop
  let line: Line
  let warden: Warden

  beforeAll(async () => {
    await build()
    shop = await VaultShop.open(adminUrl)
    await shop.keep('legacy', { username: 'nobody', password: legacy })
    const { hostname, port } = new URL(shop.vault.address)
    line = await Line.to(hostname, Number(port))
    warden = await vaultWarden(adminUrl, shop, {
      ownProcess: true,
      logLevel: 'debug',
      address: `http://127.0.0.1:${line.port}`,
      vault: ['waitFor: 1s', 'timeout: 1s'],
      auth: `{ method: approle, mount: ${shop.mounts.approle}, roleId: ${shop.mounts.roleId}, secretIdFile: secret-id }`,
      files: { 'secret-id': shop.mounts.secretId },
      logins: [
        '  roles:',
        '    read_only: shop',
        '    admin: { engine: static, role: app }',
        `    read_full_write: { engine: kv, mount: ${shop.mounts.kv}, role: legacy }`,
        '    read_limited_write: not-there',
      ],
    })
  }, 60_000)
  afterAll(async () => {
    await warden.stop()
    await line.cut()
    await shop.close()
  })

  it('writes no secret of Vault’s to the log, the journal, the metrics, the store or an answer', async () => {
    for (const role of ['read_only', 'admin']) {
      const { client } = await session(await warden.login(role))
      await client.query('select 1')
      await client.end()
    }
    const refused: unknown[] = []
    for (const role of ['read_full_write', 'read_limited_write']) {
      refused.push(await refusal(await warden.login(role)))
    }
    await line.cut()
    refused.push(await refusal(await warden.login('read_only')))
    const answers = await Promise.all(
      ['metrics', 'readyz'].map(async (path) =>
        (await fetch(`http://127.0.0.1:${warden.httpPort}/${path}`)).text(),
      ),
    )
    await line.mend()
    const { rows } = await warden.inStore((store) =>
      store.query<{ text: string }>('select l::text as text from pgwarden.leases l'),
    )
    await warden.halt()

    const files = await readdir(warden.journalDirectory)
    const journal = await Promise.all(
      files.map((name) => readFile(join(warden.journalDirectory, name), 'utf8')),
    )
    const written = [
      warden.run?.stdout ?? '',
      warden.run?.stderr ?? '',
      ...journal,
      ...answers,
      ...refused.map((error) => JSON.stringify(error)),
      ...rows.map(({ text }) => text),
    ].join('\n')
    // What Vault has said on the line: passwords, and the token of the login by AppRole.
    const said = [...line.heard.matchAll(/"(?:password|client_token|accessor)":"([^"]+)"/g)]
    const secrets = new Set([
      ...said.map(([, secret = '']) => secret),
      shop.mounts.secretId,
      legacy,
    ])
    expect(secrets.size).toBeGreaterThanOrEqual(6)
    expect(written).toContain('"type":"lease.issue"')
    expect(written).toContain('not-there')
    for (const secret of secrets) {
      expect(secret.length).toBeGreaterThan(8)
      expect(written.includes(secret), `the secret ${secret.slice(0, 4)}...`).toBe(false)
    }
  })
})
