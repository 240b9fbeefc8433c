import { hash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Journal } from '../../src/audit/journal.ts'
import { quote } from '../../src/audit/json.ts'
import { JournalFiles } from '../../src/journal/files.ts'
import { type QueryOptions, queryDirectory } from '../../src/journal/query.ts'
import { overflowPath } from '../../src/journal/segments.ts'
import { compressSegments } from '../support/compressing.ts'
import { HeldClock } from '../support/memory-journal.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pgwarden-query-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

/** A journal that holds these; each a second after the one before. */
function journalOf(records: readonly string[], segmentBytes = 1024 * 1024): void {
  const clock = new HeldClock()
  const { storage, tip } = JournalFiles.open({ directory, segmentBytes, clock })
  const journal = new Journal(storage, tip, clock)
  for (const fields of records) {
    clock.wall += 1_000
    journal.append(fields)
    journal.flush()
  }
  storage.close()
}

async function found(options: Partial<QueryOptions>, signal = new AbortController().signal) {
  const records: Record<string, unknown>[] = []
  const all = { filter: {}, limit: 100, ...options }
  for await (const { line } of queryDirectory(directory, all, signal)) {
    records.push(JSON.parse(line) as Record<string, unknown>)
  }
  return records
}

const numbered = (count: number) =>
  Array.from({ length: count }, (_, number) => `"type":"test","number":${number}`)

describe('a query', () => {
  it('finds the newest first, up to its limit, through compressed segments', async () => {
    journalOf(numbered(60), 700)
    compressSegments(directory)
    const records = await found({ filter: { type: 'test' }, limit: 50 })
    expect(records.map(({ number }) => number)).toEqual(
      Array.from({ length: 50 }, (_, index) => 59 - index),
    )
  })

  it('stops where nothing older can be wanted', async () => {
    journalOf(numbered(60), 700)
    const since = new HeldClock().now() + 58_000
    const records = await found({ filter: { type: 'test', since } })
    expect(records.map(({ number }) => number)).toEqual([59, 58, 57])
    // What is older is not even looked at: a damaged file there is nobody's matter.
    compressSegments(directory)
    const [oldest = ''] = readdirSync(directory)
      .filter((file) => file.endsWith('.gz'))
      .sort()
    writeFileSync(join(directory, oldest), 'no gzip')
    expect(await found({ filter: { type: 'test', since } })).toHaveLength(3)
    await expect(found({})).rejects.toThrow(oldest)
  })

  it('ends when it is told to', async () => {
    journalOf(numbered(60))
    const stop = new AbortController()
    stop.abort()
    expect(await found({}, stop.signal)).toEqual([])
  })

  it('says how far back it has come where it takes long', async () => {
    journalOf(numbered(30_000))
    const heard: number[] = []
    await found({
      limit: 1,
      filter: { text: 'nothing' },
      onProgress: (at) => heard.push(at.records),
    })
    expect(heard).toEqual([20_000])
  })
})

describe('a text that was too long for its record', () => {
  const text = `select '${'x'.repeat(900)}\u202e'`
  const sha256 = hash('sha256', text, 'hex')
  const cut = `"text":"select","textBytes":${Buffer.byteLength(text)},"textSha256":"${sha256}"`

  function kept(lines: readonly string[], compressed: boolean): void {
    const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''))
    const path = overflowPath(directory, 'main', 1)
    if (compressed) writeFileSync(`${path}.gz`, gzipSync(bytes))
    else writeFileSync(path, bytes)
  }

  it.each([false, true])('is filled in from beside the segment; compressed: %s', async (gz) => {
    journalOf([`"type":"statement",${cut}`, `"type":"statement","text":"u","runs":[{${cut}}]`])
    const line = (seq: number) => `{"seq":${seq},"sha256":"${sha256}","text":${quote(text)}}`
    kept([line(2), line(3)], gz)
    const [second, first] = await found({ filter: { type: 'statement' }, whole: true })
    expect(first?.['text']).toBe(text)
    expect(second).toMatchObject({ text: 'u', runs: [{ text }] })
    expect((await found({ filter: { type: 'statement' } })).at(-1)?.['text']).toBe('select')
  })

  it('stays cut where what is there is not what it was', async () => {
    journalOf([`"type":"statement",${cut}`])
    kept([`{"seq":2,"sha256":"${sha256}","text":"something else"}`, '{"seq":2,"sha'], false)
    const [record] = await found({ filter: { type: 'statement' }, whole: true })
    expect(record?.['text']).toBe('select')
    expect(readFileSync(overflowPath(directory, 'main', 1), 'utf8')).toContain('something else')
  })
})
