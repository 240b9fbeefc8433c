// pgwarden beside a direct connection: the same random conversations with two equal databases, one
// reached by an administrator through the proxy. What the client hears must be the same; and the
// journal must hold all that the server's own log says it ran, with an outcome for each.
// DIFFERENTIAL_RUNS makes it longer, DIFFERENTIAL_SEED another one.

import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, inject, it } from 'vitest'
import type { BackendMessage } from '../../src/wire/backend.ts'
import { encodeFrontend, type FrontendMessage } from '../../src/wire/frontend.ts'
import { hearsUntilRow } from '../support/answers.ts'
import { connectedTo, type FreshDatabase, freshDatabase } from '../support/databases.ts'
import { conversation, type Random, randomSchema, seeded } from '../support/random-session.ts'
import { sql, sync } from '../support/scripted-session.ts'
import { sessionAt } from '../support/upstream.ts'
import { Warden } from '../support/warden.ts'
import { WireClient } from '../support/wire-client.ts'

const runs = Number(process.env['DIFFERENTIAL_RUNS'] ?? 300)
const serverLog = inject('serverLog')
const firstSeed = Number(process.env['DIFFERENTIAL_SEED'] ?? 1)

let warden: Warden
let twin: FreshDatabase

beforeAll(async () => {
  warden = await Warden.start(inject('adminUrl'), {
    schema: randomSchema,
    shop: ["applicationName: ''"],
  })
  twin = await freshDatabase(inject('adminUrl'), 'twin')
  await connectedTo(twin.url, (client) => client.query(randomSchema))
})
afterAll(async () => {
  await twin.drop()
  await warden.stop()
})

async function direct(): Promise<WireClient> {
  return WireClient.over(await sessionAt(twin.url, twin.name))
}

/** Says the messages in pieces that have nothing to do with where one ends, and waits for the end. */
async function converse(
  wire: WireClient,
  messages: readonly FrontendMessage[],
  random: Random,
): Promise<readonly string[]> {
  const last = [{ type: 'copyFail', message: 'over' } as const, sync, sql('ROLLBACK')]
  const clean = [sql('DISCARD ALL'), sql("SELECT 'settled'")]
  const bytes = Buffer.concat([...messages, ...last, ...clean].map(encodeFrontend))
  for (let at = 0; at < bytes.length; ) {
    const end = random() < 0.3 ? bytes.length : at + 1 + Math.floor(random() * 200)
    wire.socket.write(bytes.subarray(at, end))
    if (random() < 0.3) await sleep(random() * 3)
    at = end
  }
  return (await hearsUntilRow(wire, 'settled')).map(comparable)
}

/** A message without what two connections, two databases or two programs may tell in other words. */
function comparable(message: BackendMessage): string {
  switch (message.type) {
    case 'errorResponse': {
      const { C: code = '', M: text = '' } = message.fields
      // EXECUTE of a name that is not known is refused before anybody asks for the transaction's state.
      const unknown = code === '26000' || code === '25P02' || text.endsWith(': EXECUTE')
      if (unknown) return 'error: no such statement, or not in this transaction'
      return `error: ${code} ${text}`
    }
    case 'noticeResponse':
      return `notice: ${message.fields['C']} ${message.fields['M']}`
    case 'notificationResponse':
      return `notification: ${message.channel} ${message.payload}`
    case 'rowDescription':
      return `columns: ${message.columns.map(({ name, typeOid }) => `${name} ${typeOid}`).join()}`
    case 'dataRow':
      return `row: ${message.values.map(String).join()}`
    case 'functionCallResponse':
      return `result: ${message.value?.toString('hex')}`
    case 'copyData':
      return `data: ${message.data.toString()}`
    default:
      return JSON.stringify(message)
  }
}

type Records = Awaited<ReturnType<Warden['journal']>>

