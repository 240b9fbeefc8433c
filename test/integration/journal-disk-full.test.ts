// The disk fills under load, and has room again: statements are refused, what runs ends as it should, nothing
// that PostgreSQL ran is missing, and all is well again by itself.

import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { beforeAll, describe, expect, inject, it, onTestFinished } from 'vitest'
import { verifyDirectory } from '../../src/journal/verify.ts'
import { runs } from '../support/databases.ts'
import { eventually } from '../support/eventually.ts'
import { build } from '../support/executable.ts'
import { type Disk, fileSizeLimit, smallFileSystem } from '../support/full-disk.ts'
import { checkJournal } from '../support/journal-schema.ts'
import { logSize, statementsLogged } from '../support/server-log.ts'
import { Warden } from '../support/warden.ts'

const serverLog = inject('serverLog') ?? ''
const loaders = 6
const recoveryMs = 2_000

beforeAll(build, 60_000)

/** A client that inserts one number after the other until it is told to pause. */
class Loader {
  readonly inserted: number[] = []
  readonly refused: number[] = []
  readonly #client: Client
  #next: number
  #running: Promise<void> | undefined
  #paused = false

  constructor(client: Client, first: number) {
    this.#client = client
    this.#next = first
  }

  go(): void {
    this.#paused = false
    this.#running = this.#load()
    // Who pauses it hears of it; when the test has failed before, nobody does.
    this.#running.catch(() => undefined)
  }

  async pause(): Promise<void> {
    this.#paused = true
    await this.#running
  }

  async #load(): Promise<void> {
    while (!this.#paused) {
      const n = this.#next++
      try {
        await this.#client.query(insert(n))
        this.inserted.push(n)
      } catch (error) {
        expect(error).toMatchObject({ code: '58030', severity: 'ERROR' })
        this.refused.push(n)
        await sleep(10)
      }
    }
  }
}

function insert(n: number): string {
  return `INSERT INTO items VALUES (${n})`
}

describe.each(['a file system without room', 'files that may not grow'])('%s', (name) => {
  it('stops statements and nothing else, loses no record, and recovers by itself', async () => {
    const warden = await Warden.start(inject('adminUrl'), {
      ownProcess: true,
      // Far from reached, but whoever has a limit is told of it by an error and not killed.
      largestFile: 2_000_000,
      schema: 'create table items (n int)',
    })
    const disk = await diskOf(name, warden)
    if (disk === undefined) {
      console.warn(`NOT RUN: ${name} cannot be had here`)
      await warden.stop()
      return
    }
    onTestFinished(async () => {
      await warden.halt()
      await disk.remove()
      await warden.stop()
    })
    const from = serverLog === '' ? 0 : await logSize(serverLog)
    const clients = await connected(warden, loaders * 2)
    const load = clients.slice(0, loaders).map((client, at) => new Loader(client, at * 1_000_000))
    const live = clients.slice(loaders)

    for (const loader of load) loader.go()
    await sleep(300)
    const sleeping = live.map((client, at) => client.query(`SELECT pg_sleep(1.5), ${at} AS live`))
    await warden.asSuperuser(runs(`SELECT pg_sleep(1.5), ${live.length - 1} AS live`))
    await disk.fill()

    await eventually(async () => load.every(({ refused }) => refused.length > 0))
    await eventually(async () => (await readiness(warden)) === 503)
    const ended = await Promise.all(sleeping)
    expect(ended.map(({ rowCount }) => rowCount)).toEqual(live.map(() => 1))
    await eventually(async () => (await readiness(warden)) === 503)
    for (const loader of load) await loader.pause()

    // Nobody sends anything, and nobody asks: it is noticed all the same, and what was kept is written.
    await disk.free()
    await eventually(async () => (await livesEnded(warden)) === live.length, recoveryMs)
    expect(await readiness(warden)).toBe(200)
    const before = load.map(({ inserted }) => inserted.length)
    for (const loader of load) loader.go()
    await eventually(async () =>
      load.every(({ inserted }, at) => inserted.length > (before[at] ?? 0)),
    )
    for (const loader of load) await loader.pause()
    for (const client of clients) await client.end()
    await warden.halt()

    const inserted = load.flatMap((loader) => loader.inserted)
    const outcomes = await outcomesOf(warden)
    expect(inserted.filter((n) => outcomes.get(insert(n)) !== 'ok')).toEqual([])
    expect(await warden.journal('journal.lost')).toEqual([])
    const { rows } = await warden.asSuperuser((su) =>
      su.query<{ n: number }>('select n from items'),
    )
    expect(rows.map(({ n }) => n).sort()).toEqual([...inserted].sort())
    if (serverLog !== '') {
      const reached = await statementsLogged(serverLog, warden.target.name, from)
      expect(reached.size).toBeGreaterThan(inserted.length)
      expect([...reached.keys()].filter((text) => !outcomes.has(text))).toEqual([])
    }
    expect((await verifyDirectory(warden.journalDirectory)).ok).toBe(true)
    await checkJournal(warden.journalDirectory)
  })
})

async function diskOf(name: string, warden: Warden): Promise<Disk | undefined> {
  if (name === 'files that may not grow') {
    return fileSizeLimit(warden.run?.process.pid ?? 0, warden.journalDirectory)
  }
  await warden.halt()
  const disk = await smallFileSystem(warden.journalDirectory)
  if (disk !== undefined) await warden.serve(true)
  return disk
}

async function connected(warden: Warden, count: number): Promise<readonly Client[]> {
  const login = await warden.login('read_limited_write')
  return Promise.all(
    Array.from({ length: count }, async () => {
      const client = new Client(login)
      client.on('error', () => undefined)
      await client.connect()
      return client
    }),
  )
}

async function readiness(warden: Warden): Promise<number> {
  return (await fetch(new URL('/readyz', warden.apiUrl))).status
}

async function livesEnded(warden: Warden): Promise<number> {
  const outcomes = await outcomesOf(warden)
  return [...outcomes].filter(([text, result]) => / AS live$/.test(text) && result === 'ok').length
}

/** Of each allowed statement's text; undefined while there is none. */
async function outcomesOf(warden: Warden): Promise<ReadonlyMap<string, string | undefined>> {
  const texts = new Map<unknown, string>()
  const results = new Map<string, string | undefined>()
  for (const record of await warden.journal('statement', 'outcome')) {
    if (record['type'] === 'statement' && record['decision'] === 'allow') {
      texts.set(record['id'], String(record['text']))
      results.set(String(record['text']), undefined)
    }
    const text = texts.get(record['statement'])
    if (text !== undefined) results.set(text, String(record['result']))
  }
  return results
}
