// What becomes of segments with time, whatever the clock does and whenever a process dies.

import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Journal } from '../../src/audit/journal.ts'
import { JournalFiles } from '../../src/journal/files.ts'
import { Keeper, type KeeperOptions } from '../../src/journal/keeper.ts'
import { segmentsOf } from '../support/journal-files.ts'
import { parseLine } from '../support/memory-journal.ts'

const hour = 3_600_000
const day = 24 * hour

let directory: string
const stops: (() => void)[] = []
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pgwarden-keeper-'))
})
afterEach(() => {
  for (const stop of stops.splice(0)) stop()
  rmSync(directory, { recursive: true, force: true })
})

function fixture(options: Partial<KeeperOptions> = {}) {
  const clock = {
    wall: Date.UTC(2026, 0, 2),
    ms: 0,
    now: () => clock.wall,
    elapsed: () => clock.ms,
    /** Both clocks, as time goes by. */
    pass: (ms: number) => {
      clock.wall += ms
      clock.ms += ms
    },
  }
  const { storage, tip } = JournalFiles.open({
    directory,
    segmentBytes: 1e6,
    segmentMs: day,
    clock,
  })
  const journal = new Journal(storage, tip, clock)
  const problems: unknown[] = []
  const keeper = new Keeper({
    directory,
    chains: [{ chain: 'main', record: (fields) => journal.record(fields, { durable: true }) }],
    compress: false,
    retentionMs: undefined,
    clock,
    shippedUpTo: () => Number.POSITIVE_INFINITY,
    rotate: () => {
      if (storage.full) journal.rotate()
    },
    onProblem: (error) => problems.push(error),
    ...options,
  })
  stops.push(() => storage.close())
  /** A segment a day, of three records and its opening and seal. */
  const days = async (count: number) => {
    for (let at = 0; at < count; at += 1) {
      for (const number of [1, 2, 3]) await journal.record(`"type":"test","number":${number}`)
      clock.pass(day)
    }
  }
  return { clock, journal, keeper, problems, days }
}

const files = (): readonly string[] =>
  readdirSync(directory)
    .filter((name) => !name.endsWith('.lock'))
    .sort()

const allLines = () =>
  segmentsOf(directory).flatMap(({ lines }) => lines.map((line) => parseLine(line.toString())))

describe('an old segment', () => {
  it('is ended without traffic, and not again and again', async () => {
    const { clock, journal, keeper } = fixture()
    await journal.record('"type":"test"')
    clock.pass(day)
    await keeper.round()
    clock.pass(day)
    await keeper.round()
    expect(files()).toEqual(['main-000000000001.jsonl'])
    expect(allLines().at(-1)).toMatchObject({ seq: 3, type: 'journal.seal' })
  })
})

