// What a client does with PostgreSQL, and what the journal says of it: the fields of statements and
// outcomes, by the real server's answers.

import { Client } from 'pg'
import { afterAll, beforeAll, expect, inject, it } from 'vitest'
import type { FrontendMessage } from '../../src/wire/frontend.ts'
import { eventually } from '../support/eventually.ts'
import { findPsql, runProgram } from '../support/psql.ts'
import { type JournalRecord, Warden } from '../support/warden.ts'
import { WireClient } from '../support/wire-client.ts'

let warden: Warden

beforeAll(async () => {
  warden = await Warden.start(inject('adminUrl'), {
    schema: `create table orders (id int primary key, note text);
             insert into orders select n, 'note' from generate_series(1, 20) n;`,
    roles: [
      'shapes: { includes: [read_only] }',
      'normal: { includes: [read_only] }',
      'whole: { includes: [read_limited_write] }',
    ],
    moreRoles: ['shapes', 'normal', 'whole'],
    sections: [
      'audit:',
      '  roles:',
      '    shapes: { text: fingerprint }',
      '    normal: { text: normalized }',
      '    whole: { parameters: full, fsync: batch }',
    ],
  })
}, 60_000)
afterAll(() => warden.stop())

/** The records of one session's statements, each with its outcome. */
async function recorded(
  role: string,
  work: (client: Client) => Promise<void>,
): Promise<readonly (JournalRecord & { readonly outcome: JournalRecord | undefined })[]> {
  const name = `test ${Math.random()}`
  const client = new Client({ ...(await warden.login(role)), application_name: name })
  await client.connect()
  try {
    await work(client)
  } finally {
    await client.end()
  }
  return joined(name)
}

async function joined(application: string) {
  const records = await warden.journal('statement', 'outcome')
  const outcomes = new Map(records.map((record) => [record['statement'], record]))
  return records
    .filter((record) => record['application'] === application)
    .map((record) => ({ ...record, outcome: outcomes.get(record['id']) }))
}

it('has who, where and what of a statement, and where its time went', async () => {
  const [record] = await recorded('read_only', async (client) => {
    await client.query('SELECT * FROM orders WHERE id < 4')
  })
  expect(record).toMatchObject({
    ...{ principal: 'user_read_only', requestReason: 'integration test', tls: false },
    ...{ protocol: 'simple', transaction: 'idle', class: 'READ', tags: ['SELECT'] },
    relations: [{ name: 'orders', access: 'read' }],
    fingerprint: expect.stringMatching(/^[0-9a-f]{16}$/) as unknown,
    outcome: { result: 'ok', command: 'SELECT', rows: 3 },
  })
  const { durationMs, policyMs, auditMs, upstreamMs } = record?.outcome ?? {}
  expect(Number(policyMs)).toBeGreaterThan(0)
  expect(Number(auditMs) + Number(upstreamMs)).toBeCloseTo(Number(durationMs), 1)
})

it('has the state of the transaction, and the message and code of an error', async () => {
  const records = await recorded('read_only', async (client) => {
    await client.query('BEGIN')
    await client.query('SELECT nothing FROM orders').catch(() => undefined)
    await client.query('SELECT 1').catch(() => undefined)
    await client.query('ROLLBACK')
  })
  expect(records).toMatchObject([
    { transaction: 'idle' },
    {
      transaction: 'open',
      outcome: { sqlstate: '42703', message: 'column "nothing" does not exist' },
    },
    { transaction: 'failed', outcome: { result: 'error', sqlstate: '25P02' } },
    { transaction: 'failed', outcome: { result: 'ok', command: 'ROLLBACK' } },
  ])
})

