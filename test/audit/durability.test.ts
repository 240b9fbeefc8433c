// Who waits for the disk: when they are told, in which order, and what becomes of them when it fails.

import { afterEach, describe, expect, it, vi } from 'vitest'
import { Journal, type JournalWaiter } from '../../src/audit/journal.ts'
import { emptyChain, HeldClock, MemoryStorage } from '../support/memory-journal.ts'

/** A disk that confirms when it is told to. */
class SlowDisk extends MemoryStorage {
  readonly flushes: { readonly done: () => void; readonly failed: () => void }[] = []

  override sync(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.flushes.push({ done: resolve, failed: () => reject(new Error('EIO')) })
    })
  }
}

const durable = { durable: true }
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function fixture() {
  const disk = new SlowDisk()
  const journal = new Journal(disk, emptyChain, new HeldClock())
  const told: string[] = []
  const waiter = (name: string): JournalWaiter => ({
    stored: ({ upTo }) => told.push(`${name} stored up to ${upTo}`),
    refused: ({ code }, upTo) => told.push(`${name} ${code} up to ${upTo}`),
  })
  const flush = async (at: number, how: 'done' | 'failed') => {
    disk.flushes[at]?.[how]()
    await settled()
  }
  return { disk, journal, told, waiter, flush }
}

describe('a durable record', () => {
  it('is not said to be stored before the disk has confirmed it', async () => {
    const { disk, journal, told, waiter, flush } = fixture()
    journal.append('"type":"a"', waiter('alice'), durable)
    journal.flush()
    await settled()
    expect(disk.lines).toHaveLength(1)
    expect(told).toEqual([])
    await flush(0, 'done')
    expect(told).toEqual(['alice stored up to 1'])
  })

  it('holds up nobody who does not wait for the disk', async () => {
    const { journal, told, waiter, flush } = fixture()
    journal.append('"type":"a"', waiter('alice'), durable)
    journal.append('"type":"b"', waiter('bob'))
    journal.flush()
    expect(told).toEqual(['bob stored up to 2'])
    await flush(0, 'done')
    expect(told[1]).toBe('alice stored up to 2')
  })

  it('shares one flush with all that came while the last one ran', async () => {
    const { disk, journal, told, waiter, flush } = fixture()
    for (const name of ['alice', 'bob', 'carol']) {
      journal.append('"type":"a"', waiter(name), durable)
      journal.flush()
    }
    expect(disk.flushes).toHaveLength(1)
    await flush(0, 'done')
    expect(told).toEqual(['alice stored up to 1'])
    expect(disk.flushes).toHaveLength(2)
    await flush(1, 'done')
    expect(told.slice(1)).toEqual(['bob stored up to 2', 'carol stored up to 3'])
    expect(disk.flushes).toHaveLength(2)
  })

  it('is confirmed before a later record of the same waiter, be that durable or not', async () => {
    const { journal, told, waiter, flush } = fixture()
    const alice = waiter('alice')
    journal.append('"type":"a"', alice, durable)
    journal.flush()
    journal.append('"type":"b"', alice)
    journal.flush()
    expect(told).toEqual([])
    await flush(0, 'done')
    expect(told).toEqual(['alice stored up to 1'])
    await flush(1, 'done')
    expect(told).toEqual(['alice stored up to 1', 'alice stored up to 2'])
  })

  it('is confirmed before its waiter is refused a later one', async () => {
    const { disk, journal, told, waiter, flush } = fixture()
    const alice = waiter('alice')
    journal.append('"type":"a"', alice, durable)
    journal.flush()
    disk.failing = true
    journal.append('"type":"b"', alice, durable)
    journal.flush()
    expect(told).toEqual([])
    await flush(0, 'done')
    await flush(1, 'done')
    expect(told).toEqual(['alice stored up to 1', 'alice journal_unavailable up to 2'])
  })

  it('is refused when the disk fails, with all that went into the same file since', async () => {
    const { journal, told, waiter, flush } = fixture()
    journal.append('"type":"a"', waiter('alice'), durable)
    journal.flush()
    journal.append('"type":"b"', waiter('bob'), durable)
    journal.flush()
    await flush(0, 'failed')
    expect(told).toEqual(['alice journal_unavailable up to 1', 'bob journal_unavailable up to 2'])
    expect(journal.healthy).toBe(false)
  })

  it('shows that the disk works again', async () => {
    const { journal, flush } = fixture()
    const first = journal.record('"type":"a"', durable)
    journal.flush()
    await Promise.all([expect(first).rejects.toThrow('cannot be written'), flush(0, 'failed')])
    await journal.record('"type":"b"')
    expect(journal.healthy).toBe(false)
    const second = journal.record('"type":"c"', durable)
    journal.flush()
    await Promise.all([second, flush(1, 'done')])
    expect(journal.healthy).toBe(true)
  })
})

describe('what is kept while nothing can be written', () => {
  afterEach(() => void vi.useRealTimers())

  it('is tried again every second, without traffic, until it is stored', () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const { disk, journal } = fixture()
    disk.failing = true
    journal.append('"type":"outcome"')
    journal.flush()
    vi.advanceTimersByTime(3_000)
    expect(journal.healthy).toBe(false)
    disk.failing = false
    vi.advanceTimersByTime(1_000)
    expect(disk.lines).toHaveLength(1)
    expect(journal.healthy).toBe(true)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('is tried once more at the end, and no further', () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const { disk, journal } = fixture()
    disk.failing = true
    journal.append('"type":"outcome"')
    journal.close()
    expect(journal.unwritten).toBe(1)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('has a bound, and what did not fit is counted on record, behind what did', () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const { disk, journal } = fixture()
    disk.failing = true
    const long = `"type":"outcome","text":"${'x'.repeat(60_000)}"`
    for (let count = 0; count < 150; count += 1) journal.append(long)
    journal.flush()
    // It would fit, but it came after what was lost.
    journal.append('"type":"outcome"')
    journal.flush()
    disk.failing = false
    journal.append('"type":"newer"')
    journal.flush()
    const types = disk.lines.map((line) => /"type":"([a-z.]+)"/.exec(line)?.[1])
    const kept = types.filter((type) => type === 'outcome').length
    expect(kept).toBeGreaterThan(130)
    expect(disk.lines.at(-2)).toContain(`"type":"journal.lost","records":${151 - kept}`)
    expect(types.slice(-3)).toEqual(['outcome', 'journal.lost', 'newer'])
    expect(journal.unwritten).toBe(0)
  })
})
