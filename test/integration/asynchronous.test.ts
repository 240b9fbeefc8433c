// What a server says without being asked: notices, notifications, changed settings, its own end. A server
// for these tests alone, since its configuration is changed and it is stopped.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startEmbeddedPostgres } from '../../src/demo/embedded.ts'
import type { BackendMessage } from '../../src/wire/backend.ts'
import { hearsUntilRow } from '../support/answers.ts'
import { sql } from '../support/scripted-session.ts'
import { Warden } from '../support/warden.ts'
import { WireClient } from '../support/wire-client.ts'

let directory: string
let server: Awaited<ReturnType<typeof startEmbeddedPostgres>>
let warden: Warden

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'pgwarden-asynchronous-'))
  server = await startEmbeddedPostgres({ directory })
  warden = await Warden.start(server.url('postgres').reveal(), {
    schema: `CREATE FUNCTION says(n int) RETURNS int LANGUAGE plpgsql AS
      $$ BEGIN RAISE NOTICE '%', n; RETURN n; END $$`,
  })
})
afterAll(async () => {
  // The databases went with their server.
  await warden.halt()
  await rm(warden.directory, { recursive: true, force: true })
  await rm(directory, { recursive: true, force: true })
})

async function connect(): Promise<WireClient> {
  return WireClient.logIn(warden.port, await warden.login('read_limited_write'))
}

const types = (messages: readonly BackendMessage[]): readonly string[] =>
  messages.map(({ type }) => type)

it('thousands of notices come between the rows that they belong to', async () => {
  const wire = await connect()
  wire.says(sql('SELECT says(n) FROM generate_series(1, 5000) n'))
  const heard = await wire.hears('readyForQuery')
  const told = heard.flatMap((message) => {
    if (message.type === 'noticeResponse') return [`notice ${message.fields['M']}`]
    return message.type === 'dataRow' ? [`row ${String(message.values[0])}`] : []
  })
  const expected = Array.from({ length: 5_000 }, (_, n) => [`notice ${n + 1}`, `row ${n + 1}`])
  expect(told).toEqual(expected.flat())
  wire.close()
})

it('a notification reaches a client that has said nothing since, with the sender’s process id', async () => {
  const wire = await connect()
  wire.says(sql('LISTEN news'))
  await wire.hears('readyForQuery')
  await sleep(300)
  const pid = await warden.asSuperuser(async (client) => {
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
    await client.query("NOTIFY news, 'first'")
    return rows[0]?.pid
  })
  expect(await wire.hears('notificationResponse')).toEqual([
    { type: 'notificationResponse', processId: pid, channel: 'news', payload: 'first' },
  ])
  // And one that something runs for.
  wire.says(sql("SELECT 'slept' FROM pg_sleep(0.5)"))
  await sleep(200)
  await warden.asSuperuser((client) => client.query("NOTIFY news, 'second'"))
  const heard = [...(await hearsUntilRow(wire, 'slept'))]
  if (!types(heard).includes('notificationResponse'))
    heard.push(...(await wire.hears('notificationResponse')))
  expect(heard.filter(({ type }) => type === 'notificationResponse')).toHaveLength(1)
  wire.close()
})

it('a setting that the server’s configuration changes is reported before the next ReadyForQuery', async () => {
  const wire = await connect()
  await warden.asSuperuser(async (client) => {
    await client.query("ALTER SYSTEM SET DateStyle = 'German, DMY'")
    await client.query('SELECT pg_reload_conf()')
  })
  await sleep(300)
  wire.says(sql('SELECT 1'))
  const heard = [...wire.heard.splice(0), ...(await wire.hears('readyForQuery'))]
  expect(heard).toContainEqual({ type: 'parameterStatus', name: 'DateStyle', value: 'German, DMY' })
  wire.close()
})

it('the server’s shutdown is told once, to who waits and to who does not, and nothing behind it', async () => {
  const [idle, busy, open] = [await connect(), await connect(), await connect()]
  busy.says(sql('SELECT pg_sleep(60)'))
  open.says(sql('BEGIN'))
  await open.hears('readyForQuery')
  await sleep(200)
  await server.stop()
  for (const wire of [idle, busy, open]) {
    const heard = await wire.hearsTheEnd()
    expect(heard.at(-1)).toMatchObject({ fields: { S: 'FATAL', C: '57P01' } })
    expect(types(heard).filter((type) => type === 'errorResponse')).toHaveLength(1)
  }
  expect((await warden.journal('outcome')).at(-1)).toMatchObject({ result: 'unknown' })
})
