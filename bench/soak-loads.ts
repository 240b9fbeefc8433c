// What the busy clients of the soak do, each in a loop until it is told to stop: the ordinary kinds of
// work, and the kinds of leaving and not listening that proxies leak by.

import { setTimeout as sleep } from 'node:timers/promises'
import { backend } from '../src/wire/backend.ts'
import type { FrontendMessage } from '../src/wire/frontend.ts'
import { bind, execute, parse, sql, sync } from '../test/support/scripted-session.ts'
import type { Connection } from './load.ts'
import { SoakClient } from './soak-client.ts'

export const soakSchema = 'create table soak (id int, note text)'

/** Some hundred of these in a session; then it logs in again. */
const roundsPerSession = 100
const bigResult = sql("SELECT repeat('x', 1000) FROM generate_series(1, 5000)")
const row: FrontendMessage = { type: 'copyData', data: Buffer.from(`1\t${'x'.repeat(200)}\n`) }
const copyDone: FrontendMessage = { type: 'copyDone' }

type Work = (client: SoakClient) => Promise<void>

const works: Readonly<Record<string, Work>> = {
  simple: (client) => client.ask(sql('SELECT count(*) FROM pg_class')),
  extended: (client) => client.ask(parse('SELECT 1'), bind(), execute(), sync),
  // The first Parse makes it, the others fail: an error in a pipeline.
  prepared: (client) => client.ask(parse('SELECT 2', 'p'), sync, bind('p'), execute(), sync),
  denied: (client) => client.ask(sql('DROP TABLE soak')),
  transaction: async (client) => {
    await client.ask(sql('BEGIN'))
    await client.ask(sql('SELECT 1/0'))
    await client.ask(sql('ROLLBACK'))
  },
  copyIn: async (client) => {
    client.say(sql('COPY soak FROM STDIN'))
    await client.hears(backend.copyInResponse)
    await client.ask(...Array.from({ length: 100 }, () => row), copyDone)
  },
  copyOut: (client) => client.ask(sql('COPY (SELECT * FROM soak LIMIT 500) TO STDOUT')),
  slowReader: async (client) => {
    const answered = client.ask(bigResult)
    for (let pauses = 0; pauses < 5; pauses++) {
      client.pause()
      await sleep(400)
      client.resume()
      await sleep(5)
    }
    await answered
  },
  cancelStorm: async (client) => {
    const answered = client.ask(sql('SELECT pg_sleep(5)'))
    await sleep(50)
    await Promise.all(Array.from({ length: 10 }, (_, n) => client.cancel(n % 2 === 0)))
    await answered
  },
}

/** Where clients that vanish have got to, and the connection on which they are there. */
const moments: readonly ((connection: Connection) => Promise<SoakClient>)[] = [
  (connection) => SoakClient.dial(connection),
  async (connection) => {
    const client = await SoakClient.dial(connection)
    client.startup()
    return client
  },
  async (connection) => {
    const client = await SoakClient.dial(connection)
    client.startup()
    await sleep(Math.random() * 40)
    return client
  },
  ...[
    [],
    [sql('BEGIN'), sql('SELECT 1')],
    [sql('COPY soak FROM STDIN'), row, row],
    [bigResult, bigResult],
    [sql('SELECT pg_sleep(3)')],
    [parse('SELECT 1'), bind(), execute()],
  ].map((messages) => async (connection: Connection) => {
    const client = await SoakClient.logIn(connection)
    if (Math.random() < 0.5) client.pause()
    if (messages.length > 0) client.say(...messages)
    await sleep(Math.random() * 100)
    return client
  }),
]

export interface Tally {
  rounds: number
  vanished: number
  /** What an ordinary client must not see, and the first of them. */
  failures: number
  firstFailure: string | undefined
}

/** Starts at least `count` busy clients, as many of each kind; resolves when all have stopped. */
export async function runBusy(
  connection: Connection,
  count: number,
  signal: AbortSignal,
  tally: Tally,
): Promise<void> {
  const running: Promise<void>[] = []
  const kinds = Object.entries(works)
  while (running.length < count) {
    for (const [kind, work] of kinds) {
      running.push(workAgainAndAgain(connection, kind, work, signal, tally))
    }
    // A quarter of them vanishes all the time.
    const quarter = Math.ceil(kinds.length / 3)
    for (let n = 0; n < quarter; n++) running.push(vanishAgainAndAgain(connection, signal, tally))
  }
  await Promise.all(running)
}

async function workAgainAndAgain(
  connection: Connection,
  kind: string,
  work: Work,
  signal: AbortSignal,
  tally: Tally,
): Promise<void> {
  while (!signal.aborted) {
    try {
      await workFor(await SoakClient.logIn(connection), work, signal, tally)
    } catch (error) {
      tally.failures++
      tally.firstFailure ??= `${kind}: ${String(error)}`
      await rest(signal)
    }
  }
}

/** One session. */
async function workFor(
  client: SoakClient,
  work: Work,
  signal: AbortSignal,
  tally: Tally,
): Promise<void> {
  try {
    for (let round = 0; round < roundsPerSession && !signal.aborted; round++) {
      await work(client)
      tally.rounds++
      await rest(signal)
    }
    client.say({ type: 'terminate' })
  } finally {
    client.close()
  }
}

async function vanishAgainAndAgain(
  connection: Connection,
  signal: AbortSignal,
  tally: Tally,
): Promise<void> {
  while (!signal.aborted) {
    try {
      const client = await moments[Math.floor(Math.random() * moments.length)]?.(connection)
      const roll = Math.random()
      if (roll < 0.4) client?.reset()
      else {
        if (roll < 0.7) client?.halfClose()
        if (roll < 0.55) await sleep(200)
        client?.close()
      }
      tally.vanished++
    } catch (error) {
      tally.failures++
      tally.firstFailure ??= `vanishing: ${String(error)}`
    }
    await rest(signal)
  }
}

async function rest(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await sleep(200 + Math.random() * 400)
}
