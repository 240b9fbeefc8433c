// Several processes that serve clients on one port: what becomes of sessions, journal and sinks when one of them is
// killed, when the one above them is, and when all are told to stop.

import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { verifyDirectory } from '../../src/journal/verify.ts'
import { eventually } from '../support/eventually.ts'
import { build, Run } from '../support/executable.ts'
import { segmentsOf } from '../support/journal-files.ts'
import { type JournalRecord, Warden } from '../support/warden.ts'

const workers = [1, 2]

let warden: Warden

beforeAll(async () => {
  await build()
  process.env['NODE_OPTIONS'] = `--import ${new URL('../support/defect.mjs', import.meta.url).href}`
  warden = await Warden.start(inject('adminUrl'), {
    ownProcess: true,
    sections: ['workers: 2', 'audit: { sinks: [{ file: { path: copy.jsonl } }] }'],
    schema: 'create table kept (n int)',
  })
}, 120_000)
afterAll(() => warden.stop())

describe('two workers', () => {
  it('share the clients of one port, and each records its own', async () => {
    const clients = await Promise.all(Array.from({ length: 4 }, () => warden.connect('read_only')))
    for (const client of clients) await client.query('select 1')
    for (const client of clients) await client.end()
    for (const worker of workers) {
      expect(types(worker)).toEqual(
        expect.arrayContaining(['session.start', 'statement', 'outcome']),
      )
    }
    expect(await readiness()).toEqual({ status: 200, workers: 'ok' })
  })

  it('go on without the one that is killed, which is replaced; the journal names what it left', async () => {
    const load = await Load.start()
    await sleep(500)
    const killed = await pidOf(1)
    process.kill(killed ?? 0, 'SIGKILL')
    await replaced(1, killed)
    expect(await metric('pgwarden_worker_deaths_total', { worker: '0' })).toBe(1)
    expect(await metric('pgwarden_workers', { state: 'running', worker: '0' })).toBe(2)
    for (const worker of ['0', '1', '2']) {
      expect(await metric('process_start_time_seconds', { worker })).toBeGreaterThan(0)
    }
    await sleep(500)
    // The place of the one that was killed serves again.
    const starts = () => chain(1).filter(({ type }) => type === 'session.start').length
    const before = starts()
    await Promise.all(workers.map(async () => (await warden.connect('read_only')).end()))
    await eventually(async () => starts() > before)

    const { ended, lived } = await load.stop()
    expect(ended.length).toBeGreaterThan(0)
    expect(lived.length).toBeGreaterThan(0)
    expect(lived.map(({ error }) => error)).toEqual(lived.map(() => undefined))
    expect(Math.max(...lived.map(({ longestMs }) => longestMs))).toBeLessThan(1_000)
    expect(warden.run?.stdout).toContain('killed by SIGKILL')

    const { chains, ok } = await verifyDirectory(warden.journalDirectory)
    expect(ok).toBe(true)
    const lostOf = (name: string) => chains.find((each) => each.chain === name)?.lost.ids ?? []
    expect([...lostOf('worker-1')].sort()).toEqual(withoutOutcome(chain(1)))
    expect(lostOf('worker-2')).toEqual([])
  })

  it('tell their sessions when they meet a defect, close their chain, and are replaced', async () => {
    const clients = await Promise.all(workers.map(() => warden.connect('read_only')))
    const ended: string[] = []
    for (const client of clients) void endingOf(client).then((code) => ended.push(code))
    const failing = await pidOf(2)
    process.kill(failing ?? 0, 'SIGUSR2')
    await eventually(async () => ended.length > 0)
    expect(ended).toEqual(['57P01'])
    await replaced(2, failing)
    expect(warden.run?.stdout).toContain('a planted defect')
    expect(types(2)[types(2).lastIndexOf('journal.open') - 1]).toBe('journal.close')
    await Promise.all(clients.map((client) => client.end().catch(() => undefined)))
  })

  it('end their sessions with a FATAL when the supervisor is killed, and make way for the next one', async () => {
    const clients = await Promise.all(workers.map(() => warden.connect('read_only')))
    const endings = clients.map(endingOf)
    warden.run?.process.kill('SIGKILL')
    expect(await Promise.all(endings)).toEqual(workers.map(() => '57P01'))
    await warden.run?.ended()
    await warden.serve(true)
    const client = await warden.connect('read_only')
    expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    await client.end()
    // Not killed: each has closed its chain before the next one took it over.
    for (const worker of workers) {
      const reopened = types(worker).lastIndexOf('journal.open')
      expect(types(worker)[reopened - 1]).toBe('journal.close')
    }
  })

  it('stop under load with every outcome recorded, and every record in the sink', async () => {
    const load = await Load.start()
    await sleep(500)
    expect(await warden.drain()).toBe(0)
    const { ended } = await load.stop()
    expect(new Set(ended.map(({ error }) => error))).toEqual(new Set(['57P01']))

    const { chains } = await verifyDirectory(warden.journalDirectory)
    for (const { chain: name, lost, running } of chains) {
      expect([name, running.count]).toEqual([name, 0])
      // What the killed one left stays lost.
      if (name !== 'worker-1') expect([name, lost.count]).toEqual([name, 0])
    }
    const sent = await readFile(join(warden.directory, 'copy.jsonl'), 'utf8')
    const events = new Set(sent.split('\n').map((line) => /"event":"([^"]+)"/.exec(line)?.[1]))
    const missing = [...allRecords()].filter(({ event }) => !events.has(String(event)))
    expect(missing).toEqual([])
  })

  it('do not start one by one: where one cannot, nobody does, and it is said why', async () => {
    const other = createServer().listen(warden.port, '127.0.0.1')
    try {
      const run = new Run(['serve', '--config', warden.configFile])
      expect(await run.ended()).toBe(1)
      expect(run.stderr).toContain(`port ${warden.port} is in use by another program`)
    } finally {
      other.close()
    }
  })

  it('all go by a reloaded configuration, those that are started later too, and none by a broken one', async () => {
    await warden.serve(true)
    const clients = await Promise.all(workers.map(() => warden.connect('read_only')))
    const text = await readFile(warden.configFile, 'utf8')
    await reload(`${text}limits: { statementBytes: 1KiB }\n`)
    await eventually(async () =>
      workers.every((worker) => types(worker).includes('config.applied')),
    )
    for (const client of clients) await expect(client.query(long)).rejects.toThrow('1024')

    await reload('targets: {}\n')
    await eventually(async () => (await warden.journal('config.rejected')).length === 1)
    const killed = await pidOf(2)
    process.kill(killed ?? 0, 'SIGKILL')
    await replaced(2, killed)
    // Who issues tokens reads the file as well.
    await writeFile(warden.configFile, text)
    const later = await Promise.all(workers.map(() => warden.connect('read_only')))
    for (const client of later) await expect(client.query(long)).rejects.toThrow('1024')
    await Promise.all([...clients, ...later].map((each) => each.end().catch(() => undefined)))
  })
})

