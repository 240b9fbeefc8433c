// The traps of the state proof are set: what runs code of the database without naming it does so when it
// is sent to the server directly. And what read_only can set off all the same, as it is documented.

import { readFileSync } from 'node:fs'
import type { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { connectedTo, type FreshDatabase, freshDatabase } from '../support/databases.ts'
import { traps, uncovered } from '../support/random-traps.ts'
import { Warden } from '../support/warden.ts'

const schema = fixture('state-proof.sql')

describe('a trap leaves a trace when nobody stands before the server', () => {
  let plain: FreshDatabase
  let withOperators: FreshDatabase
  beforeAll(async () => {
    plain = await made(schema)
    withOperators = await made(schema + fixture('state-proof-operators.sql'))
  })
  afterAll(async () => {
    await plain.drop()
    await withOperators.drop()
  })

  it.each(traps.disguises())('%s', async (trap) => {
    expect(await connectedTo(plain.url, (client) => tracesOf(client, trap))).not.toEqual([])
  })

  it.each(traps.unwritten())('%s', async (trap) => {
    expect(await connectedTo(withOperators.url, (client) => tracesOf(client, trap))).not.toEqual([])
  })
})

describe('read_only sets off what the documents say it can', () => {
  let warden: Warden
  beforeAll(async () => {
    warden = await Warden.start(inject('adminUrl'), { schema })
  })
  afterAll(() => warden.stop())

  it.each(uncovered)('%s', async (trap) => {
    const client = await warden.connect('read_only')
    try {
      expect(await tracesOf(client, trap)).toEqual(['domain'])
    } finally {
      await client.end()
    }
  })
})

/** What the code told that the expression ran, each once. */
async function tracesOf(client: Client, expression: string): Promise<readonly string[]> {
  const told = new Set<string>()
  client.on('notification', ({ payload }) => told.add(payload ?? ''))
  await client.query('LISTEN canary')
  const before = await client.query('SELECT count(*) FROM audit_log')
  await client.query(`SELECT ${expression}`)
  const after = await client.query('SELECT count(*) FROM audit_log')
  if (JSON.stringify(before.rows) !== JSON.stringify(after.rows)) told.add('a row')
  return [...told]
}

async function made(text: string): Promise<FreshDatabase> {
  const database = await freshDatabase(inject('adminUrl'), 'traps')
  await connectedTo(database.url, (client) => client.query(text))
  return database
}

function fixture(name: string): string {
  return readFileSync(new URL(`../fixtures/${name}`, import.meta.url), 'utf8')
}
