// Long texts beside a segment, held against the records that name them: as the writer leaves them, and as
// somebody else does.

import { hash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Journal } from '../../src/audit/journal.ts'
import type { OverflowText } from '../../src/audit/storage.ts'
import { JournalFiles } from '../../src/journal/files.ts'
import { rememberedTexts } from '../../src/journal/open-segment.ts'
import { overflowPath } from '../../src/journal/segments.ts'
import { verifyDirectory } from '../../src/journal/verify.ts'
import { HeldClock } from '../support/memory-journal.ts'

let directory: string
let opened: { readonly journal: Journal; readonly storage: JournalFiles }
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pgwarden-overflow-'))
  const clock = new HeldClock()
  const { storage, tip } = JournalFiles.open({ directory, segmentBytes: 1e9, clock })
  opened = { storage, journal: new Journal(storage, tip, clock) }
})
afterEach(() => {
  opened.storage.close()
  rmSync(directory, { recursive: true, force: true })
})

const textOf = (text: string): OverflowText => ({ text, sha256: hash('sha256', text, 'hex') })
const cut = ({ sha256 }: OverflowText): string => `"text":"","textSha256":"${sha256}"`
const path = (): string => overflowPath(directory, 'main', 1)
const problems = async () => (await verifyDirectory(directory)).chains[0]?.problems

function record(...texts: readonly OverflowText[]): void {
  const [text, ...runs] = texts
  const run = runs.map((one) => `{${cut(one)}}`)
  const fields = `"type":"statement",${text === undefined ? '' : cut(text)},"runs":[${run.join(',')}]`
  opened.journal.append(fields, undefined, { overflow: texts })
}

/** A record that has but one of the texts that it runs, and the list of them beside it. */
function recordOfList(texts: readonly OverflowText[]): void {
  const [first] = texts
  const list = textOf(`[${texts.map((one) => `{${cut(one)}}`).join(',')}]`)
  const runs = first === undefined ? '' : `{${cut(first)}}`
  opened.journal.append(
    `"type":"statement","runs":[${runs}],"runCount":9,"runsSha256":"${list.sha256}"`,
    undefined,
    { overflow: [...texts, list] },
  )
}

function change(from: string, to: string): void {
  const text = readFileSync(path(), 'utf8')
  expect(text).toContain(from)
  writeFileSync(path(), text.replace(from, to))
}

describe('a long text', () => {
  it('that many records name stands there once, and is there for all of them', async () => {
    const [a, b] = [textOf('aaaa'), textOf('bbbb')]
    record(a)
    record(b, a)
    opened.journal.flush()
    record(a, b)
    opened.journal.flush()
    expect(await problems()).toEqual([])
    change('aaaa', 'abaa')
    expect(await problems()).toMatchObject([
      { kind: 'overflow', line: 1, message: 'a text of record 2 was changed' },
      { kind: 'overflow', line: 1, message: 'a text of record 3 was changed' },
      { kind: 'overflow', line: 1, message: 'a text of record 4 was changed' },
    ])
  })

  it('is found however many others came since, as long as the writer remembers it', async () => {
    // With one write or more for all of them.
    for (const flushing of [true, false]) {
      const first = textOf(`first ${flushing}`)
      record(first)
      for (let at = 0; at < rememberedTexts + 10; at += 1) {
        record(textOf(`${flushing} ${at}`), first)
        if (flushing && at % 500 === 0) opened.journal.flush()
      }
      opened.journal.flush()
    }
    expect(await problems()).toEqual([])
  })

  it('is found while the journal goes on, and its file has just been begun', async () => {
    writeFileSync(path(), '')
    expect(await problems()).toEqual([])
    rmSync(path())
    record(textOf('later'))
    opened.journal.flush()
    expect(await problems()).toEqual([])
  })
})

describe('a list of what a statement runs', () => {
  const texts = ['one', 'two', 'three'].map(textOf)

  it('is there, with every text that it names', async () => {
    record(...texts.slice(1, 2))
    recordOfList(texts)
    recordOfList(texts)
    opened.journal.flush()
    expect(await problems()).toEqual([])
  })

  it('is missed like a text', async () => {
    recordOfList(texts)
    opened.journal.flush()
    const lines = readFileSync(path(), 'utf8').split('\n')
    writeFileSync(path(), `${lines.slice(0, 3).join('\n')}\n`)
    const message = 'a text of record 2 is missing in main-000000000001.overflow.jsonl'
    expect(await problems()).toMatchObject([{ kind: 'overflow', message }])
  })

  it('that was changed is found, and so is a text that it alone names', async () => {
    recordOfList(texts)
    opened.journal.flush()
    const whole = readFileSync(path())
    change('{\\"text\\":\\"\\"', '{\\"text\\":\\"x\\"')
    expect(await problems()).toMatchObject([{ kind: 'overflow', line: 4 }])
    writeFileSync(path(), whole)
    change('"text":"three"', '"text":"thief"')
    expect(await problems()).toMatchObject([{ kind: 'overflow', line: 3 }])
  })
})