it(`hears the same as a direct connection, in ${runs} random conversations`, async () => {
  let marks = 0
  const differences: string[] = []
  let [ours, theirs] = [await open(), await direct()]
  for (let run = 0; run < runs; run++) {
    const seed = firstSeed * 1_000_000 + run
    const messages = conversation(seeded(seed), () => `/*m${String(++marks).padStart(6, '0')}*/`)
    const heard = await Promise.allSettled([
      converse(ours, messages, seeded(seed + 1)),
      converse(theirs, messages, seeded(seed + 2)),
    ])
    const [mine, other] = heard.map((one) =>
      one.status === 'fulfilled' ? one.value : [String(one.reason)],
    )
    // An internal error of the server's own is nobody's to imitate.
    const defect = /XX000|unexpected state/.test(JSON.stringify(other))
    if (!defect && JSON.stringify(mine) !== JSON.stringify(other)) {
      differences.push(describeDifference(seed, messages, mine ?? [], other ?? []))
    } else if (!ours.ended && !theirs.ended) continue
    ours.close()
    theirs.close()
    ;[ours, theirs] = [await open(), await direct()]
  }
  ours.close()
  theirs.close()

  expect({ count: differences.length, first: differences[0] }).toEqual({
    count: 0,
    first: undefined,
  })
  await sleep(500)
}, 600_000)

it('has the end of each statement in the journal, and no other statement’s', async () => {
  const lies = unfinished(await warden.journal())
  expect({ count: lies.length, first: lies.slice(0, 5) }).toEqual({ count: 0, first: [] })
})

it.runIf(serverLog)('has all that the server’s own log says it ran', async () => {
  const ran = ranBy(await readFile(serverLog ?? '', 'utf8'))
  expect(ran.size).toBeGreaterThan(runs)
  const lies = unrecorded(await warden.journal(), ran)
  expect({ count: lies.length, first: lies.slice(0, 5) }).toEqual({ count: 0, first: [] })
})

async function open(): Promise<WireClient> {
  return WireClient.logIn(warden.port, await warden.login('admin'))
}

/** The marks of the statements that a server's log has, and what stands before each. */
function ranBy(log: string): ReadonlyMap<string, string> {
  const marked = log.matchAll(/(?:statement|execute [^: ]*): (.*)(\/\*m\d+\*\/)/g)
  return new Map(Array.from(marked, ([, text = '', mark = '']) => [mark, text.trim()]))
}

/** Statements that the server ran and of which the journal says nothing, or that they were skipped. */
function unrecorded(journal: Records, ran: ReadonlyMap<string, string>): readonly string[] {
  const skipped = new Set(
    journal.filter((r) => r['result'] === 'skipped').map((r) => String(r['statement'])),
  )
  const mark = /\/\*m\d+\*\//
  const texts = journal
    .filter((r) => r['type'] === 'statement' && !skipped.has(String(r['id'])))
    .map((r) => String(r['text']))
  const recorded = new Set(texts.map((text) => mark.exec(text)?.[0]))
  // An EXECUTE of a name that only the server knows is recorded without its constants, and its comments.
  const bare = texts.filter((text) => /^EXECUTE \w+$/.test(text))
  return [...ran]
    .filter(([found, text]) => {
      if (recorded.has(found)) return false
      const at = bare.indexOf(text)
      if (at >= 0) bare.splice(at, 1)
      return at < 0
    })
    .map(([found, text]) => `not recorded: ${text} ${found}`)
}

/** Statements without an outcome, and ends of conversations whose outcome is not their own. */
function unfinished(journal: Records): readonly string[] {
  const outcomes = new Map(journal.map((r) => [String(r['statement']), r]))
  return journal
    .filter((r) => r['type'] === 'statement' && r['decision'] === 'allow')
    .filter((r) => {
      const outcome = outcomes.get(String(r['id']))
      if (outcome === undefined) return true
      const settled = String(r['text']).includes("'settled'")
      return settled && outcome['result'] !== 'unknown' && outcome['rows'] !== 1
    })
    .map(
      (r) =>
        `${String(r['id'])} ${String(r['text'])}: ${JSON.stringify(outcomes.get(String(r['id'])))}`,
    )
}

function describeDifference(
  seed: number,
  messages: readonly FrontendMessage[],
  mine: readonly string[],
  other: readonly string[],
): string {
  const at = mine.findIndex((line, index) => line !== other[index])
  const said = messages.map((message) => {
    const text = 'text' in message ? message.text.toString() : ''
    return JSON.stringify({ ...message, ...(text && { text }), data: undefined })
  })
  return [
    `seed ${seed}, answer ${at}`,
    ...said,
    '-- pgwarden:',
    ...mine,
    '-- direct:',
    ...other,
  ].join('\n')
}
