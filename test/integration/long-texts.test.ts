// What a client with long texts costs the others, in the program as it is run: built, in a process of
// its own, so that its threads are real and a test's own work is not measured with it.

import { afterAll, beforeAll, expect, inject, it } from 'vitest'
import { sqlstates } from '../support/answers.ts'
import { build } from '../support/executable.ts'
import { Warden } from '../support/warden.ts'
import { WireClient } from '../support/wire-client.ts'

let warden: Warden

beforeAll(async () => {
  await build()
  warden = await Warden.start(inject('adminUrl'), {
    ownProcess: true,
    schema: 'CREATE TABLE t (a int, b text)',
  })
})
afterAll(() => warden.stop())

async function connect(): Promise<WireClient> {
  return WireClient.logIn(warden.port, await warden.login('read_only'))
}

async function roundTrip(wire: WireClient): Promise<number> {
  const startedAt = performance.now()
  wire.query('SELECT 1')
  const answer = await wire.hears('readyForQuery')
  expect(answer).toContainEqual({ type: 'commandComplete', tag: 'SELECT 1' })
  return performance.now() - startedAt
}

const denied = 'DROP TABLE t'

it.each([
  ['one statement', `SELECT ${'lower(b), '.repeat(1_500)}1 /*${'x'.repeat(900_000)}*/ FROM t`, ''],
  ['a long list', `INSERT INTO t VALUES ${'(1), '.repeat(200_000)}(1)`, '42501'],
  ['functions', `SELECT ${'f(), '.repeat(200_000)}1`, '42501'],
  ['many statements', `${`SELECT 1 ${' '.repeat(90)};`.repeat(9_999)} ${denied}`, '42501'],
  ['too many statements', `${'SELECT 1;'.repeat(100_000)} ${denied}`, '54000'],
  ['no statements', `${';'.repeat(1_000_000)} ${denied}`, '42501'],
])('a megabyte of one client holds up no other: %s', async (_, text, code) => {
  const [nuisance, innocent] = [await connect(), await connect()]
  nuisance.query(text)
  const trips: number[] = []
  while (nuisance.heard.length === 0) trips.push(await roundTrip(innocent))
  expect(sqlstates(await nuisance.hears('readyForQuery')).join()).toBe(code)
  trips.sort((a, b) => a - b)
  const at = (share: number): number => trips[Math.floor((trips.length - 1) * share)] ?? Infinity
  // The worst is some 30 ms, where nothing else takes the cores.
  expect({ median: at(0.5) < 50, worst: at(1) < 1_000 }).toEqual({ median: true, worst: true })
  expect(await roundTrip(nuisance)).toBeLessThan(1_000)
  nuisance.close()
  innocent.close()
})

it('as many clients as send one are all answered, each in its place', async () => {
  const text = `SELECT ${'lower(b), '.repeat(1_500)}1 /*${'x'.repeat(200_000)}*/ FROM t`
  const wires = await Promise.all(Array.from({ length: 20 }, connect))
  for (const wire of wires) {
    wire.query(text)
    wire.query("SELECT 'behind'")
  }
  for (const wire of wires) {
    expect(await wire.hears('readyForQuery')).toContainEqual({
      type: 'commandComplete',
      tag: 'SELECT 0',
    })
    expect(await wire.hears('readyForQuery')).toContainEqual({
      type: 'dataRow',
      values: [Buffer.from('behind')],
    })
    wire.close()
  }
})
