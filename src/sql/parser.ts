// PostgreSQL's own parser (libpg_query compiled to WASM): query string -> raw parse tree.
// Ignorant of what a tree means. An instance that was left by an exception half-way (deep recursion
// overflows the stack of JavaScript, not of C) is never used again: its own stack pointer was not
// restored, and after some dozens of such texts every parse of every session would trap.
// The layout of the result structs is that of libpg_query's pg_query.h.

import createLibPgQuery, { type LibPgQuery } from 'libpg-query/wasm/libpg-query.js'
import type { Unparsable } from './facts.ts'
import { isNode, list, type Node } from './tree.ts'

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
  const lane = laneOf(text)
  const { instance } = lane
  if (instance === undefined) return tooComplex('the parser is being restarted, try again')
  try {
    return parseWith(instance, text)
  } catch {
    lane.discard()
    return tooComplex('statement is too deeply nested')
  }
}

function parseWith(instance: LibPgQuery, text: string): Tree | Unparsable {
  const input = write(instance, text)
  const result = instance._wasm_parse_query_raw(input)
  const tree = instance.getValue(result, 'i32')
  const error = instance.getValue(result + 8, 'i32')
  const message = error === 0 ? undefined : instance.UTF8ToString(instance.getValue(error, 'i32'))
  const position = error === 0 ? 0 : instance.getValue(error + 16, 'i32')
  const json = message === undefined ? instance.UTF8ToString(tree) : ''
  instance._wasm_free_parse_result(result)
  instance._free(input)
  if (message !== undefined) {
    if (message.startsWith('memory exhausted')) return tooComplex('statement is too deeply nested')
    const place = position > 0 ? { position } : {}
    return { type: 'unparsable', code: 'syntax_error', message, ...place }
  }
  return { type: 'tree', statements: rawStatements(JSON.parse(json)) }
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

/** The text with every comment overwritten by spaces; undefined when there is none to overwrite. */
function blankComments(text: string): string | undefined {
  const bytes = Buffer.from(text)
  let found = false
  for (const token of scan(text)) {
    if (!isNode(token)) continue
    const { tokenName, start, end } = token
    if (tokenName !== 'SQL_COMMENT' && tokenName !== 'C_COMMENT') continue
    if (typeof end !== 'number') continue
    found = true
    for (let at = typeof start === 'number' ? start : 0; at < end; at++) {
      // Line ends stay: a string constant may continue on the next line, and only there.
      if (bytes[at] !== 0x0a && bytes[at] !== 0x0d) bytes[at] = 0x20
    }
  }
  return found ? bytes.toString() : undefined
}

function scan(text: string): readonly unknown[] {
  const lane = laneOf(text)
  const { instance } = lane
  if (instance === undefined) return []
  try {
    const input = write(instance, text)
    const result = instance._wasm_scan(input)
    const json = instance.UTF8ToString(result)
    instance._wasm_free_string(result)
    instance._free(input)
    if (!json.startsWith('{')) return []
    const scanned: unknown = JSON.parse(json)
    return isNode(scanned) ? list(scanned, 'tokens') : []
  } catch {
    lane.discard()
    return []
  }
}

function write(instance: LibPgQuery, text: string): number {
  const size = instance.lengthBytesUTF8(text) + 1
  const pointer = instance._malloc(size)
  instance.stringToUTF8(text, pointer, size)
  return pointer
}

function tooComplex(message: string): Unparsable {
  return { type: 'unparsable', code: 'statement_too_complex', message }
}
