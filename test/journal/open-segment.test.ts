// Long texts beside a segment, flushes that fail, segments that vanish or grow old.

import { hash } from 'node:crypto'
import {
  appendFileSync,
  fdatasyncSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Journal } from '../../src/audit/journal.ts'
import type { OverflowText } from '../../src/audit/storage.ts'
import type { SegmentIo } from '../../src/journal/append-file.ts'
import { JournalFiles, type JournalFilesOptions } from '../../src/journal/files.ts'
import { HeldClock, parseLine } from '../support/memory-journal.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pgwarden-segment-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

/** A file system that fails where it is told to. */
function faulty() {
  const faults = {
    write: (_bytes: Buffer) => false,
    sync: async (): Promise<void> => undefined,
  }
  const io: SegmentIo = {
    write: (fd, bytes, offset, length, position) => {
      if (faults.write(bytes)) throw new Error('ENOSPC')
      return writeSync(fd, bytes, offset, length, position)
    },
    truncate: ftruncateSync,
    sync: () => faults.sync(),
    syncNow: fdatasyncSync,
  }
  return { faults, io }
}

function open(options: Partial<JournalFilesOptions> = {}) {
  const clock = new HeldClock()
  const opened = JournalFiles.open({ directory, segmentBytes: 1_000_000, clock, ...options })
  return { ...opened, clock, journal: new Journal(opened.storage, opened.tip, clock) }
}

const files = (): readonly string[] =>
  readdirSync(directory)
    .filter((name) => name.endsWith('.jsonl'))
    .sort()

const linesOf = (file: string): readonly Readonly<Record<string, unknown>>[] =>
  readFileSync(join(directory, file), 'utf8').split('\n').slice(0, -1).map(parseLine)

const typesIn = (file: string): readonly unknown[] => linesOf(file).map(({ type }) => type)

const overflowing = (text: string): { readonly overflow: readonly OverflowText[] } => ({
  overflow: [{ text, sha256: hash('sha256', text, 'hex') }],
})

describe('a text that is too long for its record', () => {
  const beside = 'main-000000000001.overflow.jsonl'

  it('stands beside the segment, once for all records that name it', async () => {
    const { storage, journal } = open()
    const text = 'SELECT "ä\u202e"\n'
    await journal.record('"type":"a"', overflowing(text))
    await Promise.all([
      journal.record('"type":"b"', overflowing(text)),
      journal.record('"type":"c"', overflowing('another')),
      journal.record('"type":"d"', overflowing('another')),
    ])
    storage.close()
    expect(linesOf(beside)).toEqual([
      { seq: 2, sha256: hash('sha256', text, 'hex'), text },
      { seq: 4, sha256: hash('sha256', 'another', 'hex'), text: 'another' },
    ])
    expect(readFileSync(join(directory, beside), 'utf8')).not.toContain('\u202e')
  })

  it('is written again into the next segment, which can be read alone', async () => {
    const { storage, journal } = open()
    await journal.record('"type":"a"', overflowing('long'))
    journal.rotate()
    await journal.record('"type":"b"', overflowing('long'))
    storage.close()
    expect(linesOf('main-000000000004.overflow.jsonl')).toMatchObject([{ seq: 5, text: 'long' }])
  })

  it.each(['lines', 'texts'])(
    'leaves nothing behind when its %s cannot be written',
    async (what) => {
      const { faults, io } = faulty()
      const { storage, journal } = open({ io })
      await journal.record('"type":"a"', overflowing('kept'))
      const before = files().map((file) => readFileSync(join(directory, file), 'utf8'))
      faults.write = (bytes) => bytes.includes('"text":') === (what === 'texts')
      await expect(journal.record('"type":"lost"', overflowing('lost'))).rejects.toThrow()
      expect(files().map((file) => readFileSync(join(directory, file), 'utf8'))).toEqual(before)
      faults.write = () => false
      // Had it been remembered as written, it would be missing now.
      await journal.record('"type":"b"', overflowing('lost'))
      storage.close()
      expect(linesOf(beside).map(({ text }) => text)).toEqual(['kept', 'lost'])
    },
  )

  it('is kept with the record that nobody waited for', async () => {
    const { faults, io } = faulty()
    const { storage, journal } = open({ io })
    faults.write = () => true
    journal.append('"type":"outcome"', undefined, overflowing('kept'))
    journal.flush()
    faults.write = () => false
    await journal.record('"type":"b"')
    storage.close()
    expect(linesOf(beside)).toMatchObject([{ seq: 2, text: 'kept' }])
  })

  it('loses the half line that a dying process left', async () => {
    const first = open()
    await first.journal.record('"type":"a"', overflowing('whole'))
    first.storage.close()
    appendFileSync(join(directory, beside), '{"seq":3,"sha')
    open().storage.close()
    expect(linesOf(beside)).toMatchObject([{ text: 'whole' }])
  })
})

