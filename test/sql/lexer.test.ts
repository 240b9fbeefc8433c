// Our lexer against PostgreSQL's own, as libpg_query has it: the same tokens for every text that it can
// scan. LEXER_STRINGS makes it longer, LEXER_SEED another one.

import createLibPgQuery, { type LibPgQuery } from 'libpg-query/wasm/libpg-query.js'
import { beforeAll, expect, it } from 'vitest'
import { Lexer } from '../../src/sql/lexer.ts'
import { isNode, list } from '../../src/sql/tree.ts'
import { corpora } from '../support/corpora.ts'
import { seeded } from '../support/random-session.ts'
import { randomText } from '../support/random-text.ts'

const strings = Number(process.env['LEXER_STRINGS'] ?? 4_000)
const seed = Number(process.env['LEXER_SEED'] ?? 1)
/** libpg_query's scanner takes time in proportion to tokens times length. */
const longest = 600

let library: LibPgQuery

beforeAll(async () => {
  library = await createLibPgQuery()
})

it(`sees the tokens that PostgreSQL sees, in the corpora and ${strings} texts from seed ${seed}`, () => {
  const random = seeded(seed)
  const real = corpora().filter((text) => text.length < longest && !text.includes('\0'))
  const texts = [
    ...real.filter((_, index) => index % 5 === 0),
    ...Array.from({ length: strings }, () => randomText(random, real)),
  ]
  let compared = 0
  const differing = texts.filter((text) => {
    const theirs = scanned(text)
    if (theirs === undefined) return false
    compared++
    return JSON.stringify(ours(text)) !== JSON.stringify(theirs)
  })
  expect(differing.slice(0, 5)).toEqual([])
  expect(compared).toBeGreaterThan(strings / 3)
}, 60_000)

it.each([
  ["'a'\n  -- c\n'b'", ['string']],
  ["'a' 'b'", ['string', 'string']],
  ["E'a\\'b' x", ['string', 'word']],
  ["b'01''1'", ['string', 'string']],
  ["N'x'", ['string']],
  ['$é1$ $q$ $é1$', ['string']],
  ['U&"a""b"', ['quoted']],
  ['a=-1', ['word', 'operator', 'operator', 'number']],
  ['a@-1', ['word', 'operator', 'number']],
  ['1..2', ['number', 'punctuation', 'number']],
  ['/* /* */ ; */ 1', ['comment', 'number']],
  ['a$b$c $1', ['word', 'parameter']],
])('reads %s as it is', (text, kinds) => {
  const lexer = new Lexer(text)
  const seen: string[] = []
  while (lexer.next()) {
    seen.push(lexer.kind)
    expect(lexer.complete).toBe(true)
  }
  expect(seen).toEqual(kinds)
})

it.each(["'a", "E'a\\'", '"a', '/* /* */', '$q$ $Q$', "'a'\n'b"])(
  'says that %s does not end',
  (text) => {
    const lexer = new Lexer(`1 ${text}`)
    while (lexer.next()) expect(lexer.complete).toBe(lexer.kind === 'number')
    expect(lexer.end).toBe(text.length + 2)
  },
)

it.each([
  ['quotes', "'".repeat(500_001)],
  ['open comments', '/*'.repeat(500_000)],
  ['dollar quotes', '$a$ $b$ '.repeat(100_000)],
  ['constants that nearly go on', "'a' --\n".repeat(100_000)],
  ['digits', `1${'_1'.repeat(400_000)}_`],
  ['operators', '<-'.repeat(400_000)],
])('takes time in proportion to the length: %s', (_, text) => {
  const lexer = new Lexer(text)
  const began = process.cpuUsage().user
  while (lexer.next());
  expect(process.cpuUsage().user - began).toBeLessThan(1_000_000)
})

function ours(text: string): readonly (readonly [number, number])[] {
  const lexer = new Lexer(text)
  const tokens: (readonly [number, number])[] = []
  const bytes = (end: number): number => Buffer.byteLength(text.slice(0, end))
  while (lexer.next()) tokens.push([bytes(lexer.start), bytes(lexer.end)])
  return tokens
}

/** Constants that go on behind a comment are one to the server, and two to libpg_query. */
const goesOn = /'\s*--[^\n\r]*[\n\r]/

/** Undefined for what it cannot scan, and where it is known to differ from the server. */
function scanned(text: string): readonly (readonly [number, number])[] | undefined {
  const size = library.lengthBytesUTF8(text) + 1
  const input = library._malloc(size)
  library.stringToUTF8(text, input, size)
  const result = library._wasm_scan(input)
  const json = library.UTF8ToString(result)
  library._wasm_free_string(result)
  library._free(input)
  if (!json.startsWith('{') || goesOn.test(text)) return undefined
  const bytes = Buffer.from(text)
  const tokens: [number, number][] = []
  // Control characters of the text come unescaped, which is no JSON.
  const tree: unknown = JSON.parse(json.replace(/\p{Cc}/gu, ' '))
  for (const token of isNode(tree) ? list(tree, 'tokens') : []) {
    const { start = 0, end = 0 } = isNode(token) ? numbersOf(token) : {}
    const written = bytes.toString('utf8', start, end)
    const last = tokens.at(-1)
    const before = last === undefined ? '' : bytes.toString('utf8', ...last)
    // It makes two tokens of N'...'.
    if (/^n$/i.test(before) && last?.[1] === start && written.startsWith("'")) last[1] = end
    else tokens.push([start, end])
  }
  return tokens
}

function numbersOf(token: Readonly<Record<string, unknown>>): {
  readonly start?: number
  readonly end?: number
} {
  const { start, end } = token
  return {
    ...(typeof start === 'number' ? { start } : {}),
    ...(typeof end === 'number' ? { end } : {}),
  }
}
