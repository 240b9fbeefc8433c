// PostgreSQL's own parser (libpg_query compiled to WASM): query string -> raw parse tree.
// Ignorant of what a tree means. An instance that was left by an exception half-way (deep recursion
// overflows the stack of JavaScript, not of C) is never used again: its own stack pointer was not
// restored, and after some dozens of such texts every parse of every session would trap.
// The layout of the result structs is that of libpg_query's pg_query.h.

import createLibPgQuery, { type LibPgQuery } from 'libpg-query/wasm/libpg-query.js'
import type { Unparsable } from './facts.ts'
import { byKind, isNode, list, type Node, string } from './tree.ts'

/** One RawStmt of the text: offsets are bytes of its UTF-8 form. */
export interface RawStatement {
  readonly node: Node
  readonly start: number
  readonly end: number | undefined
}

export interface Tree {
  readonly type: 'tree'
  readonly statements: readonly RawStatement[]
}

/**
 * Instances of the parser for one kind of text, so that a text which breaks one is in nobody's way but
 * its like's.
 */
class Lane {
  #current: LibPgQuery | undefined
  #spare: LibPgQuery | undefined
  #refilling = false

  get instance(): LibPgQuery | undefined {
    if (this.#current === undefined) this.#refill()
    return this.#current
  }

  async load(): Promise<void> {
    this.#current ??= await createLibPgQuery()
    this.#spare ??= await createLibPgQuery()
  }

  /** The instance was left half-way and is not to be used again. */
  discard(): void {
    this.#current = this.#spare
    this.#spare = undefined
    this.#refill()
  }

  #refill(): void {
    if (this.#refilling) return
    this.#refilling = true
    createLibPgQuery().then(
      (instance) => {
        this.#refilling = false
        if (this.#current === undefined) this.#current = instance
        else this.#spare = instance
        if (this.#spare === undefined) this.#refill()
      },
      // Out of memory, say. The next text that finds no parser tries again; until then all are denied.
      () => {
        this.#refilling = false
      },
    )
  }
}

/**
 * In characters. The stack holds some 7,400 levels of nesting, and a level takes at least two
 * characters (`+1`): no text of this length can break its parser, and so none can deny everybody
 * theirs.
 */
const longestSafe = 6 * 1024

const safeTexts = new Lane()
const longTexts = new Lane()

function laneOf(text: string): Lane {
  return text.length > longestSafe ? longTexts : safeTexts
}

/** Loads the parser; nothing can be parsed before. A second call changes nothing. */
export async function loadParser(): Promise<void> {
  await safeTexts.load()
  await longTexts.load()
}

/**
 * In characters. libpg_query's scanner takes time in proportion to tokens times length: this many cost
 * some ten milliseconds, a megabyte a quarter of an hour in which nobody is served.
 */
const longestScanned = 4 * 1024

/**
 * libpg_query's lexer takes about a nanosecond for each comment and each character of the text: a
 * megabyte of empty comments, four minutes. This allows about a third of a second.
 */
const mostCommentWork = 300_000_000

/** Never throws: what cannot be parsed, for whatever reason, is Unparsable. */
export function parse(text: string): Tree | Unparsable {
  if (commentStarts(text) * text.length > mostCommentWork) {
    return tooComplex('statement has too many comments for its length')
  }
  const first = attempt(text)
  if (first.type === 'tree' || first.code !== 'syntax_error') return first
  if (text.length > longestScanned || !/--|\/\*/.test(text)) return first
  // libpg_query hands comments to the grammar as tokens, which breaks legal SQL such as
  // `NOT /* c */ IN`. The server sees comments as white space, so that is what is tried next; bytes
  // keep their places.
  const blanked = blankComments(text)
  if (blanked === undefined) return first
  const second = attempt(blanked)
  return second.type === 'tree' ? second : first
}

/** Also counts what stands in string constants, which does no harm but to very odd data. */
function commentStarts(text: string): number {
  let count = 0
  for (let at = text.indexOf('/*'); at >= 0; at = text.indexOf('/*', at + 2)) count++
  return count
}

function attempt(text: string): Tree | Unparsable {
  const answer = ask(text, parseWith)
  if (answer === undefined) return tooComplex('the parser is being restarted, try again')
  if (answer === 'trap') return tooComplex('statement is too deeply nested')
  if ('json' in answer) {
    const tree = parseJson(answer.json)
    if (tree !== undefined) return { type: 'tree', statements: rawStatements(tree) }
    return tooComplex('what the parser says of the statement cannot be read')
  }
  const { message, position } = answer
  if (message.startsWith('memory exhausted')) return tooComplex('statement is too deeply nested')
  return {
    type: 'unparsable',
    code: 'syntax_error',
    message,
    ...(position > 0 ? { position } : {}),
  }
}

/**
 * What an instance answers to a text; undefined when there is none just now. A trap costs the instance,
 * so only what the instance itself does may end here: a text that merely has an odd answer must not
 * leave its lane without parsers.
 */
function ask<Answer>(
  text: string,
  work: (instance: LibPgQuery, input: number) => Answer,
): Answer | 'trap' | undefined {
  const lane = laneOf(text)
  const { instance } = lane
  if (instance === undefined) return undefined
  try {
    const input = write(instance, text)
    const answer = work(instance, input)
    instance._free(input)
    return answer
  } catch {
    lane.discard()
    return 'trap'
  }
}

type ParseAnswer =
  | { readonly json: string }
  | { readonly message: string; readonly position: number }

function parseWith(instance: LibPgQuery, input: number): ParseAnswer {
  const result = instance._wasm_parse_query_raw(input)
  const error = instance.getValue(result + 8, 'i32')
  const answer =
    error === 0
      ? { json: instance.UTF8ToString(instance.getValue(result, 'i32')) }
      : {
          message: instance.UTF8ToString(instance.getValue(error, 'i32')),
          position: instance.getValue(error + 16, 'i32'),
        }
  instance._wasm_free_parse_result(result)
  return answer
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}

function rawStatements(tree: unknown): readonly RawStatement[] {
  if (!isNode(tree)) throw new TypeError('the parser returned no tree')
  return list(tree, 'stmts').map((raw) => {
    if (!isNode(raw) || !isNode(raw['stmt']))
      throw new TypeError('the parser returned no statement')
    const start = typeof raw['stmt_location'] === 'number' ? raw['stmt_location'] : 0
    const length = raw['stmt_len']
    const end = typeof length === 'number' ? start + length : undefined
    return { node: raw['stmt'], start, end }
  })
}

/** Each takes the scanner once more; legal SQL hardly ever has one. */
const mostContinuations = 16

/**
 * The text with every comment overwritten by spaces; undefined when there is none, or none that can be.
 * A comment between two string constants makes them one for the server (`E'a' --c` and, on the next
 * line, `'b'`), and an escaping one at that; not so for libpg_query's scanner, which would then see
 * comments and statements inside of what is a constant. So there it begins again, at the first of the
 * two, with the comment gone: what lies before a place is always read as the server reads it.
 * PostgreSQL: scan.l, quotecontinue.
 */
function blankComments(text: string): string | undefined {
  const bytes = Buffer.from(text)
  let found = false
  let from: number | undefined = 0
  for (let scans = 0; from !== undefined; scans++) {
    if (scans > mostContinuations) return undefined
    const tokens = scan(bytes.toString('utf8', from), from)
    if (tokens === undefined) return undefined
    const blanked = blankUntilContinuation(bytes, tokens)
    if (blanked === undefined) return undefined
    found ||= blanked.found
    from = blanked.continues
  }
  return found ? bytes.toString() : undefined
}

interface Token {
  readonly comment: 'line' | 'block' | undefined
  /** Bytes of the whole text. */
  readonly start: number
  readonly end: number
}

/**
 * Blanks comments up to where a constant turns out to go on behind one; `continues` is where that
 * constant begins. Undefined for two constants with a C comment between, which are not one.
 */
function blankUntilContinuation(
  bytes: Buffer,
  tokens: readonly Token[],
): { readonly found: boolean; readonly continues: number | undefined } | undefined {
  let found = false
  let before: Token | undefined
  let between: Token[] = []
  for (const token of tokens) {
    if (token.comment !== undefined) {
      found = true
      between.push(token)
      blank(bytes, token)
      continue
    }
    const constants =
      before !== undefined && bytes[before.end - 1] === quote && bytes[token.start] === quote
    if (constants && between.length > 0) {
      if (between.some(({ comment }) => comment === 'block')) return undefined
      return { found, continues: before?.start }
    }
    before = token
    between = []
  }
  return { found, continues: undefined }
}

const quote = 0x27

// Line ends stay: a string constant may continue on the next line, and only there.
function blank(bytes: Buffer, { start, end }: Token): void {
  for (let at = start; at < end; at++) {
    if (bytes[at] !== 0x0a && bytes[at] !== 0x0d) bytes[at] = 0x20
  }
}

/** The tokens of a piece of the text that begins `offset` bytes into it. */
function scan(text: string, offset: number): readonly Token[] | undefined {
  const json = ask(text, (instance, input) => {
    const result = instance._wasm_scan(input)
    const answer = instance.UTF8ToString(result)
    instance._wasm_free_string(result)
    return answer
  })
  // Control characters of the text come unescaped, which is no JSON. The tokens' texts are not needed.
  const scanned = json === undefined ? undefined : parseJson(json.replace(/\p{Cc}/gu, ' '))
  if (!isNode(scanned)) return undefined
  return list(scanned, 'tokens').flatMap((token): readonly Token[] => {
    if (!isNode(token) || typeof token['end'] !== 'number') return []
    const start = typeof token['start'] === 'number' ? token['start'] : 0
    const comment = commentKinds.get(string(token, 'tokenName') ?? '')
    return [{ comment, start: start + offset, end: token['end'] + offset }]
  })
}

const commentKinds = byKind<'line' | 'block'>({ SQL_COMMENT: 'line', C_COMMENT: 'block' })

function write(instance: LibPgQuery, text: string): number {
  const size = instance.lengthBytesUTF8(text) + 1
  const pointer = instance._malloc(size)
  instance.stringToUTF8(text, pointer, size)
  return pointer
}

function tooComplex(message: string): Unparsable {
  return { type: 'unparsable', code: 'statement_too_complex', message }
}
