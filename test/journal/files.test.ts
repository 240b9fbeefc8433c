import {
  appendFileSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Journal } from '../../src/audit/journal.ts'
import { Failure } from '../../src/errors.ts'
import type { SegmentIo } from '../../src/journal/append-file.ts'
import { JournalFiles, type JournalFilesOptions } from '../../src/journal/files.ts'
import { verifyDirectory } from '../../src/journal/verify.ts'
import { HeldClock, parseLine } from '../support/memory-journal.ts'

let root: string
let directory: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'pgwarden-journal-'))
  directory = join(root, 'journal')
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

const clock = new HeldClock()

function open(options: Partial<JournalFilesOptions> = {}) {
  const opened = JournalFiles.open({ directory, segmentBytes: 1_000_000, clock, ...options })
  return { ...opened, journal: new Journal(opened.storage, opened.tip, clock) }
}

const segments = (): readonly string[] =>
  readdirSync(directory).filter((file) => file.endsWith('.jsonl'))

function records(): readonly Readonly<Record<string, unknown>>[] {
  return segments().flatMap((file) =>
    readFileSync(join(directory, file), 'utf8').split('\n').slice(0, -1).map(parseLine),
  )
}

function failureOf(action: () => unknown): Failure {
  try {
    action()
  } catch (error) {
    if (error instanceof Failure) return error
    throw error
  }
  throw new Error('it did not fail')
}

describe('journal files', () => {
  it('begin with a record of their own, readable by their owner only', () => {
    const { storage, tip, recovered } = open()
    storage.close()
    expect(tip.sequence).toBe(1)
    expect(recovered).toBeUndefined()
    expect(segments()).toEqual(['main-000000000001.jsonl'])
    expect(records()).toMatchObject([
      { seq: 1, type: 'journal.open', chain: 'main', reason: 'start', hash: tip.hash },
    ])
    expect(statSync(directory).mode & 0o777).toBe(0o700)
    expect(statSync(join(directory, 'main-000000000001.jsonl')).mode & 0o777).toBe(0o600)
  })

  it('go on with the same chain in another segment when one is full', async () => {
    const { storage, journal } = open({ segmentBytes: 600 })
    for (let i = 0; i < 20; i += 1) await journal.record(`"type":"test","number":${i}`)
    storage.close()
    expect(segments().length).toBeGreaterThan(3)
    for (const file of segments()) {
      const [first] = readFileSync(join(directory, file), 'utf8').split('\n')
      const { seq, type } = parseLine(first ?? '')
      expect(type).toBe('journal.open')
      expect(file).toBe(`main-${String(seq).padStart(12, '0')}.jsonl`)
    }
    const numbers = records().flatMap(({ number }) => (number === undefined ? [] : [number]))
    expect(numbers).toEqual(Array.from({ length: 20 }, (_, i) => i))
    expect((await verifyDirectory(directory)).ok).toBe(true)
  })

  it('go on with the same chain after a restart', async () => {
    const first = open()
    await first.journal.record('"type":"test"')
    first.storage.close()
    const second = open()
    expect(second.tip.sequence).toBe(3)
    await second.journal.record('"type":"test"')
    second.storage.close()
    expect(segments()).toEqual(['main-000000000001.jsonl', 'main-000000000003.jsonl'])
    expect((await verifyDirectory(directory)).ok).toBe(true)
  })

  it('cut half a line that a dying process left, and record what was cut', async () => {
    const first = open()
    await first.journal.record('"type":"test"')
    first.storage.close()
    appendFileSync(join(directory, 'main-000000000001.jsonl'), '{"seq":3,"ti')
    const second = open()
    second.storage.close()
    expect(second.recovered?.bytesCut).toBe(12)
    expect(records().at(-1)).toMatchObject({
      seq: 3,
      type: 'journal.open',
      bytesCut: 12,
      cutSha256: second.recovered?.sha256,
    })
    expect((await verifyDirectory(directory)).ok).toBe(true)
  })

  it('leave a compressed segment that is damaged to whoever looks into it', async () => {
    const first = open()
    await first.journal.record('"type":"test"')
    first.storage.close()
    const path = join(directory, 'main-000000000001.jsonl')
    const whole = readFileSync(path)
    unlinkSync(path)
    for (const inside of [whole, whole.subarray(0, -5), Buffer.alloc(0)]) {
      const compressed = gzipSync(inside)
      writeFileSync(`${path}.gz`, compressed)
      if (inside === whole) open().storage.close()
      else expect(open).toThrow('the audit journal is damaged')
      expect(readFileSync(`${path}.gz`)).toEqual(compressed)
      rmSync(join(directory, 'main-000000000003.jsonl'), { force: true })
    }
  })

  it.each([0, 5])('start over in a segment that holds no whole line (%i bytes)', async (bytes) => {
    const first = open()
    await first.journal.record('"type":"test"')
    first.storage.close()
    writeFileSync(join(directory, 'main-000000000003.jsonl'), 'x'.repeat(bytes))
    const second = open()
    second.storage.close()
    expect(second.tip.sequence).toBe(3)
    expect((await verifyDirectory(directory)).ok).toBe(true)
  })

  it('find their end without reading the whole segment', () => {
    const first = open()
    const line = `"type":"test","text":"${'x'.repeat(300_000)}"`
    first.journal.append(line)
    first.journal.append(line)
    first.journal.flush()
    first.storage.close()
    const second = open()
    second.storage.close()
    expect(second.tip.sequence).toBe(4)
  })

  it('are not continued behind a damaged last line', () => {
    open().storage.close()
    appendFileSync(join(directory, 'main-000000000001.jsonl'), 'what is this\n')
    const failure = failureOf(open)
    expect(failure.message).toContain('the audit journal is damaged: the last line of')
    expect(failure.hint).toContain('audit verify')
    expect(() => open({ chain: 'other' }).storage.close()).not.toThrow()
  })

  it('keep chains apart', async () => {
    const one = open({ chain: 'worker-1' })
    const two = open({ chain: 'worker-2' })
    await Promise.all([one.journal.record('"type":"a"'), two.journal.record('"type":"b"')])
    one.storage.close()
    two.storage.close()
    const { ok, chains } = await verifyDirectory(directory)
    expect(ok).toBe(true)
    expect(chains.map(({ chain, records }) => [chain, records])).toEqual([
      ['worker-1', 2],
      ['worker-2', 2],
    ])
  })

  it('say plainly why a directory cannot be used', () => {
    writeFileSync(join(root, 'file'), '')
    const failure = failureOf(() => open({ directory: join(root, 'file', 'journal') }))
    expect(failure.code).toBe('invalid_configuration')
    expect(failure.message).toBe(
      `the audit journal cannot be written in ${join(root, 'file', 'journal')}: a part of the path is not a directory`,
    )
  })
})

