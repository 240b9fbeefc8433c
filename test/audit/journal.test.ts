import { describe, expect, it } from 'vitest'
import { ChainCheck } from '../../src/audit/chain.ts'
import { Journal, type JournalWaiter, type Receipt } from '../../src/audit/journal.ts'
import type { Failure } from '../../src/errors.ts'
import { emptyChain, HeldClock, MemoryStorage, parseLine } from '../support/memory-journal.ts'

function fixture() {
  const storage = new MemoryStorage()
  const clock = new HeldClock()
  const seen: string[] = []
  const journal = new Journal(storage, emptyChain, clock, {
    wrote: (records, bytes) => seen.push(`wrote ${records} records, ${bytes} bytes`),
    synced: () => seen.push('synced'),
    failed: (waiting) => seen.push(`failed for ${waiting} waiting`),
    recovered: () => seen.push('recovered'),
    kept: (records, lost) => seen.push(`kept ${records}, lost ${lost} more`),
  })
  return { storage, clock, journal, seen }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** A waiter that notes its name and what it was told. */
function waiter(name: string, told: string[], then?: () => void): JournalWaiter {
  return {
    stored: (receipt) => {
      told.push(`${name} stored ${receipt.upTo}`)
      then?.()
    },
    refused: (failure) => told.push(`${name} refused ${failure.code}`),
  }
}

function checkChain(lines: readonly string[]): string | undefined {
  const check = new ChainCheck()
  for (const line of lines) check.line(Buffer.from(line))
  return check.problem?.message
}

describe('Journal', () => {
  it('stores everything appended in one turn with one write', async () => {
    const { storage, journal, seen } = fixture()
    journal.append('"type":"a"')
    await Promise.resolve()
    journal.append('"type":"b"')
    expect(storage.writes).toEqual([])
    await turn()
    expect(storage.writes).toHaveLength(1)
    expect(storage.lines.map(parseLine)).toMatchObject([
      { seq: 1, time: '2026-01-02T03:04:05.678000Z', type: 'a' },
      { seq: 2, time: '2026-01-02T03:04:05.678000Z', type: 'b' },
    ])
    expect(seen).toEqual([`wrote 2 records, ${storage.writes[0]?.length} bytes`])
  })

  it('writes nothing in a turn in which nothing was appended', async () => {
    const { storage, journal } = fixture()
    journal.flush()
    await turn()
    expect(storage.writes).toEqual([])
  })

  it('tells waiters after the write, in the order of first append, each once', async () => {
    const { storage, journal } = fixture()
    const receipts: Receipt[] = []
    const told: string[] = []
    const keep = (name: string): JournalWaiter => ({
      stored: (receipt) => {
        told.push(`${name} after ${storage.writes.length} write`)
        receipts.push(receipt)
      },
      refused: () => told.push(`${name} refused`),
    })
    const first = keep('first')
    journal.append('"type":"a"', first)
    journal.append('"type":"b"', keep('second'))
    journal.append('"type":"c"', first)
    await turn()
    expect(told).toEqual(['first after 1 write', 'second after 1 write'])
    expect(receipts.map(({ upTo }) => upTo)).toEqual([3, 3])
  })

  it('puts what a waiter appends into the next batch', async () => {
    const { storage, journal } = fixture()
    const told: string[] = []
    const again = waiter('again', told)
    journal.append(
      '"type":"a"',
      waiter('first', told, () => journal.append('"type":"b"', again)),
    )
    await turn()
    expect(storage.writes).toHaveLength(1)
    expect(told).toEqual(['first stored 1'])
    await turn()
    expect(told).toEqual(['first stored 1', 'again stored 2'])
    expect(checkChain(storage.lines)).toBeUndefined()
  })

  it('refuses every waiter of a batch that cannot be written, and shows no path', async () => {
    const { storage, journal, seen } = fixture()
    storage.failing = true
    const failures: Failure[] = []
    const refusing: JournalWaiter = {
      stored: () => expect.unreachable('nothing was stored'),
      refused: (failure) => failures.push(failure),
    }
    journal.append('"type":"a"', refusing)
    await expect(journal.record('"type":"b"')).rejects.toMatchObject({
      code: 'journal_unavailable',
      sqlstate: '58030',
    })
    expect(failures).toHaveLength(1)
    expect(failures[0]?.message).toBe(
      'the audit journal cannot be written, so the statement was not forwarded',
    )
    expect(`${failures[0]?.message}${failures[0]?.detail}${failures[0]?.hint}`).not.toContain('/')
    expect(journal.healthy).toBe(false)
    expect(seen).toEqual(['failed for 2 waiting', 'kept 0, lost 0 more'])
  })

  it('continues the chain from the last stored record after a failed write', async () => {
    const { storage, journal } = fixture()
    await journal.record('"type":"a"')
    storage.failing = true
    await expect(journal.record('"type":"lost"')).rejects.toThrow()
    expect(journal.healthy).toBe(false)
    storage.failing = false
    await journal.record('"type":"b"')
    expect(journal.tip.sequence).toBe(2)
    expect(journal.healthy).toBe(true)
    expect(storage.lines).toHaveLength(2)
    expect(checkChain(storage.lines)).toBeUndefined()
  })

  it('keeps what nobody waited for, with its time, and writes it before anything newer', async () => {
    const { storage, clock, journal, seen } = fixture()
    storage.failing = true
    journal.append('"type":"outcome","number":1')
    await expect(journal.record('"type":"statement"')).rejects.toThrow()
    clock.wall += 1_000
    journal.append('"type":"outcome","number":2')
    await turn()
    expect(journal.unwritten).toBe(2)
    clock.wall += 1_000
    storage.failing = false
    await journal.record('"type":"statement","number":3')
    expect(storage.lines.map(parseLine)).toMatchObject([
      { seq: 1, time: '2026-01-02T03:04:05.678000Z', number: 1 },
      { seq: 2, time: '2026-01-02T03:04:06.678000Z', number: 2 },
      { seq: 3, time: '2026-01-02T03:04:07.678000Z', number: 3 },
    ])
    expect(checkChain(storage.lines)).toBeUndefined()
    expect(journal.unwritten).toBe(0)
    expect(seen.filter((word) => !word.startsWith('wrote'))).toEqual([
      'failed for 1 waiting',
      'kept 1, lost 0 more',
      'failed for 0 waiting',
      'kept 2, lost 0 more',
      'kept 0, lost 0 more',
      'recovered',
    ])
  })

  it('tells the other waiters when one throws, and then lets the defect out', () => {
    const { journal } = fixture()
    const told: string[] = []
    journal.append(
      '"type":"a"',
      waiter('first', told, () => {
        throw new Error('a defect')
      }),
    )
    journal.append('"type":"b"', waiter('second', told))
    expect(() => journal.flush()).toThrow('a waiter of the journal threw')
    expect(told).toEqual(['first stored 2', 'second stored 2'])
  })

  it('writes at once when flushed, and not again at the end of the turn', async () => {
    const { storage, journal } = fixture()
    const told: string[] = []
    journal.append('"type":"a"', waiter('first', told))
    journal.flush()
    expect(told).toEqual(['first stored 1'])
    await turn()
    expect(storage.writes).toHaveLength(1)
  })

  it('begins a batch with the opening record of a new segment', async () => {
    const { storage, journal } = fixture()
    storage.nextOpening = '"type":"journal.open"'
    const told: string[] = []
    journal.append('"type":"a"', waiter('first', told))
    await turn()
    journal.append('"type":"b"')
    await turn()
    expect(storage.lines.map(parseLine)).toMatchObject([
      { seq: 1, type: 'journal.open' },
      { seq: 2, type: 'a' },
      { seq: 3, type: 'b' },
    ])
    expect(told).toEqual(['first stored 1'])
    expect(checkChain(storage.lines)).toBeUndefined()
  })

  it('grows for a batch beyond its first megabyte', async () => {
    const { storage, journal } = fixture()
    const long = `"type":"a","text":"${'é'.repeat(300_000)}"`
    for (let i = 0; i < 5; i += 1) journal.append(long)
    await turn()
    expect(storage.writes).toHaveLength(1)
    expect(storage.lines).toHaveLength(5)
    expect(checkChain(storage.lines)).toBeUndefined()
  })

  it('bounds the memory of a flood in one turn by writing early, and still tells waiters only at its end', async () => {
    const { storage, journal } = fixture()
    const told: string[] = []
    const flooding = waiter('flooding', told)
    const long = `"type":"a","text":"${'x'.repeat(1_000_000)}"`
    for (let i = 0; i < 20; i += 1) journal.append(long, flooding)
    expect(storage.writes.length).toBeGreaterThan(0)
    expect(told).toEqual([])
    await turn()
    expect(told).toEqual(['flooding stored 20'])
    expect(checkChain(storage.lines)).toBeUndefined()
  })

  it('refuses the whole turn when a part of a flood could not be written', async () => {
    const { storage, journal } = fixture()
    const told: string[] = []
    const long = `"type":"a","text":"${'x'.repeat(1_000_000)}"`
    storage.failing = true
    journal.append('"type":"early"', waiter('early', told))
    for (let i = 0; i < 10; i += 1) journal.append(long)
    storage.failing = false
    journal.append('"type":"late"', waiter('late', told))
    await turn()
    expect(told).toEqual(['early refused journal_unavailable', 'late refused journal_unavailable'])
    expect(checkChain(storage.lines)).toBeUndefined()
  })

  it('stamps each record with the time at which it was appended', async () => {
    const { storage, clock, journal } = fixture()
    journal.append('"type":"a"')
    clock.wall += 1
    journal.append('"type":"b"')
    await turn()
    expect(storage.lines.map(parseLine)).toMatchObject([
      { time: '2026-01-02T03:04:05.678000Z' },
      { time: '2026-01-02T03:04:05.679000Z' },
    ])
  })
})
