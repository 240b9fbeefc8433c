// Everything that pgwarden writes or answers, gone over for every secret that it has seen.

import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Client } from 'pg'
import { afterAll, beforeAll, expect, inject, it } from 'vitest'
import { build } from '../support/executable.ts'
import { Warden } from '../support/warden.ts'

let warden: Warden

beforeAll(async () => {
  await build()
  warden = await Warden.start(inject('adminUrl'), {
    ownProcess: true,
    logLevel: 'debug',
    // The way in which tokens themselves come here.
    listen: ['authentication: password'],
  })
}, 60_000)
afterAll(() => warden.stop())

it('writes no secret to the log, the journal, the metrics, an answer or the server’s own tables', async () => {
  const login = await warden.login('admin')
  const expired = await warden.login('admin', { forMs: 1 })
  const guessed = { ...login, password: `${login.password.slice(0, -3)}abc` }
  const client = new Client(login)
  await client.connect()
  await client.query('SELECT 1')
  await expect(client.query('DELETE FROM nowhere')).rejects.toThrow()
  const answers: string[] = []
  for (const bad of [
    expired,
    guessed,
    { ...login, user: 'mallory' },
    { ...login, database: 'x' },
  ]) {
    const refused = new Client(bad)
    await refused.connect().catch((error: unknown) => answers.push(JSON.stringify(error)))
  }
  expect(answers).toHaveLength(4)
  const { rows } = await client.query<{ text: string }>(
    'select query || usename || application_name as text from pg_stat_activity',
  )
  const metrics = await (await fetch(`http://127.0.0.1:${warden.httpPort}/metrics`)).text()
  const ready = await (await fetch(`http://127.0.0.1:${warden.httpPort}/readyz`)).text()
  await client.end()

  const admin = new URL(inject('adminUrl'))
  const secrets = [login, expired, guessed]
    .map(({ password }) => password.split('_').slice(2).join('_'))
    .concat(decodeURIComponent(admin.password))
  const journal = await Promise.all(
    (await readdir(warden.journalDirectory)).map((name) =>
      readFile(join(warden.journalDirectory, name), 'utf8'),
    ),
  )
  const written = [
    warden.run?.stdout ?? '',
    warden.run?.stderr ?? '',
    ...journal,
    metrics,
    ready,
    ...answers,
    ...rows.map(({ text }) => text),
  ].join('\n')
  expect(written).toContain('login refused')
  expect(written).toContain('"type":"login"')
  for (const secret of secrets) {
    expect(secret.length).toBeGreaterThan(5)
    expect(written.includes(secret), `the secret ${secret.slice(0, 4)}...`).toBe(false)
  }
})

it('keeps only hashes and verifiers of tokens in the store, and a verifier of the database password', async () => {
  const login = await warden.login('read_only')
  const client = new Client(login)
  await client.connect()
  const secret = login.password.split('_').slice(2).join('_')
  const dump = await warden.inStore(async (store) => {
    const { rows } = await store.query<{ text: string }>(
      `select t::text as text from pgwarden.access_tokens t
       union all select g::text from pgwarden.grants g union all select l::text from pgwarden.leases l`,
    )
    return rows.map(({ text }) => text).join('\n')
  })
  expect(dump).toContain(login.user)
  expect(dump).not.toContain(secret)
  const verifier = await warden.asSuperuser(async (su) => {
    const { rows } = await su.query<{ rolpassword: string }>(
      "select rolpassword from pg_authid where rolname like 'pgw_%' and rolpassword is not null",
    )
    return rows.map(({ rolpassword }) => rolpassword)
  })
  expect(verifier.length).toBeGreaterThan(0)
  for (const one of verifier) expect(one).toMatch(/^SCRAM-SHA-256\$4096:/)
  await client.end()
})
