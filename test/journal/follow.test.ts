import { appendFileSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Journal } from '../../src/audit/journal.ts'
import { JournalFiles } from '../../src/journal/files.ts'
import { tailDirectory } from '../../src/journal/follow.ts'
import { compressSegments } from '../support/compressing.ts'
import { HeldClock, parseLine } from '../support/memory-journal.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pgwarden-tail-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const clock = new HeldClock()

function openJournal(chain = 'main') {
  const { storage, tip } = JournalFiles.open({ directory, segmentBytes: 500, clock, chain })
  const journal = new Journal(storage, tip, clock)
  return {
    add: (number: number) => {
      clock.wall += 1_000
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

  it('shows all chains in the order of their times, and follows one that begins later', async () => {
    const [main, operator] = [openJournal(), openJournal('operator')]
    for (let i = 1; i <= 8; i += 1) (i % 3 === 0 ? operator : main).add(i)
    const stop = new AbortController()
    const found: string[] = []
    let late: ReturnType<typeof openJournal> | undefined
    const options = { filter: { type: 'test' }, follow: true, lines: 4 }
    for await (const { chain, line } of tailDirectory(directory, options, stop.signal)) {
      found.push(`${chain} ${numberOf(line)}`)
      if (found.length === 4) {
        late = openJournal('late')
        late.add(9)
        operator.add(10)
      }
      if (found.length === 6) stop.abort()
    }
    for (const journal of [main, operator, late]) journal?.close()
    expect(found.slice(0, 4)).toEqual(['main 5', 'operator 6', 'main 7', 'main 8'])
    expect(found.slice(4).sort()).toEqual(['late 9', 'operator 10'])
  })

  it('loses nothing and shows nothing twice while segments are compressed under it', async () => {
    const journal = openJournal()
    journal.add(1)
    const stop = new AbortController()
    const found: number[] = []
    const options = { filter: {}, follow: true, lines: 1 }
    for await (const { line } of tailDirectory(directory, options, stop.signal)) {
      const number = numberOf(line)
      if (number === undefined) continue
      found.push(number)
      compressSegments(directory)
      if (number % 6 === 1 && number < 25) for (let i = 1; i <= 6; i += 1) journal.add(number + i)
      if (number === 25) stop.abort()
    }
    journal.close()
    expect(readdirSync(directory).some((file) => file.endsWith('.gz'))).toBe(true)
    expect(found).toEqual(Array.from({ length: 25 }, (_, index) => index + 1))
  })

  it('shows a line that is no record as it is, unless something else is looked for', async () => {
    const journal = openJournal()
    journal.add(1)
    journal.close()
    const [file = ''] = readdirSync(directory)
    appendFileSync(join(directory, file), 'no record\n')
    const shown = async (filter: object) => {
      const lines: string[] = []
      const { signal } = new AbortController()
      const options = { filter, follow: false, lines: 10 }
      for await (const { line } of tailDirectory(directory, options, signal)) lines.push(line)
      return lines
    }
    expect((await shown({})).at(-1)).toBe('no record')
    expect(await shown({ type: 'test' })).toHaveLength(1)
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
