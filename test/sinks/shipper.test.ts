// What a sink can rely on: everything, in order, and again rather than never.

import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Keeper } from '../../src/journal/keeper.ts'
import { listSegments } from '../../src/journal/segments.ts'
import { SinkProblem } from '../../src/sinks/sink.ts'
import { eventually } from '../support/eventually.ts'
import { MemorySink, SinkJournal, upTo } from '../support/sink-journal.ts'

let journal: SinkJournal
let sink: MemorySink
beforeEach(() => {
  journal = new SinkJournal()
  sink = new MemorySink()
})
afterEach(() => journal.end())

const hasAll = (): Promise<void> => eventually(async () => sink.sequences.at(-1) === journal.stored)

const positionsFile = (): string => join(journal.directory, 'sinks', 'siem.json')

function compressSealed(): void {
  for (const { path } of listSegments(journal.directory).slice(0, -1)) {
    if (path.endsWith('.gz')) continue
    writeFileSync(`${path}.new`, gzipSync(readFileSync(path)))
    renameSync(`${path}.new`, `${path}.gz`)
    rmSync(path)
  }
}

describe('a sink', () => {
  it('that is new gets what was recorded before it, oldest first', async () => {
    journal.open()
    await journal.add(20)
    journal.ship(sink)
    await hasAll()
    expect(sink.sequences).toEqual(upTo(journal.stored))
    expect(sink.taken.at(-1)).toMatchObject({ chain: 'main', type: 'test' })
    expect(sink.taken.at(-1)?.event).toMatch(/^[a-z0-9]{16}-\d+$/)
  })

  it('gets batches of a bounded size, whatever has piled up', async () => {
    journal.open()
    await journal.add(50, 'x'.repeat(200))
    journal.ship(sink, { limits: { records: 10, bytes: 2_000 } })
    await hasAll()
    expect(sink.sequences).toEqual(upTo(journal.stored))
    for (const batch of sink.batches) {
      expect(batch.length).toBeGreaterThan(0)
      expect(batch.length).toBeLessThanOrEqual(10)
      const lines = sink.taken.filter(({ sequence }) => batch.includes(sequence))
      expect(lines.reduce((sum, { line }) => sum + line.length + 1, 0)).toBeLessThanOrEqual(2_000)
    }
  })

  it('gets every record once and in order while segments are rotated and compressed', async () => {
    journal.open(2_000)
    journal.ship(sink, { limits: { records: 3, bytes: 100_000 } })
    for (let round = 0; round < 20; round += 1) {
      await journal.add(7)
      if (round % 2 === 0) compressSealed()
    }
    await hasAll()
    expect(readdirSync(journal.directory).some((name) => name.endsWith('.gz'))).toBe(true)
    expect(sink.sequences).toEqual(upTo(journal.stored))
    expect(journal.notes).toEqual([])
  })

  it('that fails for a while misses nothing, and is said to fail and to work again', async () => {
    journal.open()
    let isAway = true
    sink.before = () => {
      if (isAway) throw new Error('no connection (ECONNREFUSED)')
    }
    const shipper = journal.ship(sink)
    await journal.add(3)
    await eventually(async () => journal.failures.length > 1)
    expect(shipper.state.backlog.records).toBeGreaterThan(0)
    expect(shipper.state.oldestUnsentAt).toBeGreaterThan(Date.now() - 60_000)
    await journal.add(3)
    isAway = false
    await hasAll()
    expect(sink.sequences).toEqual(upTo(journal.stored))
    expect(journal.recoveries).toBe(1)
    await eventually(async () => shipper.state.backlog.records === 0)
    expect(shipper.state.oldestUnsentAt).toBeUndefined()
  })

  it('that has much to say is heard for its first words only', async () => {
    journal.open()
    await journal.add(1)
    sink.before = () => {
      throw new SinkProblem(`no ${'!'.repeat(1_000_000)}`)
    }
    journal.ship(sink)
    await eventually(async () => journal.failures.length > 0)
    expect(journal.failures[0]).toHaveLength(500)
  })

  it('is left alone for as long as it asks', async () => {
    journal.open()
    const attempts: number[] = []
    sink.before = () => {
      attempts.push(performance.now())
      if (attempts.length === 1) throw new SinkProblem('status 503', 200)
    }
    journal.ship(sink)
    await journal.add(1)
    await hasAll()
    const [first = 0, second = 0] = attempts
    expect(second - first).toBeGreaterThan(190)
  })

  it('goes on after a restart where it was, without anything sent again', async () => {
    journal.open(2_000)
    await journal.add(10)
    const shipper = journal.ship(sink)
    await hasAll()
    await shipper.stop(100)
    journal.close()
    const before = journal.stored
    compressSealed()
    journal.open(2_000)
    await journal.add(5)
    journal.ship(sink)
    await hasAll()
    expect(journal.stored).toBeGreaterThan(before)
    expect(sink.sequences).toEqual(upTo(journal.stored))
  })

  it('gets again what was on its way when the process was killed', async () => {
    journal.open()
    await journal.add(10)
    // What it took was never written down.
    journal.ship(sink, { keepMs: 1_000_000 })
    await hasAll()
    const again = new MemorySink()
    journal.ship(again)
    await eventually(async () => again.sequences.at(-1) === journal.stored)
    expect(again.sequences).toEqual(upTo(journal.stored))
  })

  it('gets what is left at a stop, as far as there is time for it', async () => {
    journal.open()
    const shipper = journal.ship(sink, { pollMs: 100_000 })
    await eventually(async () => shipper.state.backlog.records === 0)
    await journal.add(10)
    await shipper.stop(1_000)
    expect(sink.sequences).toEqual(upTo(journal.stored))
    const file: unknown = JSON.parse(readFileSync(positionsFile(), 'utf8'))
    expect(file).toMatchObject({ main: { sequence: journal.stored } })
  })

  it('never gets a record that is not stored for good', async () => {
    journal.open()
    await journal.add(10)
    let stored = 4
    journal.ship(sink, { upTo: () => stored })
    await eventually(async () => sink.sequences.length === 4)
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(sink.sequences).toEqual(upTo(4))
    stored = journal.stored
    await hasAll()
    expect(sink.sequences).toEqual(upTo(journal.stored))
  })
})

