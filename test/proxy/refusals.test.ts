import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it, vi } from 'vitest'
import { Journal } from '../../src/audit/journal.ts'
import type { Login } from '../../src/audit/record.ts'
import { Refusals } from '../../src/proxy/refusals.ts'
import { emptyChain, HeldClock, MemoryStorage, parseLine } from '../support/memory-journal.ts'

function refusal(principal: string, reason = 'unknown'): Login {
  return {
    result: 'refused',
    reason,
    principal,
    target: 'shop',
    client: '192.0.2.7:4711',
    certificate: undefined,
    tokenId: undefined,
    session: undefined,
  }
}

function recorder() {
  const storage = new MemoryStorage()
  const clock = new HeldClock()
  const warn = vi.fn<(fields: object, message: string) => void>()
  const log = { debug: vi.fn(), info: vi.fn(), error: vi.fn(), warn }
  const journal = new Journal(storage, emptyChain, clock)
  const records = () => {
    journal.flush()
    return storage.lines.map(parseLine)
  }
  return { refusals: new Refusals({ journal, log, clock }), records, clock, warn }
}

it('records each refusal by itself, before it is told', async () => {
  const { refusals, records, warn } = recorder()
  await refusals.record('192.0.2.7', refusal('alice'))
  await refusals.record('192.0.2.7', refusal('bob', 'wrong_secret'))
  expect(records()).toMatchObject([
    { type: 'login', principal: 'alice', reason: 'unknown' },
    { type: 'login', principal: 'bob', reason: 'wrong_secret' },
  ])
  expect(warn).toHaveBeenCalledTimes(2)
  refusals.stop()
})

it('sums up a flood from one network by reason, and none is lost', async () => {
  const { refusals, records } = recorder()
  for (let at = 0; at < 1_000; at++) {
    await refusals.record('192.0.2.7', refusal(`u${at}`, at % 2 === 0 ? 'unknown' : 'malformed'))
  }
  refusals.stop()
  const said = records()
  expect(said).toHaveLength(102)
  expect(said.slice(100)).toMatchObject([
    { reason: 'unknown', principal: 'u998', count: 450 },
    { reason: 'malformed', principal: 'u999', count: 450 },
  ])
})

it('sums up by itself within about a second', async () => {
  const { refusals, records } = recorder()
  for (let at = 0; at < 103; at++) await refusals.record('192.0.2.7', refusal('alice'))
  expect(records()).toHaveLength(100)
  await sleep(1_200)
  expect(records().slice(100)).toMatchObject([{ count: 3 }])
})

it('records others by themselves meanwhile, and the same network again after a while', async () => {
  const { refusals, records, clock } = recorder()
  for (let at = 0; at < 200; at++) await refusals.record('192.0.2.7', refusal('alice'))
  await refusals.record('198.51.100.1', refusal('bob'))
  clock.wall += 5_000
  await refusals.record('192.0.2.7', refusal('carol'))
  expect(records().map((record) => record['principal'])).toEqual([
    ...Array<string>(100).fill('alice'),
    'bob',
    'carol',
  ])
  refusals.stop()
})
