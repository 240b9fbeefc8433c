// A journal that cannot be written, for real: the process may not make its files any larger.

import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { afterAll, beforeAll, expect, inject, it } from 'vitest'
import { verifyDirectory } from '../../src/journal/verify.ts'
import { build } from '../support/executable.ts'
import { Warden } from '../support/warden.ts'

let warden: Warden

beforeAll(async () => {
  await build()
  warden = await Warden.start(inject('adminUrl'), {
    ownProcess: true,
    largestFile: 128,
    schema: 'create table items (id int)',
  })
}, 60_000)
afterAll(() => warden.stop())

async function refusal(query: () => Promise<unknown>): Promise<unknown> {
  for (let tries = 0; tries < 20; tries += 1) {
    try {
      await query()
    } catch (error) {
      return error
    }
  }
  return undefined
}

it('stops statements with 58030 and nothing else, and the server never sees them', async () => {
  const client = new Client(await warden.login('read_limited_write'))
  client.on('error', () => undefined)
  await client.connect()
  let inserted = 0
  let refused: unknown
  while (inserted < 1_000 && refused === undefined) {
    try {
      await client.query('INSERT INTO items VALUES (1) /* some length so that the file fills */')
      inserted++
    } catch (error) {
      refused = error
    }
  }
  expect(refused).toMatchObject({ code: '58030', severity: 'ERROR' })
  // The session lives on, and goes on being refused: in a transaction, prepared, pipelined.
  // (Where the record of an INSERT found no room, that of something shorter still may.)
  expect(await refusal(() => client.query('SELECT 1'))).toMatchObject({ code: '58030' })
  const prepared = { text: 'SELECT $1::int', values: [1] }
  expect(await refusal(() => client.query(prepared))).toMatchObject({ code: '58030' })
  const { rows } = await warden.asSuperuser((su) =>
    su.query<{ n: number }>('select count(*)::int as n from items'),
  )
  expect(rows).toEqual([{ n: inserted }])

  const late = new Client(await warden.login('read_only'))
  await expect(late.connect()).rejects.toMatchObject({ code: '58030', severity: 'FATAL' })

  // A few bytes are left where a whole statement's record found no room: a check may still fit.
  const deadline = Date.now() + 10_000
  const ask = () => fetch(`http://127.0.0.1:${warden.httpPort}/readyz`)
  let ready = await ask()
  while (ready.status === 200 && Date.now() < deadline) {
    await expect(client.query('SELECT 1')).rejects.toMatchObject({ code: '58030' })
    ready = await ask()
  }
  expect(ready.status).toBe(503)
  expect(await ready.json()).toMatchObject({ ready: false, checks: { store: 'ok' } })
  expect(warden.run?.stdout).toMatch(/audit journal cannot be written.*EFBIG|EFBIG.*audit journal/)
  await client.end()
  await sleep(100)
  expect((await verifyDirectory(warden.journalDirectory)).ok).toBe(true)
})
