// The journal against a model, through whatever order of writes, faults, rotations and deaths: who was told that
// a record is stored finds it there, nothing else that was to be kept is missing, and the chain holds. A death is
// the process's (what was written stays) or the machine's (what was flushed stays).

import {
  fstatSync,
  ftruncateSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { ChainCheck } from '../../src/audit/chain.ts'
import { Journal } from '../../src/audit/journal.ts'
import type { SegmentIo } from '../../src/journal/append-file.ts'
import { JournalFiles } from '../../src/journal/files.ts'
import { segmentsOf } from '../support/journal-files.ts'
import { HeldClock, parseLine } from '../support/memory-journal.ts'

type Step =
  | { readonly type: 'append'; readonly how: 'unwatched' | 'os' | 'durable'; readonly size: number }
  | { readonly type: 'turn' | 'heal' | 'rotate' | 'kill' | 'power' | 'settle' }
  | { readonly type: 'writes fail'; readonly after: number }
  | { readonly type: 'flushes fail' }

const steps = fc.array(
  fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        type: fc.constant('append' as const),
        how: fc.constantFrom('unwatched' as const, 'os' as const, 'durable' as const),
        size: fc.integer({ min: 0, max: 200 }),
      }),
    },
    { weight: 6, arbitrary: fc.constant({ type: 'turn' as const }) },
    {
      weight: 3,
      arbitrary: fc.record({
        type: fc.constant('writes fail' as const),
        after: fc.integer({ min: 0, max: 900 }),
      }),
    },
    {
      weight: 8,
      arbitrary: fc.record({
        type: fc.constantFrom(
          ...(['heal', 'heal', 'flushes fail', 'rotate', 'kill', 'power', 'settle'] as const),
        ),
      }),
    },
  ),
  { minLength: 5, maxLength: 60 },
)

class Model {
  readonly #directory = mkdtempSync(join(tmpdir(), 'pgwarden-model-'))
  readonly #clock = new HeldClock()
  /** By inode: how much of a file survives the loss of power. */
  readonly #flushed = new Map<number, number>()
  #room = Number.POSITIVE_INFINITY
  #flushing = true
  #flushesFailed = false
  #storage: JournalFiles
  #journal: Journal
  /** Each record has a number; those that must be found, and those that must not. */
  #next = 0
  readonly #promised = new Set<number>()
  readonly #durable = new Set<number>()
  readonly #refused = new Set<number>()
  #unwatched: number[] = []

  constructor() {
    ;[this.#storage, this.#journal] = this.#open()
  }

  async run(step: Step): Promise<void> {
    switch (step.type) {
      case 'append':
        this.#append(step.how, step.size)
        break
      case 'turn':
        this.#journal.flush()
        break
      case 'settle':
        await this.#settle()
        break
      case 'writes fail':
        this.#room = step.after
        break
      case 'flushes fail':
        this.#flushing = false
        this.#flushesFailed = true
        break
      case 'heal':
        this.#room = Number.POSITIVE_INFINITY
        this.#flushing = true
        break
      case 'rotate':
        this.#journal.rotate()
        break
      case 'kill':
      case 'power':
        await this.#die(step.type)
        break
      default:
        step satisfies never
    }
  }

  /** Everything heals, and what was kept must come. */
  async finish(): Promise<void> {
    await this.run({ type: 'heal' })
    this.#journal.flush()
    await this.#settle()
    this.#journal.append('"type":"last"')
    this.#journal.close()
    expect(this.#journal.unwritten).toBe(0)
    for (const number of this.#unwatched) this.#promised.add(number)
    this.#storage.close()
    this.#check()
    rmSync(this.#directory, { recursive: true })
  }

  #append(how: 'unwatched' | 'os' | 'durable', size: number): void {
    this.#next += 1
    const number = this.#next
    const fields = `"type":"test","number":${number},"text":"${'x'.repeat(size)}"`
    if (how === 'unwatched') {
      this.#unwatched.push(number)
      this.#journal.append(fields)
      return
    }
    const waiter = {
      stored: () => {
        this.#promised.add(number)
        if (how === 'durable') this.#durable.add(number)
      },
      // A record whose flush has failed may be found all the same.
      refused: () => void (how === 'os' && this.#refused.add(number)),
    }
    this.#journal.append(fields, waiter, { durable: how === 'durable' })
  }

  async #settle(): Promise<void> {
    for (let turns = 0; turns < 8; turns += 1) await new Promise(setImmediate)
  }

  async #die(how: 'kill' | 'power'): Promise<void> {
    // What waits for its turn, or for the disk, is nobody's promise.
    await this.#settle()
    if (this.#journal.unwritten === 0)
      for (const number of this.#unwatched) this.#promised.add(number)
    this.#unwatched = []
    this.#storage.close()
    // A segment that the disk did not take may be a hole then, which is no lie: nobody was told otherwise.
    if (how === 'power' && !this.#flushesFailed) {
      for (const file of readdirSync(this.#directory)) {
        const path = join(this.#directory, file)
        const size = this.#flushed.get(statSync(path).ino)
        if (size === undefined) unlinkSync(path)
        else truncateSync(path, size)
      }
      for (const number of this.#promised) {
        if (!this.#durable.has(number)) this.#promised.delete(number)
      }
    }
    this.#check()
    await this.run({ type: 'heal' })
    ;[this.#storage, this.#journal] = this.#open()
  }

  #check(): void {
    const chain = new ChainCheck()
    const found: number[] = []
    for (const { lines } of segmentsOf(this.#directory)) {
      for (const line of lines) {
        expect(chain.line(line), line.toString()).toBeUndefined()
        const { number } = parseLine(line.toString())
        if (typeof number === 'number') found.push(number)
      }
    }
    expect(found).toEqual(found.toSorted((a, b) => a - b))
    const there = new Set(found)
    expect([...this.#promised].filter((number) => !there.has(number))).toEqual([])
    expect([...this.#refused].filter((number) => there.has(number))).toEqual([])
  }

  #open(): [JournalFiles, Journal] {
    const io: SegmentIo = {
      write: (fd, bytes, offset, length, position) => {
        const size = Math.min(length, this.#room)
        if (size <= 0) throw new Error('ENOSPC')
        this.#room -= size
        return writeSync(fd, bytes, offset, size, position)
      },
      truncate: ftruncateSync,
      sync: async (fd) => {
        const { ino, size } = fstatSync(fd)
        await new Promise(setImmediate)
        if (!this.#flushing) throw new Error('EIO')
        this.#flushed.set(ino, size)
      },
      syncNow: (fd) => {
        const { ino, size } = fstatSync(fd)
        this.#flushed.set(ino, size)
      },
    }
    const options = { directory: this.#directory, segmentBytes: 1_500, clock: this.#clock, io }
    const { storage, tip } = JournalFiles.open(options)
    return [storage, new Journal(storage, tip, this.#clock)]
  }
}

it('keeps its promises through every order of writes, faults and deaths', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (all) => {
      const model = new Model()
      for (const step of all) await model.run(step)
      await model.finish()
    }),
    { numRuns: Number(process.env['JOURNAL_RUNS'] ?? 100) },
  )
}, 60_000)