describe('a journal whose disk is full', () => {
  /** Takes `room` bytes in all and `atOnce` in one call; `room` can be changed. */
  function smallDisk(room: number, atOnce = 7) {
    const disk = {
      room,
      write: (fd: number, bytes: Buffer, offset: number, length: number, position: number) => {
        const size = Math.min(length, atOnce, disk.room - position)
        if (size <= 0) throw Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' })
        return writeSync(fd, bytes, offset, size, position)
      },
      truncate: ftruncateSync,
      sync: async () => undefined,
      syncNow: () => undefined,
    }
    return disk satisfies SegmentIo
  }

  it('is written whole by a disk that takes a few bytes at a time', async () => {
    const { storage, journal } = open({ io: smallDisk(1_000_000) })
    for (let i = 0; i < 3; i += 1) await journal.record('"type":"test"')
    storage.close()
    expect(records()).toHaveLength(4)
    expect((await verifyDirectory(directory)).ok).toBe(true)
  })

  it('refuses to open, with a sentence, and leaves nothing in the way of the next try', () => {
    const failure = failureOf(() => open({ io: smallDisk(50) }))
    expect(failure.message).toBe(
      `the audit journal cannot be written in ${directory}: the disk is full`,
    )
    const { storage, tip } = open()
    storage.close()
    expect(tip.sequence).toBe(1)
  })

  it('leaves no half line behind a failed write, and goes on when there is room', async () => {
    const disk = smallDisk(1_000_000)
    const { storage, journal } = open({ io: disk })
    const path = join(directory, 'main-000000000001.jsonl')
    const size = statSync(path).size
    disk.room = size + 100
    await expect(journal.record('"type":"lost"')).rejects.toMatchObject({ sqlstate: '58030' })
    expect(statSync(path).size).toBe(size)
    disk.room = 1_000_000
    await journal.record('"type":"kept"')
    storage.close()
    expect(records().map(({ type }) => type)).toEqual(['journal.open', 'kept'])
    expect((await verifyDirectory(directory)).ok).toBe(true)
  })

  it('refuses everything until half a line could be cut off', async () => {
    const disk = smallDisk(1_000_000)
    let stuck = false
    const io: SegmentIo = {
      write: disk.write,
      truncate: (fd, length) => {
        if (stuck) throw new Error('EIO')
        ftruncateSync(fd, length)
      },
      sync: disk.sync,
      syncNow: disk.syncNow,
    }
    const { storage, journal } = open({ io })
    const path = join(directory, 'main-000000000001.jsonl')
    const size = statSync(path).size
    stuck = true
    disk.room = size + 100
    await expect(journal.record('"type":"lost"')).rejects.toThrow()
    expect(statSync(path).size).toBe(size + 100)
    disk.room = 1_000_000
    await expect(journal.record('"type":"lost"')).rejects.toThrow()
    stuck = false
    await journal.record('"type":"kept"')
    storage.close()
    expect(records().map(({ type }) => type)).toEqual(['journal.open', 'kept'])
    expect((await verifyDirectory(directory)).ok).toBe(true)
  })

  it('opens the next segment once there is room for it', async () => {
    const disk = smallDisk(1_000_000)
    const { storage, journal } = open({ io: disk, segmentBytes: 300 })
    await journal.record('"type":"test"')
    disk.room = 100
    await expect(journal.record('"type":"lost"')).rejects.toThrow()
    await expect(journal.record('"type":"lost"')).rejects.toThrow()
    disk.room = 1_000_000
    await journal.record('"type":"kept"')
    storage.close()
    expect(segments()).toEqual(['main-000000000001.jsonl', 'main-000000000004.jsonl'])
    expect(records().map(({ type }) => type)).toEqual([
      'journal.open',
      'test',
      'journal.seal',
      'journal.open',
      'kept',
    ])
    expect((await verifyDirectory(directory)).ok).toBe(true)
  })

  it('never writes into a segment that somebody else has begun', async () => {
    const { storage, journal } = open({ segmentBytes: 300 })
    await journal.record('"type":"test"')
    writeFileSync(join(directory, 'main-000000000004.jsonl'), 'theirs\n')
    await expect(journal.record('"type":"lost"')).rejects.toThrow()
    storage.close()
    expect(readFileSync(join(directory, 'main-000000000004.jsonl'), 'utf8')).toBe('theirs\n')
  })
})

