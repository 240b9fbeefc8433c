// Where statements end, told by PostgreSQL's own lexer and by ours: whatever the text, we never see
// fewer statements than the server would run. What we cannot read is refused, so reading less is no
// danger; reading one harmless statement where the server reads two is the end of every policy.
// LEXER_STRINGS makes it longer, LEXER_SEED another one.

import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, inject, it } from 'vitest'
import { analyse, loadParser } from '../../src/sql/analyse.ts'
import type { BackendMessage } from '../../src/wire/backend.ts'
import { corpora } from '../support/corpora.ts'
import { seeded } from '../support/random-session.ts'
import { randomText } from '../support/random-text.ts'
import { bind, parse, sql, sync } from '../support/scripted-session.ts'
import { sessionAt } from '../support/upstream.ts'
import { WireClient } from '../support/wire-client.ts'

const strings = Number(process.env['LEXER_STRINGS'] ?? 10_000)
const seed = Number(process.env['LEXER_SEED'] ?? 1)
/** In flight at once. */
const batchSize = 500
const limits = { maxBytes: 1024 * 1024 }

/** How many statements a text is; `many` are two or more. */
type Reading = 'rejected' | 'none' | 'one' | 'many'

const inOrder: readonly Reading[] = ['none', 'one', 'many']

let wire: WireClient
let texts: readonly string[]
let theirs: readonly Reading[]
let ours: readonly Reading[]
/** Texts that we could not read because another had broken the parser. */
const unread: string[] = []

beforeAll(async () => {
  await loadParser()
  const random = seeded(seed)
  const real = corpora().filter((text) => text.length < 2000 && !text.includes('\0'))
  texts = Array.from({ length: strings }, () => randomText(random, real))
  wire = await abortedTransaction()
  theirs = await readByServer(texts)
  ours = await readByUs()
}, 600_000)
afterAll(() => wire.close())

it(`never sees fewer statements than the server, in ${strings} texts from seed ${seed}`, () => {
  console.log(JSON.stringify(tally()))
  expect(misread(ours)).toEqual([])
  // Texts that are all of one kind would prove nothing.
  for (const reading of ['rejected', ...inOrder] as const) {
    expect(theirs.filter((one) => one === reading).length).toBeGreaterThan(strings * 0.01)
  }
})

it('is never left without a parser by a text that is short', () => {
  expect(unread.slice(0, 3)).toEqual([])
})

it.each([
  { what: 'takes quotes as standard SQL has them', read: splitAtSemicolons(/'(''|[^'])*'/g) },
  {
    what: 'knows escapes, but no dollar quotes',
    read: splitAtSemicolons(/\/\*.*?\*\/|--[^\n]*|[eE]'(\\.|''|[^'])*'|'(''|[^'])*'|"[^"]*"/gs),
  },
])('would notice a lexer that $what', ({ read }) => {
  expect(misread(texts.map(read)).length).toBeGreaterThan(0)
})

/** The texts of which the server makes more statements. */
function misread(readings: readonly Reading[]): readonly string[] {
  return texts.filter((_, index) => {
    const [reading, their] = [readings[index] ?? 'none', theirs[index] ?? 'many']
    if (reading === 'rejected' || their === 'rejected') return false
    return inOrder.indexOf(reading) < inOrder.indexOf(their)
  })
}

/** How often we said this and the server said that. */
function tally(): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {}
  ours.forEach((our, index) => {
    const pair = `${our}, server ${theirs[index]}`
    counts[pair] = (counts[pair] ?? 0) + 1
  })
  return counts
}

async function readByUs(): Promise<readonly Reading[]> {
  const readings: Reading[] = []
  for (const text of texts) {
    let analysis = analyse(text, limits)
    if (analysis.type === 'unparsable' && analysis.code === 'statement_too_complex') {
      unread.push(text)
      await sleep(100)
      analysis = analyse(text, limits)
    }
    readings.push(analysis.type === 'parsed' ? counted(analysis.statements.length) : 'rejected')
  }
  return readings
}

/** What many a home-made checker does: blanks what it takes for constants and counts semicolons. */
function splitAtSemicolons(constants: RegExp): (text: string) => Reading {
  return (text) => {
    const statements = text.replace(constants, ' ').split(';')
    return counted(statements.filter((statement) => statement.trim() !== '').length)
  }
}

function counted(statements: number): Reading {
  return inOrder[Math.min(statements, 2)] ?? 'many'
}

/**
 * In an aborted transaction the server parses a text and then refuses to have anything to do with it:
 * nothing is looked up, nothing runs, and the error says how far it got.
 */
async function abortedTransaction(): Promise<WireClient> {
  const url = inject('adminUrl')
  const socket = await sessionAt(url, new URL(url).pathname.slice(1), {
    standard_conforming_strings: 'on',
    client_min_messages: 'error',
  })
  const client = WireClient.over(socket)
  for (const text of ['BEGIN', 'SELECT 1/0']) {
    client.says(sql(text))
    await client.hears('readyForQuery')
  }
  return client
}

async function readByServer(all: readonly string[]): Promise<readonly Reading[]> {
  const readings: Reading[] = []
  for (let at = 0; at < all.length; at += batchSize) {
    const batch = all.slice(at, at + batchSize)
    wire.says(...batch.flatMap((text) => [parse(text), bind(), sync]))
    for (const text of batch) readings.push(readingOf(text, await wire.hears('readyForQuery')))
  }
  return readings
}

function readingOf(text: string, answers: readonly BackendMessage[]): Reading {
  const [error] = answers.flatMap((one) => (one.type === 'errorResponse' ? [one.fields] : []))
  const parsed = answers.some(({ type }) => type === 'parseComplete')
  // COMMIT and ROLLBACK are welcome in an aborted transaction, as is nothing at all until it is bound.
  if (error === undefined) return 'one'
  if (error['C'] === '25P02') return parsed ? 'none' : 'one'
  if (parsed) throw new Error(`${JSON.stringify(text)}: ${JSON.stringify(error)}`)
  return error['M']?.startsWith('cannot insert multiple commands') === true ? 'many' : 'rejected'
}
