// What `check-config` finds beyond the text of a configuration, without asking anybody.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { operations } from '../../src/composition/server.ts'

const directory = mkdtempSync(join(tmpdir(), 'pgwarden-check-'))
const configFile = join(directory, 'pgwarden.yaml')

afterAll(() => rmSync(directory, { recursive: true }))

it('a file for Vault that holds no certificate is named before anything is started', async () => {
  writeFileSync(join(directory, 'ca.pem'), 'no certificate\n')
  writeFileSync(
    configFile,
    `store: { url: postgres://a:b@c/d }
journal: { directory: journal }
vault:
  addresses: [https://vault.internal:8200]
  tls: { ca: ca.pem }
  auth: { method: token, token: { file: token } }
targets:
  shop:
    host: db
    database: shop
    catalog: { snapshot: false }
    credentials: { vault: { roles: { admin: shop } } }
`,
  )
  await expect(operations.checkConfig(configFile)).rejects.toMatchObject({
    code: 'invalid_configuration',
    message: 'the certificates for Vault cannot be used',
  })
})