it('has what EXECUTE and FETCH run, and whose relations that touches', async () => {
  const relations = [{ name: 'orders', access: 'read' }]
  const records = await recorded('read_only', async (client) => {
    await client.query('PREPARE p AS SELECT * FROM orders LIMIT 2')
    await client.query('EXECUTE p')
    await client.query('BEGIN')
    await client.query('DECLARE c CURSOR FOR SELECT id FROM orders')
    await client.query('FETCH 5 FROM c')
    await client.query('COMMIT')
  })
  expect(records[1]).toMatchObject({
    ...{
      relations,
      runs: [{ text: 'PREPARE p AS SELECT * FROM orders LIMIT 2' }],
      outcome: { rows: 2 },
    },
  })
  expect(records[4]).toMatchObject({
    ...{
      relations,
      runs: [{ text: 'DECLARE c CURSOR FOR SELECT id FROM orders' }],
      outcome: { rows: 5 },
    },
  })
})

it('has no text of a role whose texts are not kept, but the shape of it', async () => {
  const ask = async (client: Client): Promise<void> => {
    await client.query("SELECT * FROM orders WHERE note = 'private'")
    await client.query('SELECT * FROM "private').catch(() => undefined)
  }
  const shapes = await recorded('shapes', ask)
  const normal = await recorded('normal', ask)
  expect(normal[0]).toMatchObject({
    ...{ text: 'SELECT * FROM orders WHERE note = $1', fingerprint: shapes[0]?.['fingerprint'] },
  })
  expect(shapes[0]).not.toHaveProperty('text')
  expect(JSON.stringify([shapes, normal])).not.toContain('private')
})

it('has the values of parameters by their types, as they are sent as text and in binary', async () => {
  const records = await recorded('whole', async (client) => {
    await client.query('SELECT id FROM orders WHERE id = $1 AND note = $2', [7, 'note'])
    await client.query('SELECT $1::int, $2::text', ['x', null]).catch(() => undefined)
  })
  expect(records).toMatchObject([
    { parameters: [{ value: '7' }, { value: 'note' }] },
    {
      parameters: [{ value: 'x' }, { value: null }],
      outcome: { message: 'invalid input syntax for type integer: "x"' },
    },
  ])
})

it('has a portal that is fetched in pieces as one statement, by what the server says of its types', async () => {
  const login = await warden.login('whole')
  const client = await WireClient.logIn(warden.port, login)
  const text = Buffer.from('SELECT id FROM orders WHERE id > $1 ORDER BY id')
  const named = { portal: '', statement: 's' }
  const say = async (...messages: readonly FrontendMessage[]): Promise<void> => {
    client.says(...messages, { type: 'sync' })
    await client.hears('readyForQuery')
  }
  await say(
    { type: 'parse', name: 's', text, parameterTypes: [] },
    { type: 'describe', target: 'statement', name: 's' },
  )
  const parameters = [Buffer.from([0, 0, 0, 10])]
  await say(
    { ...named, type: 'bind', parameterFormats: [1], parameters, resultFormats: [] },
    { type: 'execute', portal: '', maxRows: 4 },
    { type: 'execute', portal: '', maxRows: 4 },
  )
  client.close()
  await eventually(async () => (await joined('')).some(({ outcome }) => outcome !== undefined))
  expect(await joined('')).toMatchObject([
    { parameters: [{ type: 23, value: '10' }], outcome: { result: 'suspended', rows: 8 } },
  ])
})

it.skipIf(findPsql() === undefined)('counts what COPY brings in and takes out', async () => {
  const { stderr } = await runProgram(findPsql() ?? '', [await warden.conninfo('whole'), '-X'], {
    input: 'copy orders from stdin;\n100\tin\n101\tin\n\\.\ncopy orders to stdout;\n',
  })
  expect(stderr).toBe('')
  const records = await joined('psql')
  expect(records).toMatchObject([
    {
      relations: [{ name: 'orders', access: 'write' }],
      // Two lines of seven bytes, with or without a header of five each.
      outcome: { command: 'COPY', rows: 2, bytesIn: expect.any(Number) as unknown },
    },
    { relations: [{ name: 'orders', access: 'read' }], outcome: { command: 'COPY', rows: 22 } },
  ])
  expect(Number(records[0]?.outcome?.['bytesIn'])).toBeGreaterThanOrEqual(14)
})