describe('a segment', () => {
  it('is ended by a seal that counts its lines, and the next names its last hash', async () => {
    const { storage, journal } = open()
    await journal.record('"type":"a"')
    journal.rotate()
    await journal.record('"type":"b"')
    storage.close()
    const [first, second] = files().map(linesOf)
    expect(first?.at(-1)).toMatchObject({ seq: 3, type: 'journal.seal', records: 3 })
    expect(second?.[0]).toMatchObject({
      ...{ type: 'journal.open', reason: 'rotation' },
      previous: first?.at(-1)?.['hash'],
    })
    expect(first?.[0]?.['event']).toMatch(/^[0-9a-f]{16}-1$/)
    expect(second?.[1]?.['event']).toBe(String(first?.[0]?.['event']).replace(/1$/, '5'))
  })

  it('keeps the id of its chain over a restart', async () => {
    const first = open()
    first.storage.close()
    const second = open()
    second.storage.close()
    expect(second.tip).toMatchObject({ chainId: first.tip.chainId, sequence: 2 })
  })

  it('is ended when it is old, unless there is nothing in it', async () => {
    const { storage, journal, clock } = open({ segmentMs: 60_000 })
    clock.wall += 60_000
    expect(storage.full).toBe(true)
    journal.rotate()
    expect(files()).toHaveLength(1)
    await journal.record('"type":"a"')
    await journal.record('"type":"b"')
    storage.close()
    expect(typesIn('main-000000000001.jsonl')).toEqual(['journal.open', 'a', 'journal.seal'])
    expect(typesIn('main-000000000004.jsonl')).toEqual(['journal.open', 'b'])
  })

  it('is given up, without a seal, when a flush of it to the disk has failed', async () => {
    const { faults, io } = faulty()
    const { storage, journal } = open({ io })
    faults.sync = () => Promise.reject(new Error('EIO'))
    await expect(journal.record('"type":"a"', { durable: true })).rejects.toThrow()
    faults.sync = async () => undefined
    await journal.record('"type":"b"', { durable: true })
    storage.close()
    expect(typesIn('main-000000000001.jsonl')).toEqual(['journal.open', 'a'])
    expect(typesIn('main-000000000003.jsonl')).toEqual(['journal.open', 'b'])
  })

  it('is given up when the disk does not confirm it in time, and nobody waits for the next', async () => {
    const { faults, io } = faulty()
    const { storage, journal } = open({ io, syncMs: 20 })
    let confirm = (): void => undefined
    faults.sync = () =>
      new Promise((resolve) => {
        confirm = resolve
      })
    await expect(journal.record('"type":"a"', { durable: true })).rejects.toThrow()
    faults.sync = async () => undefined
    const late = journal.record('"type":"b"', { durable: true })
    await expect(late).rejects.toMatchObject({
      cause: { message: 'the disk has not confirmed an earlier write yet' },
    })
    confirm()
    await new Promise(setImmediate)
    await journal.record('"type":"c"', { durable: true })
    storage.close()
  })

  it('that is durable is on the disk before anybody hears of it, also when it was ended meanwhile', async () => {
    const { faults, io } = faulty()
    let flushed = 0
    faults.sync = async () => {
      flushed += 1
    }
    const { storage, journal } = open({ io })
    const record = journal.record('"type":"a"', { durable: true })
    journal.rotate()
    await record
    expect(flushed).toBeGreaterThan(0)
    storage.close()
  })

  it.each(['the segment', 'the directory'])(
    'is noticed within a second when %s is deleted: nothing is written into the void',
    async (what) => {
      const { storage, journal, clock } = open()
      await journal.record('"type":"a"')
      if (what === 'the directory') rmSync(directory, { recursive: true })
      else rmSync(join(directory, 'main-000000000001.jsonl'))
      clock.wall += 1_000
      await expect(journal.record('"type":"lost"')).rejects.toThrow()
      if (what === 'the directory') {
        await expect(journal.record('"type":"lost"')).rejects.toThrow()
        mkdirSync(directory)
      }
      await journal.record('"type":"b"')
      storage.close()
      expect(typesIn('main-000000000003.jsonl')).toEqual(['journal.open', 'b'])
    },
  )

  it('takes nothing any more once it is closed', async () => {
    const { storage, journal } = open()
    storage.close()
    await expect(journal.record('"type":"late"')).rejects.toThrow()
    journal.close()
  })
})
