import { appendFileSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { AuditFilter } from '../../src/audit/filter.ts'
import { Journal } from '../../src/audit/journal.ts'
import { ChainReader } from '../../src/journal/chain-reader.ts'
import { JournalFiles } from '../../src/journal/files.ts'
import { JournalReader } from '../../src/journal/reader.ts'
import { compressSegments, deleteSegments } from '../support/compressing.ts'
import { HeldClock } from '../support/memory-journal.ts'

let directory: string
let clock: HeldClock
const closing: (() => void)[] = []
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pgwarden-reader-'))
  clock = new HeldClock()
})
afterEach(() => {
  for (const close of closing.splice(0)) close()
  rmSync(directory, { recursive: true, force: true })
})

/** A chain of small segments; each record is a second later than the one before it, in whatever chain. */
function chain(name: string) {
  const { storage, tip } = JournalFiles.open({ directory, segmentBytes: 600, clock, chain: name })
  closing.push(() => storage.close())
  const journal = new Journal(storage, tip, clock)
  return (fields: string) => {
    clock.wall += 1_000
    journal.append(fields)
    journal.flush()
  }
}

const login = (principal: string, more = ''): string =>
  `"type":"login","result":"ok","principal":"${principal}"${more}`

async function all(filter: AuditFilter, limit: number, reader = new JournalReader({ directory })) {
  const found: (string | number | undefined)[] = []
  let cursor: string | undefined
  let pages = 0
  do {
    const page = await reader.events(filter, { limit, cursor })
    expect(page.items.length).toBeLessThanOrEqual(limit)
    found.push(...page.items.map(({ principal }) => String(principal)))
    cursor = page.next
    pages += 1
  } while (cursor !== undefined)
  return { found, pages }
}