describe('a sink that confirms nothing', () => {
  it('gets again what was written shortly before its connection broke', async () => {
    journal.open()
    let breaks = false
    sink.before = () => {
      if (!breaks) return
      breaks = false
      throw new Error('the connection broke')
    }
    const settling = Object.assign(sink, { settleMs: 200 })
    const shipper = journal.ship(settling, { keepMs: 5 })
    await journal.add(5)
    await hasAll()
    expect(shipper.state.shipped.get('main') ?? 0).toBe(0)
    breaks = true
    await journal.add(1)
    await eventually(async () => sink.sequences.length === 2 * journal.stored - 1)
    expect(sink.sequences.slice(journal.stored - 1)).toEqual(upTo(journal.stored))
    // Nothing more is sent: that the connection lives on is enough.
    await eventually(async () => shipper.state.shipped.get('main') === journal.stored)
  })
})

describe('a position', () => {
  async function sendAllAndStop(): Promise<void> {
    const shipper = journal.ship(sink)
    await hasAll()
    await shipper.stop(100)
    journal.close()
  }

  it('that is garbage is said, and everything is sent again', async () => {
    journal.open()
    await journal.add(5)
    await sendAllAndStop()
    writeFileSync(positionsFile(), '{"main":{"sequence":')
    journal.open()
    const again = new MemorySink()
    journal.ship(again)
    await eventually(async () => again.sequences.at(-1) === journal.stored)
    expect(again.sequences).toEqual(upTo(journal.stored))
    expect(journal.notes).toEqual([expect.stringContaining('is damaged')])
  })

  it('in records that were deleted since is said, and goes on with the oldest', async () => {
    journal.open(1_500)
    await journal.add(5)
    await sendAllAndStop()
    journal.open(1_500)
    await journal.add(30)
    const [oldest] = listSegments(journal.directory).slice(-2)
    for (const { path, first } of listSegments(journal.directory)) {
      if (first < (oldest?.first ?? 0)) rmSync(path)
    }
    const late = new MemorySink()
    journal.ship(late)
    await eventually(async () => late.sequences.at(-1) === journal.stored)
    expect(late.sequences[0]).toBe(oldest?.first)
    expect(journal.notes).toEqual([
      expect.stringContaining('is not there any more'),
      expect.stringMatching(/^records 7 to \d+ of the chain main are not in the journal$/),
    ])
  })

  it('behind the end, as after a copy was put back, leaves nothing new out', async () => {
    journal.open()
    await journal.add(5)
    const copied = journal.stored
    const copies = listSegments(journal.directory).map(({ path }) => ({
      path,
      bytes: readFileSync(path),
    }))
    await journal.add(50)
    await sendAllAndStop()
    for (const { path } of listSegments(journal.directory)) rmSync(path)
    for (const { path, bytes } of copies) writeFileSync(path, bytes)
    journal.open()
    await journal.add(3)
    const late = new MemorySink()
    journal.ship(late)
    await eventually(async () => late.sequences.at(-1) === journal.stored)
    expect(late.sequences).toEqual(upTo(journal.stored).slice(copied))
    expect(journal.notes).toEqual([expect.stringContaining('a copy was put back')])
  })

  it('in another journal is said, and all of this one is sent', async () => {
    journal.open()
    await journal.add(50)
    await sendAllAndStop()
    for (const { path } of listSegments(journal.directory)) rmSync(path)
    journal.open()
    // Longer than the one before: something stands where its last record stood.
    await journal.add(60)
    const late = new MemorySink()
    journal.ship(late)
    await eventually(async () => late.sequences.at(-1) === journal.stored)
    expect(late.sequences).toEqual(upTo(journal.stored))
    expect(journal.notes).toEqual([expect.stringContaining('another journal')])
  })

  it('in another journal does not count as sent, whoever asks what may be deleted', async () => {
    journal.open()
    await journal.add(50)
    await sendAllAndStop()
    for (const { path } of listSegments(journal.directory)) rmSync(path)
    journal.open()
    await journal.add(60)
    const away = new MemorySink()
    away.before = () => Promise.reject(new SinkProblem('away'))
    const shipper = journal.ship(away)
    expect(shipper.state.shipped.get('main')).toBeGreaterThan(50)
    await eventually(async () => !shipper.state.shipped.has('main'))
  })
})

it('what a sink does not have is not deleted, however old, and then it is', async () => {
  journal.open(1_500)
  await journal.add(30)
  let isAway = true
  sink.before = () => {
    if (isAway) throw new SinkProblem('away')
  }
  const shipper = journal.ship(sink)
  await eventually(async () => journal.failures.length > 0)
  const before = listSegments(journal.directory)
  const keeper = new Keeper({
    directory: journal.directory,
    chains: [{ chain: 'main', record: async () => undefined }],
    compress: false,
    retentionMs: 0,
    graceMs: 0,
    // In a year from now.
    clock: { now: () => Date.now() + 365 * 86_400_000, elapsed: () => performance.now() },
    shippedUpTo: (chain) => shipper.state.shipped.get(chain) ?? 0,
    rotate: () => undefined,
    onProblem: (error) => expect.fail(String(error)),
  })
  await keeper.round()
  expect(listSegments(journal.directory)).toEqual(before)
  isAway = false
  await eventually(async () => shipper.state.shipped.get('main') === journal.stored)
  await keeper.round()
  expect(listSegments(journal.directory)).toEqual(before.slice(-1))
  expect(sink.sequences).toEqual(upTo(journal.stored))
})
