// The proof that read_only is read-only: with a superuser's login upstream, everything that the corpora
// hold and thousands of random statements, half of them with a trap, are sent through the proxy; and
// the database, its server's settings and files are afterwards, byte for byte, what they were before.
// PROOF_STATEMENTS makes it longer, PROOF_SEED another one.

import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, inject, it } from 'vitest'
import type { BackendMessage } from '../../src/wire/backend.ts'
import { hearsUntilRow, sqlstates } from '../support/answers.ts'
import { corpora } from '../support/corpora.ts'
import { seeded } from '../support/random-session.ts'
import { type Attempt, attempt, type Numbers } from '../support/random-sql.ts'
import { trapExpressions, utilities, writes } from '../support/random-traps.ts'
import { sql } from '../support/scripted-session.ts'
import { differences, Observer, type Picture } from '../support/state-picture.ts'
import { Warden } from '../support/warden.ts'
import { WireClient } from '../support/wire-client.ts'

const fixture = new URL('../fixtures/state-proof.sql', import.meta.url)
const statements = Number(process.env['PROOF_STATEMENTS'] ?? 3000)
const seed = Number(process.env['PROOF_SEED'] ?? 1)
/** Sent at once; the state is looked at after each. */
const batchSize = 50
/** After so many it is clear that there is a hole. */
const mostCulprits = 10

/**
 * How attempts ended: `pinned` by the read-only transaction that pgwarden gives to the role, `lost` with
 * the session.
 */
type Outcome = 'ran' | 'denied' | 'pinned' | 'failed' | 'lost'
type Tally = Readonly<Record<Outcome, number>>

let warden: Warden
let observer: Observer
let login: Awaited<ReturnType<Warden['login']>>
let wire: WireClient
let numbers: Numbers
/** What there was before anything was sent. */
let state: Picture
let files: Picture
let dump: string | undefined

beforeAll(async () => {
  const schema = readFileSync(fixture, 'utf8')
  warden = await Warden.start(inject('adminUrl'), { schema })
  observer = await Observer.at(warden.target.url, ['canary'])
  numbers = await readNumbers()
  // One grant for all: the role that the broker makes for it is in both pictures.
  login = await warden.login('read_only')
  wire = await WireClient.logIn(warden.port, login)
  await observer.settle()
  state = await observer.state()
  files = await observer.files()
  dump = await observer.dump()
})
afterAll(async () => {
  wire.close()
  await observer.leave()
  await warden.stop()
})

it('changes nothing with any statement of the corpora', async () => {
  const { tally, culprits } = await prove(corpora().map(simply))
  expect(culprits).toEqual([])
  expect(tally.ran).toBeGreaterThan(250)
  expect(tally.denied).toBeGreaterThan(50)
})

it('changes nothing with any trap by itself', async () => {
  const expressions = trapExpressions('1').flat()
  const texts = [...expressions.map((trap) => `SELECT ${trap}`), ...writes, ...utilities]
  const { culprits } = await prove(texts.map(simply))
  expect(culprits).toEqual([])
}, 600_000)

it(`changes nothing with ${statements} random statements from seed ${seed}`, async () => {
  const random = seeded(seed)
  const attempts = Array.from({ length: statements }, () => attempt(random, numbers))
  const { tally, culprits } = await prove(attempts)
  expect(culprits).toEqual([])
  // Statements that do not run, or without a trap, would prove nothing.
  expect(tally.ran).toBeGreaterThan(statements * 0.4)
  expect(tally.denied).toBeGreaterThan(statements * 0.2)
}, 1_800_000)

it('leaves every file of the data directory, and a dump, as they were', async () => {
  expect(differences(files, await observer.files())).toEqual([])
  expect(await observer.dump()).toBe(dump)
})

interface Proof {
  readonly tally: Tally
  /** The attempts that changed something, and what. */
  readonly culprits: readonly string[]
}