describe('the lock of a chain', () => {
  const lock = (): string => join(directory, 'main.lock')

  function leaveLock(text: string): void {
    mkdirSync(directory, { recursive: true })
    writeFileSync(lock(), text)
  }

  it('keeps a second writer out and says which process holds it', () => {
    const { storage } = open()
    const failure = failureOf(open)
    expect(failure.message).toBe(
      `process ${process.pid} is already writing the audit journal in ${directory}`,
    )
    expect(failure.hint).toContain('Stop that process')
    storage.close()
    open().storage.close()
  })

  it('is held by any living process, not only by this one', () => {
    const { storage } = open()
    const mine = parseLine(readFileSync(lock(), 'utf8'))
    storage.close()
    const stat = readFileSync(`/proc/${process.ppid}/stat`, 'utf8')
    const ticks = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
    const started = `${String(mine['started']).split('/')[0]}/${ticks}`
    leaveLock(JSON.stringify({ pid: process.ppid, started }))
    expect(failureOf(open).message).toContain(`process ${process.ppid} is already writing`)
  })

  it.each([
    ['a process that is gone', { pid: 4_194_304, started: 'boot/1' }],
    [
      'an earlier process with the same number, as in a container',
      { pid: process.pid, started: 'boot/1' },
    ],
    ['process 1 of an earlier container', { pid: 1, started: 'boot/1' }],
    ['a writer that wrote no start time', { pid: process.pid }],
    ['no process at all', { pid: -1 }],
  ])('is taken over from %s', (_, holder) => {
    leaveLock(JSON.stringify(holder))
    const { storage } = open()
    expect(failureOf(open).message).toContain(`process ${process.pid} is already`)
    storage.close()
    expect(readdirSync(directory)).toEqual(['main-000000000001.jsonl'])
  })

  it('is taken over from a writer that died before it wrote its name', () => {
    leaveLock('')
    open().storage.close()
    expect(readdirSync(directory)).toEqual(['main-000000000001.jsonl'])
  })

  it('is not released by somebody who has lost it', () => {
    const { storage } = open()
    writeFileSync(lock(), 'another')
    storage.close()
    expect(readFileSync(lock(), 'utf8')).toBe('another')
  })

  it('is released when the journal cannot be opened', () => {
    open().storage.close()
    truncateSync(join(directory, 'main-000000000001.jsonl'), 0)
    appendFileSync(join(directory, 'main-000000000001.jsonl'), 'damage\n')
    expect(failureOf(open).message).toContain('damaged')
    expect(readdirSync(directory)).toEqual(['main-000000000001.jsonl'])
  })
})
