import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readSeal } from '../../src/audit/chain.ts'
import { Journal } from '../../src/audit/journal.ts'
import { journalCloseRecord, journalRetiredRecord } from '../../src/audit/journal-record.ts'
import { JournalFiles } from '../../src/journal/files.ts'
import { lastLines, readLines } from '../../src/journal/lines.ts'
import { listSegments, overflowPath } from '../../src/journal/segments.ts'
import { verifyDirectory } from '../../src/journal/verify.ts'
import { HeldClock } from '../support/memory-journal.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pgwarden-verify-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

/** Segments of four lines or so: an opening and three statements. */
function writeJournal(extra: readonly string[] = []): void {
  const clock = new HeldClock()
  const { storage, tip } = JournalFiles.open({ directory, segmentBytes: 700, clock })
  const journal = new Journal(storage, tip, clock)
  for (let i = 1; i <= 10; i += 1) {
    const decision = i === 3 ? 'deny' : 'allow'
    journal.append(`"type":"statement","id":"s.${i}","decision":"${decision}","rule":"r"`)
    journal.flush()
    if (i === 3 || i === 7) continue
    journal.append(`"type":"outcome","statement":"s.${i}","result":"ok"`)
    journal.flush()
  }
  for (const fields of extra) journal.append(fields)
  journal.flush()
  storage.close()
}

const files = (): readonly string[] => readdirSync(directory).sort()
const file = (index: number): string => files()[index] ?? ''

function edit(name: string, change: (lines: string[]) => void): void {
  const path = join(directory, name)
  const lines = readFileSync(path, 'utf8').split('\n').slice(0, -1)
  change(lines)
  writeFileSync(path, lines.map((line) => `${line}\n`).join(''))
}

async function problem() {
  const { ok, chains } = await verifyDirectory(directory)
  expect(ok).toBe(false)
  return chains[0]?.problems[0]
}

