// Somebody with DDL changes what a view does while pgwarden cannot see it, or does not look.

import { type Client, DatabaseError } from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it, vi } from 'vitest'
import { Warden } from '../support/warden.ts'
import { WireClient } from '../support/wire-client.ts'

const schema = `
  CREATE TABLE t (a int);
  CREATE TABLE u (a int);
  CREATE VIEW v AS SELECT a FROM t;
  CREATE VIEW w AS SELECT a FROM u;
  CREATE VIEW x AS SELECT a FROM t;
  CREATE VIEW y AS SELECT a FROM t;
  CREATE FUNCTION effect() RETURNS int LANGUAGE sql AS 'SELECT 1';
`

let warden: Warden
let reader: Client
let writer: Client

beforeAll(async () => {
  warden = await Warden.start(inject('adminUrl'), { schema })
  reader = await warden.connect('read_only')
  writer = await warden.connect('read_full_write')
  // The snapshot is there.
  await vi.waitFor(async () => expect(await codeOf('SELECT * FROM v')).toBeUndefined(), 10_000)
})
afterAll(async () => {
  await reader.end()
  await writer.end()
  await warden.stop()
})

async function codeOf(text: string): Promise<string | undefined> {
  try {
    await reader.query(text)
    return undefined
  } catch (error) {
    if (error instanceof DatabaseError) return error.code
    throw error
  }
}

const denied = (text: string) =>
  vi.waitFor(async () => expect(await codeOf(text)).toBe('42501'), {
    timeout: 6_000,
    interval: 200,
  })

const replace = (view: string) => `CREATE OR REPLACE VIEW ${view} AS SELECT effect() AS a`

describe('read_only cannot have run what a view has become', { timeout: 20_000 }, () => {
  it('by a client that has gone when it was committed', async () => {
    const gone = await WireClient.logIn(warden.port, await warden.login('read_full_write'))
    const text = `BEGIN; ${replace('x')}; COMMIT; SELECT pg_sleep(5)`
    gone.says({ type: 'query', text: Buffer.from(text) })
    await new Promise((resolve) => setTimeout(resolve, 500))
    gone.socket.destroy()
    await denied('SELECT * FROM x')
  })

  it('by a transaction that is committed AND CHAIN', async () => {
    await writer.query('BEGIN')
    await writer.query(replace('v'))
    await writer.query('COMMIT AND CHAIN')
    try {
      await denied('SELECT * FROM v')
    } finally {
      await writer.query('COMMIT')
    }
  })

  it('while somebody holds a lock that keeps the catalog from being read', async () => {
    const locker = await warden.connect('read_full_write')
    await locker.query('BEGIN')
    await locker.query('LOCK TABLE u IN ACCESS EXCLUSIVE MODE')
    try {
      await writer.query(replace('y'))
      await denied('SELECT * FROM y')
      // What is over the table cannot be read either, until the lock has gone.
      await denied('SELECT * FROM w')
    } finally {
      await locker.query('ROLLBACK')
      await locker.end()
    }
    await vi.waitFor(async () => expect(await codeOf('SELECT * FROM w')).toBeUndefined(), {
      timeout: 10_000,
      interval: 200,
    })
  })
})