describe('compression', () => {
  it('takes all segments but the last, with their long texts, and changes not a byte', async () => {
    const { journal, keeper, days } = fixture({ compress: true })
    const overflow = [{ text: 'long', sha256: 'ab'.repeat(32) }]
    await journal.record('"type":"test"', { overflow })
    await days(3)
    const before = new Map(
      files().map((file) => [file, readFileSync(join(directory, file), 'utf8')]),
    )
    await keeper.round()
    expect(files()).toEqual([
      'main-000000000001.jsonl.gz',
      'main-000000000001.overflow.jsonl.gz',
      'main-000000000007.jsonl.gz',
      'main-000000000012.jsonl',
    ])
    for (const file of files().filter((name) => name.endsWith('.gz'))) {
      const text = gunzipSync(readFileSync(join(directory, file))).toString()
      expect(text).toBe(before.get(file.slice(0, -3)))
    }
  })

  it('leaves the last segment with a record to the next process, while one behind it is empty', async () => {
    const { keeper, days } = fixture({ compress: true })
    await days(2)
    // Begun, and its first write failed.
    writeFileSync(join(directory, 'main-000000000011.jsonl'), '')
    await keeper.round()
    expect(files()).toEqual([
      'main-000000000001.jsonl.gz',
      'main-000000000006.jsonl',
      'main-000000000011.jsonl',
    ])
  })

  it('survives the death of its process at every step', async () => {
    const first = fixture({ compress: true })
    await first.days(3)
    const [one = '', two = ''] = files()
    // Half a copy; and a whole one beside the original.
    writeFileSync(join(directory, `${one}.gz.tmp`), 'half')
    copyFileSync(join(directory, two), join(directory, `${two}.gz`))
    first.keeper.start()
    expect(files().filter((name) => name.includes('.gz'))).toEqual([])
    await first.keeper.round()
    expect(files().filter((name) => name.endsWith('.gz'))).toEqual([`${one}.gz`, `${two}.gz`])
    await first.keeper.stop()
    expect(first.problems).toEqual([])
  })

  it('stops at once, and leaves the original', async () => {
    const { keeper, days } = fixture({ compress: true })
    await days(2)
    const round = keeper.round()
    await keeper.stop()
    await round
    expect(existsSync(join(directory, 'main-000000000001.jsonl'))).toBe(true)
    expect(files().filter((name) => name.includes('tmp'))).toEqual([])
  })
})

describe('retention', () => {
  const retained = { retentionMs: 10 * day, graceMs: hour }

  it('deletes what is past it, the oldest first, and says so before', async () => {
    const { clock, keeper, days } = fixture({ ...retained, compress: true })
    await days(13)
    await keeper.round()
    expect(files()).toHaveLength(13)
    clock.pass(hour)
    const [first] = segmentsOf(directory)
    const last = parseLine(first?.lines.at(-1)?.toString() ?? '')
    await keeper.round()
    expect(files()[0]).toBe('main-000000000011.jsonl.gz')
    const retired = allLines().find(({ type }) => type === 'journal.retired')
    expect(retired?.['segments']).toMatchObject([
      { file: 'main-000000000001.jsonl.gz', first: 1, last: 5, hash: last['hash'] },
      { first: 6, last: 10 },
    ])
  })

  it('waits for what has not been sent to all sinks', async () => {
    let shipped = 9
    const { clock, keeper, days } = fixture({ ...retained, shippedUpTo: () => shipped })
    await days(13)
    for (const upTo of [9, 10]) {
      shipped = upTo
      await keeper.round()
      clock.pass(hour)
      await keeper.round()
      expect(files()[0]).toBe(upTo === 9 ? 'main-000000000006.jsonl' : 'main-000000000011.jsonl')
    }
  })

  it('deletes nothing when its record cannot be stored', async () => {
    const failing = { chain: 'main', record: () => Promise.reject(new Error('the disk is full')) }
    const { clock, keeper, days, problems } = fixture({ ...retained, chains: [failing] })
    await days(13)
    await keeper.round()
    clock.pass(hour)
    await keeper.round()
    expect(files()).toHaveLength(13)
    expect(problems).toHaveLength(1)
  })

  it('is not misled by a clock that is a year ahead for a while', async () => {
    const { clock, journal, keeper, days } = fixture(retained)
    await days(5)
    clock.wall += 365 * day
    await journal.record('"type":"test"')
    for (let minute = 0; minute < 50; minute += 10) {
      await keeper.round()
      clock.pass(10 * 60_000)
    }
    clock.wall -= 365 * day
    await keeper.round()
    clock.wall += 365 * day
    await keeper.round()
    clock.pass(10 * 60_000)
    await keeper.round()
    expect(files()).toHaveLength(6)
  })

  it('never takes the last segment', async () => {
    const { clock, keeper, days } = fixture(retained)
    await days(1)
    clock.pass(100 * day)
    await keeper.round()
    clock.pass(hour)
    await keeper.round()
    expect(files()).toEqual(['main-000000000001.jsonl'])
  })
})
