// TLS towards the client: asked for by SSLRequest, required where a token would cross a network.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Client } from 'pg'
import { generate } from 'selfsigned'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { findPsql, runProgram } from '../support/psql.ts'
import { Warden } from '../support/warden.ts'
import { WireClient } from '../support/wire-client.ts'

let warden: Warden
let certificate: string

beforeAll(async () => {
  const pems = await generate([{ name: 'commonName', value: 'localhost' }], {
    keySize: 2048,
    algorithm: 'sha256',
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 2, value: 'localhost' }] }],
  })
  certificate = pems.cert
  warden = await Warden.start(inject('adminUrl'), {
    files: { 'server.crt': pems.cert, 'server.key': pems.private },
    listen: [
      'tls: { certificate: server.crt, key: server.key }',
      'allowPlaintextFrom: [192.0.2.0/24]',
    ],
  })
})
afterAll(() => warden.stop())

describe('TLS', () => {
  it('carries a session, verified against the certificate', async () => {
    const login = await warden.login('read_only')
    const client = new Client({ ...login, host: 'localhost', ssl: { ca: certificate } })
    await client.connect()
    const { rows } = await client.query("SELECT repeat('x', 1000000) AS x, 1 AS n")
    expect(rows).toMatchObject([{ n: 1 }])
    await expect(client.query('DROP TABLE t')).rejects.toMatchObject({ code: '42501' })
    await client.end()
  })

  it('is what a plaintext client is told to use, before it has sent its token', async () => {
    const client = await WireClient.dial(warden.port)
    client.startup({ user: 'x', database: 'shop' })
    expect(await client.hearsTheEnd()).toMatchObject([
      {
        type: 'errorResponse',
        fields: { S: 'FATAL', C: '28000', M: 'connection requires TLS (sslmode=require)' },
      },
    ])
  })

  it('works for psql, which cancels through it too', async () => {
    const psql = findPsql()
    if (psql === undefined) {
      console.warn('NOT RUN: psql is not installed, so its test with TLS is not run')
      return
    }
    const ca = join(warden.directory, 'ca.crt')
    await writeFile(ca, certificate)
    const { user, password } = await warden.login('read_only')
    const { stdout, stderr } = await runProgram(
      psql,
      [
        '-X',
        '-At',
        `host=localhost port=${warden.port} dbname=shop user=${user} sslmode=verify-full sslrootcert=${ca}`,
        '-c',
        '\\conninfo',
        '-c',
        "select 'through TLS'",
      ],
      { env: { PGPASSWORD: password } },
    )
    expect(stderr).toBe('')
    expect(stdout).toContain('TLSv1.3')
    expect(stdout).toContain('through TLS')
  })
})