describe('the journal, read page by page', () => {
  it('is read newest first, all chains together, each record once, whatever the size of a page', async () => {
    const [main, operator] = [chain('main'), chain('operator')]
    const written: string[] = []
    for (let number = 0; number < 40; number += 1) {
      const name = `p${number}`
      ;(number % 3 === 0 ? operator : main)(login(name))
      written.unshift(name)
    }
    expect(readdirSync(directory).length).toBeGreaterThan(8)
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 50 }), async (limit) => {
        expect((await all({ type: 'login' }, limit)).found).toEqual(written)
      }),
      { numRuns: 15 },
    )
  })

  it('goes on where a page ended though more was written since', async () => {
    const main = chain('main')
    for (const name of ['a', 'b', 'c', 'd']) main(login(name))
    const reader = new JournalReader({ directory })
    const first = await reader.events({ type: 'login' }, { limit: 2, cursor: undefined })
    for (const name of ['e', 'f', 'g']) main(login(name))
    const second = await reader.events({ type: 'login' }, { limit: 2, cursor: first.next })
    expect(second.items.map(({ principal }) => principal)).toEqual(['b', 'a'])
  })

  it('is the same while segments are compressed, and without what is deleted', async () => {
    const main = chain('main')
    const names = Array.from({ length: 40 }, (_, number) => `p${number}`)
    for (const name of names) main(login(name))
    const wanted = names.toReversed()
    const reader = new JournalReader({ directory })
    const page = { limit: 7, cursor: undefined }
    const first = await reader.events({ type: 'login' }, page)
    compressSegments(directory)
    const second = await reader.events({ type: 'login' }, { limit: 7, cursor: first.next })
    compressSegments(directory, { all: true })
    const third = await reader.events({ type: 'login' }, { limit: 7, cursor: second.next })
    const found = [...first.items, ...second.items, ...third.items]
    expect(found.map(({ principal }) => principal)).toEqual(wanted.slice(0, 21))
    deleteSegments(directory, 4)
    const left = await reader.events({ type: 'login' }, { limit: 50, cursor: third.next })
    expect(left.next).toBeUndefined()
    const rest = left.items.map(({ principal }) => principal)
    expect(rest).toEqual(wanted.slice(21, 21 + rest.length))
    expect(rest.length).toBeGreaterThan(3)
  })

  it('is read in one chain only where that is asked for', async () => {
    const [main, operator] = [chain('main'), chain('operator')]
    main(login('a'))
    operator(login('b'))
    const reader = new JournalReader({ directory })
    const page = { limit: 10, cursor: undefined }
    const { items } = await reader.events({ chain: 'operator' }, page)
    expect(items.map(({ chain: from, type }) => `${from} ${type}`)).toEqual([
      'operator login',
      'operator journal.open',
    ])
    expect((await all({ chain: 'operator', type: 'login' }, 1)).found).toEqual(['b'])
  })

  it('is looked through for so many bytes at a time, and the next page goes on', async () => {
    const main = chain('main')
    for (let number = 0; number < 30; number += 1) main(login(number === 0 ? 'alice' : 'bob'))
    const reader = new JournalReader({ directory, scanBytes: 1_000 })
    const { found, pages } = await all({ principal: 'alice' }, 10, reader)
    expect(found).toEqual(['alice'])
    expect(pages).toBeGreaterThan(5)
  })

  it('does not fill one page with more text than it may hold', async () => {
    const main = chain('main')
    for (let number = 0; number < 5; number += 1) main(login('bob', `,"text":"${'x'.repeat(400)}"`))
    const reader = new JournalReader({ directory, pageBytes: 900 })
    const { items } = await reader.events({ type: 'login' }, { limit: 50, cursor: undefined })
    expect(items.length).toBe(2)
  })

  it.each<[AuditFilter, readonly string[]]>([
    [{ type: 'grant' }, ['revoked', 'extended']],
    [{ type: 'grant.revoked' }, ['revoked']],
    [{ principal: 'a"b' }, ['quoted']],
    [{ session: 's1' }, ['outcome', 'statement']],
    [{ decision: 'deny' }, ['statement']],
    [{ text: 'SELECT "Ä' }, ['statement']],
    [
      { since: Date.UTC(2026, 0, 2, 3, 4, 5, 678) + 7_000 },
      ['outcome', 'quoted', 'relations', 'unqualified', 'many', 'another table'],
    ],
    [{ principal: 'carol' }, ['revoked', 'relations']],
    [{ role: 'read_only' }, ['relations']],
    [{ fingerprint: 'f00d' }, ['relations']],
    [{ relation: 'shop.orders' }, ['relations', 'unqualified', 'many']],
    [{ relation: 'orders' }, ['relations', 'unqualified', 'many']],
    [{ relation: 'other.orders' }, ['unqualified', 'many']],
    [{ relation: 'orders:write' }, ['relations', 'many']],
    [{ relation: 'items:write' }, []],
    [{ relation: 'items:read' }, ['relations']],
    [{ relation: 'rders' }, ['many']],
    [{ type: 'grant', until: Date.UTC(2026, 0, 2, 3, 4, 5, 678) + 4_000 }, ['revoked']],
  ])('lets through by %j what it should and nothing else', async (filter, wanted) => {
    const main = chain('main')
    main('"type":"grants.other","note":"other"')
    main('"type":"login","principal":"x","note":"login, not \\"type\\":\\"grant.revoked\\""')
    main('"type":"grant.revoked","by":"carol","grant":"g1","note":"revoked"')
    main('"type":"grant.extended","grant":"g1","note":"extended"')
    main('"type":"x","session":"s11","note":"another session"')
    main(
      '"type":"statement","session":"s1","decision":"deny","text":"select \\"ä\\"","note":"statement"',
    )
    main('"type":"outcome","statement":"s1.1","note":"outcome"')
    main('"type":"login","principal":"a\\"b","note":"quoted"')
    const relations = '[{"name":"shop.orders","access":"write"},{"name":"items","access":"read"}]'
    main(
      `"type":"y","principal":"carol","role":"read_only","fingerprint":"f00d","relations":${relations},"note":"relations"`,
    )
    main('"type":"y","relations":[{"name":"orders","access":"read"}],"note":"unqualified"')
    main('"type":"y","relations":[],"relationCount":90,"text":"orders ...","note":"many"')
    main('"type":"y","relations":[{"name":"reorders","access":"write"}],"note":"another table"')
    const reader = new JournalReader({ directory })
    const { items } = await reader.events(filter, { limit: 50, cursor: undefined })
    const notes = items.map(({ note }) => note).filter((note) => note !== undefined)
    expect(notes.sort()).toEqual([...wanted].sort())
  })

  it('is read and followed in time that grows with its segments, not with their square', async () => {
    const { storage, tip } = JournalFiles.open({ directory, segmentBytes: 1, clock })
    closing.push(() => storage.close())
    const journal = new Journal(storage, tip, clock)
    for (let count = 0; count < 2_000; count += 1) {
      journal.append('"type":"test"')
      journal.flush()
    }
    const began = performance.now()
    await new JournalReader({ directory }).events({ type: 'none' }, { limit: 1, cursor: undefined })
    const segment = { chain: 'main', first: 1 }
    let lines = 0
    for await (const _ of new ChainReader({ segment, offset: 0 }).fresh(directory)) lines += 1
    expect(lines).toBe(journal.tip.sequence)
    expect(performance.now() - began).toBeLessThan(6_000)
  }, 30_000)

  it('refuses a cursor that nobody gave out', async () => {
    chain('main')(login('a'))
    const reader = new JournalReader({ directory })
    const twice = 'main:1:0,main:1:0'
    for (const cursor of ['x', 'main:1', 'main:1:999999', 'main:1:-1', '../etc:1:1', twice]) {
      await expect(reader.events({}, { limit: 1, cursor })).rejects.toMatchObject({
        code: 'invalid_parameter',
      })
    }
  })

  it('passes over half a line that is just being written', async () => {
    chain('main')(login('a'))
    const [file = ''] = readdirSync(directory).filter((name) => name.endsWith('.jsonl'))
    appendFileSync(join(directory, file), '{"seq":3,"time":"2026')
    expect((await all({ type: 'login' }, 5)).found).toEqual(['a'])
  })
})

