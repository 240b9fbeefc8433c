// Two pgwardens behind a load balancer, restarted one after the other under load: what a client was told is
// true, and whatever fails says so in words of its own.

import { setTimeout as sleep } from 'node:timers/promises'
import { Client, type ClientConfig, DatabaseError } from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { Balancer } from '../support/balancer.ts'
import { build } from '../support/executable.ts'
import { findHaproxy, findPgbench, runProgram } from '../support/psql.ts'
import { Warden } from '../support/warden.ts'

const haproxy = findHaproxy() ?? ''
const pgbench = findPgbench() ?? ''
const here = haproxy !== '' && pgbench !== ''
if (!here) console.warn('NOT RUN: haproxy or pgbench is not installed, so nothing is restarted')

let wardens: readonly [Warden, Warden]
let balancer: Balancer

beforeAll(async () => {
  if (!here) return
  await build()
  const options = {
    ownProcess: true,
    sections: ['shutdown: { drainTimeout: 10s, delay: 800ms }'],
  }
  const schema = 'CREATE TABLE told (key int, writer int); CREATE TABLE benched (run int)'
  const first = await Warden.start(inject('adminUrl'), { ...options, schema })
  wardens = [first, await Warden.start(inject('adminUrl'), { ...options, beside: first })]
  balancer = await Balancer.start(haproxy, wardens)
}, 240_000)
afterAll(async () => {
  if (!here) return
  await balancer.stop()
  // The second one's journal too is verified; the first drops the databases.
  for (const warden of [...wardens].reverse()) await warden.stop()
})

/** What a client was told of the rows that it wrote, by their keys. */
class Tale {
  readonly written: number[] = []
  /** Refused by a FATAL before anything of it had run. */
  readonly refused: number[] = []
  /** The connection broke, and nobody said why. */
  readonly unknown: string[] = []
  readonly reconnects: string[] = []
}

/** Writes rows until `enough`: alone, and two in a transaction. Connects again whenever it is told to. */
async function write(writer: number, login: ClientConfig, enough: AbortSignal): Promise<Tale> {
  const tale = new Tale()
  let client: Client | undefined
  for (let key = writer * 1_000_000; !enough.aborted; key++) {
    client ??= await connected(login, tale)
    if (client === undefined) {
      await sleep(50)
      continue
    }
    try {
      const insert = `INSERT INTO told VALUES (${key}, ${writer})`
      if (key % 2 === 0) await client.query(insert)
      else {
        await client.query('BEGIN')
        await client.query(insert)
        await client.query('COMMIT')
      }
      tale.written.push(key)
    } catch (error) {
      if (isClean(error) || wasNotSent(error)) tale.refused.push(key)
      else tale.unknown.push(String(error))
      client.end().catch(() => undefined)
      client = undefined
    }
    await sleep(10)
  }
  await client?.end()
  return tale
}

async function connected(login: ClientConfig, tale: Tale): Promise<Client | undefined> {
  const client = new Client(login)
  client.on('error', (error) => tale.reconnects.push(String(error)))
  try {
    await client.connect()
    return client
  } catch (error) {
    if (!isClean(error)) tale.unknown.push(`connecting: ${String(error)}`)
    return undefined
  }
}

function isClean(error: unknown): boolean {
  return error instanceof DatabaseError && error.code?.startsWith('57') === true
}

/** The driver had read the FATAL before the statement was asked of it. */
function wasNotSent(error: unknown): boolean {
  return error instanceof Error && error.message.includes('not queryable')
}

/** A connection for each transaction. Resolves with how many were done, and with what was complained of. */
async function bench(login: string, enough: AbortSignal): Promise<readonly [number, string[]]> {
  let done = 0
  const complaints: string[] = []
  while (!enough.aborted) {
    const words = ['-n', '-C', '-R', '20', '-c', '2', '-t', '10', '-f', '/dev/stdin', login]
    const { stdout, stderr } = await runProgram(pgbench, words, {
      input: 'INSERT INTO benched VALUES (1);\n',
    })
    done += Number(/actually processed: (\d+)/.exec(stdout)?.[1] ?? 0)
    complaints.push(...stderr.split('\n').filter((line) => /FATAL|ERROR|closed|refused/.test(line)))
  }
  return [done, complaints]
}

describe.runIf(here)('a rolling restart', () => {
  it('loses and doubles no statement, and every failure is a FATAL', {
    timeout: 90_000,
  }, async () => {
    const [first] = wardens
    const login = { ...(await first.login('read_limited_write')), port: balancer.port }
    const conninfo = (await first.conninfo('read_limited_write')).replace(
      `port=${first.port}`,
      `port=${balancer.port}`,
    )
    const enough = new AbortController()
    const writers = [1, 2, 3].map((writer) => write(writer, login, enough.signal))
    const benched = bench(conninfo, enough.signal)
    await sleep(300)
    for (const warden of [...wardens, ...wardens]) {
      expect(await warden.drain()).toBe(0)
      await warden.serve(true)
      await balancer.sendsTo(2)
    }
    enough.abort()
    const tales = await Promise.all(writers)
    const [transactions, complaints] = await benched

    expect(tales.flatMap(({ unknown }) => unknown)).toEqual([])
    const clean = /terminating connection due to administrator command|pgwarden is shutting down/
    for (const complaint of complaints) expect(complaint).toMatch(clean)
    const { told, rows } = await first.asSuperuser(async (su) => ({
      told: (await su.query<{ key: number }>('SELECT key FROM told ORDER BY key')).rows,
      rows: (await su.query('SELECT FROM benched')).rowCount,
    }))
    const written = tales.flatMap((tale) => tale.written).sort((a, b) => a - b)
    expect(told.map(({ key }) => key)).toEqual(written)
    expect(rows).toBe(transactions)
    // Each writer was sent away by each restart that met it, and has come back.
    expect(
      tales.flatMap(({ reconnects, refused }) => [...reconnects, ...refused]).length,
    ).toBeGreaterThan(3)

    const statements = wardens.map((warden) => inserts(warden))
    const ran = (await Promise.all(statements)).flat()
    expect(ran.filter((result) => result !== 'ok')).toEqual([])
    expect(ran.length).toBe(written.length + transactions)
  })
})

/** What became of each INSERT that a pgwarden let through, by its journal. */
async function inserts(warden: Warden): Promise<readonly unknown[]> {
  const outcomes = new Map(
    (await warden.journal('outcome')).map(({ statement, result }) => [statement, result]),
  )
  return (await warden.journal('statement'))
    .filter(({ decision, text }) => decision === 'allow' && String(text).startsWith('INSERT'))
    .map(({ id }) => outcomes.get(id))
}