/** Sends everything, and looks at the state again and again. */
async function prove(attempts: readonly Attempt[]): Promise<Proof> {
  const tally = { ran: 0, denied: 0, pinned: 0, failed: 0, lost: 0 }
  const culprits: string[] = []
  for (let at = 0; at < attempts.length && culprits.length < mostCulprits; at += batchSize) {
    const batch = attempts.slice(at, at + batchSize)
    const changes = await changesBy(batch, (outcome) => tally[outcome]++)
    if (changes.length > 0) culprits.push(...(await culpritsAmong(batch, changes)))
  }
  console.log(JSON.stringify(tally))
  return { tally, culprits }
}

/** Which of the attempts change something each time; all of them where that cannot be told. */
async function culpritsAmong(
  batch: readonly Attempt[],
  changes: readonly string[],
): Promise<readonly string[]> {
  const culprits: string[] = []
  for (const one of batch) {
    const again = await changesBy([one])
    if (again.length > 0) culprits.push(`${said(one)}\n  ${again.join('\n  ')}`)
  }
  // What can be done only once is among the first changes alone.
  const first = `a batch: ${changes.join('\n  ')}`
  return culprits.length > 0 ? [first, ...culprits] : [first, ...batch.map(said)]
}

/** Sends the attempts; what is not as it was counts from here on as the state that was. */
async function changesBy(
  attempts: readonly Attempt[],
  count: (outcome: Outcome) => void = () => undefined,
): Promise<readonly string[]> {
  const outcomes = await send(attempts)
  outcomes.forEach(count)
  const now = await observer.state()
  const changes = differences(state, now)
  state = now
  return outcomes.includes('lost') ? [...changes, 'the session was ended'] : changes
}

/** How each ended. */
async function send(attempts: readonly Attempt[]): Promise<readonly Outcome[]> {
  const end = ['ROLLBACK', 'RESET ALL', 'DEALLOCATE ALL', 'CLOSE ALL', 'UNLISTEN *']
  wire.says(
    ...attempts.flatMap(({ messages }) => messages),
    ...[...end, "SELECT 'settled'"].map(sql),
  )
  const heard = await hearsUntilRow(wire, 'settled').catch((error: unknown) => {
    if (!wire.ended) throw error
  })
  if (heard === undefined) {
    wire = await WireClient.logIn(warden.port, login)
    return attempts.map(() => 'lost')
  }
  const rounds = inRounds(heard)
  return attempts.map(({ messages }) =>
    outcome(rounds.splice(0, messages.filter(endsRound).length).flat()),
  )
}

function outcome(answers: readonly BackendMessage[]): Outcome {
  const codes = sqlstates(answers)
  if (codes.includes('42501')) return 'denied'
  if (codes.includes('25006')) return 'pinned'
  return codes.length > 0 ? 'failed' : 'ran'
}

function simply(text: string): Attempt {
  return { messages: [sql(text)] }
}

/** The answers, each up to its ReadyForQuery. */
function inRounds(messages: readonly BackendMessage[]): BackendMessage[][] {
  const rounds: BackendMessage[][] = [[]]
  for (const message of messages) {
    rounds.at(-1)?.push(message)
    if (message.type === 'readyForQuery') rounds.push([])
  }
  return rounds
}

function endsRound({ type }: Attempt['messages'][number]): boolean {
  return type === 'query' || type === 'sync' || type === 'functionCall'
}

function said({ messages }: Attempt): string {
  return messages
    .map((message) => ('text' in message ? message.text.toString() : message.type))
    .join(' | ')
}

async function readNumbers(): Promise<Numbers> {
  return warden.asSuperuser(async (client) => {
    const types = await client.query<{ oid: number; value: string }>(`
      SELECT t::regtype::oid AS oid, v AS value FROM (VALUES ('evildom', '1'), ('eviler', '1'),
        ('holder', '(1)'), ('evildom[]', '{1}'), ('domained', '(1)')) x (t, v)`)
    const functions = await client.query<{ oid: number }>(`
      SELECT oid FROM pg_proc WHERE proname IN ('my_udf', 'tells', 'locks', 'lo_create',
        'pg_advisory_lock', 'lo_unlink') AND pronargs = 1`)
    return {
      types: types.rows.map(({ oid, value }) => [oid, value]),
      functions: functions.rows.map(({ oid }) => oid),
    }
  })
}
