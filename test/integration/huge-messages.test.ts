// Messages of hundreds of megabytes pass through the program as it is run without being gathered: its
// memory, in a process of its own, stays what it was. The bound tells buffers that nobody has collected
// yet from a message that is held.

import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, it } from 'vitest'
import { build } from '../support/executable.ts'
import { FlowClient } from '../support/flow-client.ts'
import { execute, parse, sql, sync } from '../support/scripted-session.ts'
import { Warden } from '../support/warden.ts'

const MB = 1024 * 1024
const mostGrown = 160 * MB
const piece = Buffer.alloc(MB, `${'x'.repeat(1023)}\n`)

/** 520 MB, made in little time. */
const huge = `repeat(repeat('x', 1024), ${520 * 1024})`

let warden: Warden
let client: FlowClient
/** Resident memory before anything. */
let atFirst: number

beforeAll(async () => {
  await build()
  warden = await Warden.start(inject('adminUrl'), {
    ownProcess: true,
    // A server that logs its statements logs their parameters too.
    schema: `
      CREATE TABLE t (a text);
      DO $$ BEGIN
        EXECUTE format('ALTER DATABASE %I SET log_parameter_max_length = 0', current_database());
      END $$`,
  })
  atFirst = await memory()
})
beforeEach(async () => {
  client = await FlowClient.logIn(warden.port, await warden.login('read_full_write'))
})
afterEach(() => client.close())
afterAll(() => warden.stop())

/** Resident memory of the program. */
async function memory(): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${warden.httpPort}/metrics`)
  return Number(/^process_resident_memory_bytes (\S+)/m.exec(await response.text())?.[1])
}

/** By how much memory has grown, at most, until the client has heard ReadyForQuery. */
async function growth(work: () => Promise<void> | void): Promise<number> {
  let most = atFirst
  const look = async (): Promise<void> => {
    most = Math.max(most, await memory())
  }
  const watch = setInterval(() => void look(), 200)
  try {
    await work()
    await client.hears('Z', 1, 50_000)
    await look()
  } finally {
    clearInterval(watch)
  }
  return most - atFirst
}

/** A message of this type, `start` and then so many megabytes, in pieces. */
function* message(
  type: string,
  start: Buffer,
  megabytes: number,
  end: Buffer = Buffer.alloc(0),
): Generator<Buffer> {
  const header = Buffer.alloc(5, type)
  header.writeInt32BE(4 + start.length + megabytes * MB + end.length, 1)
  yield Buffer.concat([header, start])
  for (let left = megabytes; left > 0; left--) yield piece
  yield end
}

function int(size: 16 | 32, ...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc((values.length * size) / 8)
  values.forEach((value, n) => {
    if (size === 16) bytes.writeInt16BE(value, n * 2)
    else bytes.writeInt32BE(value, n * 4)
  })
  return bytes
}

it('a row of 520 MB', async () => {
  const grown = await growth(() => client.says(sql(`SELECT ${huge}`)))
  expect(client.largest).toBeGreaterThan(520 * MB)
  expect(grown).toBeLessThan(mostGrown)
})

it('520 MB of COPY data in one message to the client', async () => {
  const grown = await growth(() => client.says(sql(`COPY (SELECT ${huge}) TO STDOUT`)))
  expect(client.counts.get('d')).toBe(1)
  expect(grown).toBeLessThan(mostGrown)
})

it('520 MB of COPY data in one message to the server', async () => {
  client.says(sql('COPY t FROM STDIN WHERE false'))
  await client.hears('G', 1, 5_000)
  const grown = await growth(async () => {
    await client.streams(message('d', Buffer.alloc(0), 520))
    client.says({ type: 'copyDone' })
  })
  expect(client.errors).toEqual([])
  expect(client.counts.get('C')).toBe(1)
  expect(grown).toBeLessThan(mostGrown)
})

it('a parameter of 300 MB', async () => {
  const head = Buffer.concat([Buffer.from('\0\0'), int(16, 1, 1, 1), int(32, 300 * MB)])
  const grown = await growth(async () => {
    client.says(parse('SELECT octet_length($1::bytea)'))
    await client.streams(message('B', head, 300, int(16, 0)))
    client.says(execute(), sync)
  })
  expect(client.errors).toEqual([])
  expect(client.counts.get('D')).toBe(1)
  expect(grown).toBeLessThan(mostGrown)
})

it('200 MB written to a large object', async () => {
  client.says(sql('BEGIN; SELECT lo_create(7); SELECT lo_open(7, 131072)'))
  await client.hears('Z', 1, 5_000)
  client.counts.clear()
  const head = Buffer.concat([int(32, 955), int(16, 1, 1, 2), int(32, 4, 0, 200 * MB)])
  const grown = await growth(() => client.streams(message('F', head, 200, int(16, 1))))
  expect(client.errors).toEqual([])
  expect(client.counts.get('V')).toBe(1)
  expect(grown).toBeLessThan(mostGrown)
  client.counts.clear()
  client.says(sql('ROLLBACK'))
  await client.hears('Z', 1, 5_000)
})

it.each([
  ['Q', Buffer.alloc(0)],
  ['P', Buffer.from('name\0')],
])('a query string of 300 MB is refused, and the session goes on (%s)', async (type, start) => {
  const grown = await growth(async () => {
    await client.streams(message(type, start, 300, Buffer.from('\0\0\0')))
    if (type === 'P') client.says(sync)
  })
  expect(client.errors).toEqual(['54000'])
  expect(grown).toBeLessThan(mostGrown)
  client.counts.clear()
  client.says(sql('SELECT 1'))
  await client.hears('Z', 1, 5_000)
  expect(client.counts.get('D')).toBe(1)
})