const long = `select '${'x'.repeat(1024)}'`

async function reload(text: string): Promise<void> {
  await writeFile(warden.configFile, text)
  warden.run?.process.kill('SIGHUP')
}

/** Waits until another process serves in the place of that one. */
async function replaced(worker: number, pid: number | undefined): Promise<void> {
  await eventually(async () => {
    const now = await pidOf(worker)
    return now !== undefined && now !== pid && (await readiness()).status === 200
  }, 30_000)
}

function types(worker: number): readonly unknown[] {
  return chain(worker).map(({ type }) => type)
}

/** Clients that ask one question after the other, until they are stopped or their session is ended. */
class Load {
  readonly #clients: readonly Client[]
  readonly #runs: readonly Promise<Asked>[]
  #stopped = false

  private constructor(clients: readonly Client[]) {
    this.#clients = clients
    this.#runs = clients.map((client) => this.#ask(client))
  }

  static async start(): Promise<Load> {
    const login = await warden.login('read_limited_write')
    const clients = await Promise.all(
      Array.from({ length: 8 }, async () => {
        const client = new Client(login)
        client.on('error', () => undefined)
        await client.connect()
        return client
      }),
    )
    return new Load(clients)
  }

  async stop(): Promise<{ readonly ended: readonly Asked[]; readonly lived: readonly Asked[] }> {
    this.#stopped = true
    const runs = await Promise.all(this.#runs)
    await Promise.all(this.#clients.map((client) => client.end().catch(() => undefined)))
    return {
      ended: runs.filter(({ error }) => error !== undefined),
      lived: runs.filter(({ error }) => error === undefined),
    }
  }

  async #ask(client: Client): Promise<Asked> {
    let longestMs = 0
    let fatal: string | undefined
    // Between two questions it is an event; the next one then only fails.
    client.once('error', (error) => {
      fatal = codeOf(error)
    })
    try {
      while (!this.#stopped) {
        const began = performance.now()
        await client.query('insert into kept values ($1)', [1])
        longestMs = Math.max(longestMs, performance.now() - began)
      }
      return { longestMs, error: undefined }
    } catch (error) {
      return { longestMs, error: fatal ?? codeOf(error) }
    }
  }
}

interface Asked {
  readonly longestMs: number
  /** What ended it: an SQLSTATE, or what the driver says of a connection that broke. */
  readonly error: string | undefined
}

function codeOf(error: unknown): string {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code
  return String(error)
}

function endingOf(client: Client): Promise<string> {
  return new Promise((resolve) => client.once('error', (error) => resolve(codeOf(error))))
}

/** Of the process that holds the worker's chain, if one does. */
async function pidOf(worker: number): Promise<number | undefined> {
  const lock = join(warden.journalDirectory, `worker-${worker}.lock`)
  const text = await readFile(lock, 'utf8').catch(() => '{}')
  return (JSON.parse(text) as { readonly pid?: number }).pid
}

/** One series of what a scrape answers. */
async function metric(name: string, labels: Readonly<Record<string, string>>): Promise<number> {
  const text = await (await fetch(new URL('metrics', warden.apiUrl))).text()
  const line = text.split('\n').find((each) => {
    const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`)
    return each.startsWith(`${name}{`) && wanted.every((pair) => each.includes(pair))
  })
  return Number(line?.split(' ').at(-1))
}

async function readiness(): Promise<{ readonly status: number; readonly workers: unknown }> {
  const answer = await fetch(new URL('readyz', warden.apiUrl))
  const { checks } = (await answer.json()) as { readonly checks: Readonly<Record<string, string>> }
  return { status: answer.status, workers: checks['workers'] }
}

function chain(worker: number): readonly JournalRecord[] {
  return recordsIn(segmentsOf(warden.journalDirectory), `worker-${worker}-`)
}

function allRecords(): readonly JournalRecord[] {
  return recordsIn(segmentsOf(warden.journalDirectory), '')
}

function recordsIn(
  segments: ReturnType<typeof segmentsOf>,
  prefix: string,
): readonly JournalRecord[] {
  return segments
    .filter(({ file }) => file.startsWith(prefix))
    .flatMap(({ lines }) => lines.map((line) => JSON.parse(line.toString()) as JournalRecord))
}

function withoutOutcome(records: readonly JournalRecord[]): readonly string[] {
  const open = new Set<string>()
  for (const { type, id, statement, decision } of records) {
    if (type === 'statement' && decision === 'allow') open.add(String(id))
    if (type === 'outcome') open.delete(String(statement))
  }
  return [...open].sort()
}
