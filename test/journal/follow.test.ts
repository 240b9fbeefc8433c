import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Journal } from '../../src/audit/journal.ts'
import { JournalFiles } from '../../src/journal/files.ts'
import { tailDirectory } from '../../src/journal/follow.ts'
import { HeldClock, parseLine } from '../support/memory-journal.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pgwarden-tail-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

function openJournal() {
  const clock = new HeldClock()
  const { storage, tip } = JournalFiles.open({ directory, segmentBytes: 500, clock })
  const journal = new Journal(storage, tip, clock)
  return {
    add: (number: number) => {
      journal.append(`"type":"test","number":${number}`)
      journal.flush()
    },
    close: () => storage.close(),
  }
}

function numberOf(line: string): number | undefined {
  const { number } = parseLine(line)
  return typeof number === 'number' ? number : undefined
}

async function tail(lines: number): Promise<readonly (number | undefined)[]> {
  const found: (number | undefined)[] = []
  const { signal } = new AbortController()
  for await (const { line } of tailDirectory(
    directory,
    { filter: {}, follow: false, lines },
    signal,
  )) {
    found.push(numberOf(line))
  }
  return found
}

describe('tail', () => {
  it('shows the last lines, across segments, oldest first', async () => {
    const journal = openJournal()
    for (let i = 1; i <= 9; i += 1) journal.add(i)
    journal.close()
    expect(readdirSync(directory).length).toBeGreaterThan(2)
    const all = await tail(1000)
    expect(all.filter((number) => number !== undefined)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9])
    expect(await tail(4)).toEqual(all.slice(-4))
    expect(await tail(0)).toEqual([])
  })

  it('follows what is written, across rotation, until it is told to stop', async () => {
    const journal = openJournal()
    journal.add(1)
    const stop = new AbortController()
    const found: number[] = []
    for await (const { line } of tailDirectory(
      directory,
      { filter: {}, follow: true, lines: 1 },
      stop.signal,
    )) {
      const number = numberOf(line)
      if (number === undefined) continue
      found.push(number)
      if (number === 1)
        setTimeout(() => [2, 3, 4, 5, 6, 7, 8].forEach((i) => void journal.add(i)), 20)
      if (number === 8) stop.abort()
    }
    journal.close()
    expect(found).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
  })

  it('shows a line once, however long it waits for the next in the same segment', async () => {
    const journal = openJournal()
    const stop = new AbortController()
    const found: string[] = []
    setTimeout(() => journal.add(1), 20)
    setTimeout(() => stop.abort(), 700)
    for await (const { line } of tailDirectory(
      directory,
      { filter: {}, follow: true, lines: 0 },
      stop.signal,
    )) {
      found.push(line)
    }
    journal.close()
    expect(found.map(numberOf)).toEqual([1])
  })

  it('stops at once while it waits', async () => {
    const journal = openJournal()
    const stop = new AbortController()
    const started = performance.now()
    setTimeout(() => stop.abort(), 10)
    for await (const _ of tailDirectory(
      directory,
      { filter: {}, follow: true, lines: 0 },
      stop.signal,
    )) {
      expect.unreachable('nothing was written')
    }
    journal.close()
    expect(performance.now() - started).toBeLessThan(150)
  })
})