describe('the journal, followed', () => {
  const follow = (from?: string) => {
    const stop = new AbortController()
    const reader = new JournalReader({ directory, pollMs: 5 })
    const stream = reader.stream({ type: 'login' }, from, stop.signal)
    closing.push(() => {
      stop.abort()
      void stream.return(undefined)
    })
    return stream
  }
  const next = async (stream: ReturnType<typeof follow>) => {
    for (;;) {
      const result = await stream.next()
      if (result.done === true) return undefined
      const { id, event } = result.value
      if (event !== undefined) return { id, event }
    }
  }

  it('begins with what is written after it was opened, in every chain, across segments', async () => {
    const main = chain('main')
    main(login('before'))
    const stream = follow()
    for (let number = 0; number < 12; number += 1) main(login(`p${number}`))
    for (let number = 0; number < 12; number += 1) {
      expect((await next(stream))?.event['principal']).toBe(`p${number}`)
    }
    chain('operator')(login('new chain'))
    expect((await next(stream))?.event).toMatchObject({ chain: 'operator', principal: 'new chain' })
  })

  it('goes on behind the event where it broke off, in every chain', async () => {
    const [main, operator] = [chain('main'), chain('operator')]
    const stream = follow()
    for (const name of ['a', 'b', 'c']) main(login(name))
    operator(login('d'))
    await next(stream)
    const id = (await next(stream))?.id
    const again = follow(id)
    expect((await next(again))?.event['principal']).toBe('c')
    expect((await next(again))?.event['principal']).toBe('d')
  })

  it('goes on behind an event though its segment was compressed, or is gone', async () => {
    const main = chain('main')
    const stream = follow()
    const names = Array.from({ length: 30 }, (_, number) => `p${number}`)
    for (const name of names) main(login(name))
    const seen: unknown[] = []
    let id: string | undefined
    for (let count = 0; count < 9; count += 1) {
      const found = await next(stream)
      seen.push(found?.event['principal'])
      id = found?.id
    }
    compressSegments(directory)
    const again = follow(id)
    for (let count = 0; count < 12; count += 1) {
      seen.push((await next(again))?.event['principal'])
      if (count === 5) compressSegments(directory, { all: true })
    }
    expect(seen).toEqual(names.slice(0, 21))
    // The one that read them when they were plain has missed nothing either.
    expect((await next(stream))?.event['principal']).toBe('p9')
    deleteSegments(directory, 12)
    const left = (await next(follow('main:2')))?.event['principal']
    expect(Number(String(left).slice(1))).toBeGreaterThan(5)
  })

  it('says where it begins before anything comes, so that nothing is missed then', async () => {
    const main = chain('main')
    main(login('before'))
    const stop = new AbortController()
    closing.push(() => stop.abort())
    const reader = new JournalReader({ directory, pollMs: 5 })
    const { value } = await reader.stream({}, undefined, stop.signal).next()
    expect(value).toEqual({ id: 'main:2' })
    main(login('missed'))
    expect((await next(follow(value?.id)))?.event['principal']).toBe('missed')
  })

  it('refuses an id that is none before anything is read', () => {
    chain('main')(login('a'))
    expect(() => follow('nonsense')).toThrow(/Last-Event-ID/)
  })
})
