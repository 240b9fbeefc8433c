// What the example of a configuration only shows in comments about the journal and the audit: it has to be
// good as it stands there, for whoever takes the comment signs away.

import { generateKeyPairSync } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Config, parseConfig } from '../../src/config/config.ts'
import { certify } from '../support/certificates.ts'

const directory = mkdtempSync(join(tmpdir(), 'pgwarden-example-'))
afterAll(() => rmSync(directory, { recursive: true }))

const env = {
  PGWARDEN_STORE_URL: 'postgres://a:b@c/d',
  PGWARDEN_SHOP_BROKER_PASSWORD: 'hidden',
  PGWARDEN_SIEM_URL: 'https://siem.internal/in',
  PGWARDEN_SIEM_SECRET: `whsec_${Buffer.alloc(24, 'hidden').toString('base64')}`,
  PGWARDEN_KAFKA_PASSWORD: 'hidden',
  PGWARDEN_AUDIT_URL: 'postgres://a:b@c/d?sslmode=verify-full',
}

let config: Config

beforeAll(async () => {
  for (const name of ['tls', 'secrets']) mkdirSync(join(directory, name))
  const { certificate } = await certify('authority', { isAuthority: true })
  writeFileSync(join(directory, 'tls/siem-ca.crt'), certificate)
  writeFileSync(join(directory, 'secrets/nats.creds'), 'hidden')
  const { privateKey } = generateKeyPairSync('ed25519')
  writeFileSync(
    join(directory, 'audit-key.pem'),
    privateKey.export({ type: 'pkcs8', format: 'pem' }),
  )
  config = parseConfig(uncommented(), join(directory, 'pgwarden.yaml'), env)
})

/** Without the signs before `checkpoints:`, `roles:` and `sinks:` and what is indented below them. */
function uncommented(): string {
  const text = readFileSync('config/pgwarden.example.yaml', 'utf8')
  const start = text.indexOf('\njournal:')
  const end = text.indexOf('\nlogins:')
  const shown = text
    .slice(start, end)
    .replaceAll(/^ {2}# (?=(?:checkpoints|roles|sinks):$| {2})/gm, '  ')
  return text.slice(0, start) + shown + text.slice(end)
}

it('the sinks that the example shows can be taken as they are, one of each kind', () => {
  expect(config.audit.sinks.map(({ type, name }) => `${type} ${name}`)).toEqual([
    'stdout stdout',
    'file file',
    'syslog syslog',
    'webhook siem',
    'nats nats',
    'kafka kafka',
    'postgresql postgresql',
  ])
})

it('what the example records of single roles can be taken as it is', () => {
  const recording = { text: 'full', parameters: 'none', fsync: 'os' }
  expect(config.audit.recording('read_only')).toEqual({ ...recording, text: 'normalized' })
  expect(config.audit.recording('admin')).toEqual({
    ...recording,
    parameters: 'full',
    fsync: 'batch',
  })
})

it('the checkpoints that the example shows can be taken as they are', () => {
  expect(config.journal.checkpoints).toMatchObject({ everyMs: 60_000, key: { type: 'file' } })
})