describe('verify', () => {
  it('passes an untouched journal and counts what is in it', async () => {
    writeJournal(['"type":"outcome","statement":"s.7","result":"unknown"', journalCloseRecord()])
    const { ok, chains } = await verifyDirectory(directory)
    expect(ok).toBe(true)
    expect(chains).toMatchObject([{ chain: 'main', statements: 10, problems: [], notes: [] }])
    expect(chains[0]?.segments).toBe(files().length)
    expect(chains[0]?.tip.sequence).toBe(chains[0]?.records)
  })

  it('names allowed statements that have no outcome, and no denied ones', async () => {
    writeJournal()
    const { chains } = await verifyDirectory(directory)
    expect(chains[0]?.running).toEqual({ count: 1, ids: ['s.7'] })
    expect(chains[0]?.lost.count).toBe(0)
  })

  it('is not misled by statement text that looks like a record', async () => {
    const text = JSON.stringify('","decision":"allow","type":"outcome","statement":"s.7"')
    writeJournal([`"type":"statement","id":"s.99","text":${text},"decision":"deny","rule":"r"`])
    const { chains } = await verifyDirectory(directory)
    expect(chains[0]?.running.ids).toEqual(['s.7'])
  })

  it('names file and line of a changed line', async () => {
    writeJournal()
    edit(file(1), (lines) => {
      lines[1] = lines[1]?.replace('s.', 'z.') ?? ''
    })
    expect(await problem()).toMatchObject({ file: file(1), line: 2, kind: 'changed' })
  })

  it('names the place of a removed line', async () => {
    writeJournal()
    edit(file(1), (lines) => lines.splice(1, 1))
    expect(await problem()).toMatchObject({ file: file(1), line: 2, kind: 'removed' })
  })

  it('names the place of swapped lines', async () => {
    writeJournal()
    edit(file(1), (lines) => lines.splice(1, 2, lines[2] ?? '', lines[1] ?? ''))
    expect(await problem()).toMatchObject({ file: file(1), line: 2, kind: 'reordered' })
  })

  it('finds a line that was moved to a later segment', async () => {
    writeJournal()
    let taken = ''
    edit(file(1), (lines) => {
      taken = lines.splice(1, 1)[0] ?? ''
    })
    edit(file(3), (lines) => lines.push(taken))
    expect(await problem()).toMatchObject({ file: file(1), line: 2, kind: 'reordered' })
  })

  it('names a removed segment', async () => {
    writeJournal()
    rmSync(join(directory, file(1)))
    expect(await problem()).toMatchObject({ file: file(1), line: 1, kind: 'missing segment' })
  })

  it('names the removal of the first segment', async () => {
    writeJournal()
    rmSync(join(directory, file(0)))
    expect(await problem()).toMatchObject({ file: file(0), line: 1, kind: 'missing segment' })
  })

  it('names a line that is no record', async () => {
    writeJournal()
    edit(file(0), (lines) => lines.splice(2, 0, 'x'))
    expect(await problem()).toMatchObject({ file: file(0), line: 3, kind: 'malformed' })
  })

  it('notes half a line at the very end, which a killed process leaves, as no problem', async () => {
    writeJournal()
    const newest = file(files().length - 1)
    writeFileSync(join(directory, newest), '{"seq":', { flag: 'a' })
    const { ok, chains } = await verifyDirectory(directory)
    expect(ok).toBe(true)
    expect(chains[0]?.notes.join()).toContain(`of ${newest} is torn: 7 bytes`)
  })

  it('does not forgive half a line in the middle', async () => {
    writeJournal()
    const lines = readFileSync(join(directory, file(1)), 'utf8').split('\n').length
    writeFileSync(join(directory, file(1)), '{"seq":', { flag: 'a' })
    expect(await problem()).toMatchObject({ file: file(1), line: lines, kind: 'torn' })
  })

  it('notes that a chain has no orderly end', async () => {
    writeJournal()
    const { chains } = await verifyDirectory(directory)
    expect(chains[0]?.notes.at(-1)).toContain('does not end with journal.close')
  })

  it('reports each segment as it goes', async () => {
    writeJournal()
    const seen: string[] = []
    await verifyDirectory(directory, { onProgress: ({ file }) => seen.push(file) })
    expect(seen).toEqual(files())
  })

  it.each(['nowhere', '.'])('says that there is no journal in %s', async (name) => {
    const verified = verifyDirectory(join(directory, name))
    await expect(verified).rejects.toThrow('there is no audit journal in')
    await expect(verified).rejects.toMatchObject({ code: 'not_found' })
  })

  it('reads one endless line in time that grows with it, not with its square', async () => {
    writeJournal()
    const path = overflowPath(directory, 'main', 1)
    writeFileSync(path, Buffer.alloc(128 * 1024 * 1024, 'x'))
    const started = performance.now()
    for await (const piece of readLines(path, 0, Number.POSITIVE_INFINITY)) {
      expect(piece).toEqual({ type: 'torn', bytes: 128 * 1024 * 1024 })
    }
    expect(performance.now() - started).toBeLessThan(2_000)
  })

  it.each([true, false])(
    'knows that segments vanished while it read them; retired: %s',
    async (named) => {
      writeJournal()
      const [one, two, next] = listSegments(directory)
      if (one === undefined || two === undefined || next === undefined) throw new Error('too few')
      const seal = readSeal(lastLines(two.path, 1).lines[0] ?? Buffer.alloc(0))
      const gone = {
        file: two.file,
        first: two.first,
        last: next.first - 1,
        hash: seal?.hash ?? '',
      }
      const clock = new HeldClock()
      const { storage, tip } = JournalFiles.open({ directory, segmentBytes: 1e6, clock })
      await new Journal(storage, tip, clock).record(
        named ? journalRetiredRecord([gone]) : '"type":"test"',
      )
      storage.close()
      const { chains } = await verifyDirectory(directory, {
        onProgress: ({ index }) => {
          // The first has been read by then.
          if (index === 1) for (const { path } of [one, two]) rmSync(path, { force: true })
        },
      })
      const missing = { kind: 'missing segment', file: next.file, line: 1 }
      expect(chains[0]?.problems).toMatchObject(named ? [] : [missing])
    },
  )

  it('survives a file of zeros, as a lost disk leaves it', async () => {
    writeJournal()
    writeFileSync(join(directory, file(1)), Buffer.alloc(20_000_000))
    expect(await problem()).toMatchObject({ file: file(1), line: 1, kind: 'malformed' })
  })
})
