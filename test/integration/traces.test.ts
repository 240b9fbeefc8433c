// Spans as a collector receives them: over HTTP, from a process that was told by the standard variables.

import { createServer } from 'node:http'
import { afterAll, beforeAll, expect, inject, it, vi } from 'vitest'
import { sql } from '../support/scripted-session.ts'
import { Warden } from '../support/warden.ts'
import { WireClient } from '../support/wire-client.ts'

const received: { readonly path: string | undefined; readonly body: Buffer }[] = []
const collector = createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    received.push({ path: request.url, body: Buffer.concat(chunks) })
    response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end()
  })
})

let warden: Warden

beforeAll(async () => {
  await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve))
  const address = collector.address()
  const port = typeof address === 'object' ? address?.port : undefined
  vi.stubEnv('OTEL_EXPORTER_OTLP_ENDPOINT', `http://127.0.0.1:${port}`)
  vi.stubEnv('OTEL_BSP_SCHEDULE_DELAY', '50')
  warden = await Warden.start(inject('adminUrl'), { schema: 'create table t (a text)' })
})
afterAll(async () => {
  vi.unstubAllEnvs()
  await warden.stop()
  await new Promise((resolve) => collector.close(resolve))
})

it('has the login with its steps, and each statement, and neither text nor person', async () => {
  const client = await WireClient.logIn(warden.port, await warden.login('read_only'))
  for (const text of ["SELECT 'quicksilver'", "DELETE FROM t WHERE a = 'quicksilver'"]) {
    client.says(sql(text))
    await client.hears('readyForQuery')
  }
  client.close()
  await vi.waitFor(() => {
    const sent = Buffer.concat(received.map(({ body }) => body)).toString('latin1')
    for (const word of ['login', 'authenticate', 'credentials', 'connect', 'SELECT shop']) {
      expect(sent).toContain(word)
    }
    // What was denied, by its SQLSTATE.
    expect(sent).toContain('DELETE shop')
    expect(sent).toContain('42501')
    expect(sent).toContain('pgwarden.session')
  }, 10_000)
  await warden.halt()
  expect(new Set(received.map(({ path }) => path))).toEqual(new Set(['/v1/traces']))
  const sent = Buffer.concat(received.map(({ body }) => body)).toString('latin1')
  expect(sent).not.toContain('quicksilver')
  expect(sent).not.toContain('alice')
})
