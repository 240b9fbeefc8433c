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

let current: LibPgQuery | undefined
let spare: LibPgQuery | undefined
let refilling = false

/** Loads the parser; nothing can be parsed before. A second call changes nothing. */
export async function loadParser(): Promise<void> {
  current ??= await createLibPgQuery()
  spare ??= await createLibPgQuery()
}

/** Never throws: what cannot be parsed, for whatever reason, is Unparsable. */
export function parse(text: string): Tree | Unparsable {
  const first = attempt(text)
  if (first.type === 'tree' || first.code !== 'syntax_error') return first
  // libpg_query hands comments to the grammar as tokens, which breaks legal SQL such as
  // `NOT /* c */ IN`. The server sees comments as white space, so that is what is tried next; bytes
  // keep their places.
  const blanked = blankComments(text)
  if (blanked === undefined) return first
  const second = attempt(blanked)
  return second.type === 'tree' ? second : first
}

function attempt(text: string): Tree | Unparsable {
  const instance = current
  if (instance === undefined) {
    refill()
    return tooComplex('the parser is being restarted, try again')
  }
  try {
    return parseWith(instance, text)
  } catch {
    discard()
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
  const instance = current
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
    discard()
    return []
  }
}

function write(instance: LibPgQuery, text: string): number {
  const size = instance.lengthBytesUTF8(text) + 1
  const pointer = instance._malloc(size)
  instance.stringToUTF8(text, pointer, size)
  return pointer
}

function discard(): void {
  current = spare
  spare = undefined
  refill()
}

function refill(): void {
  if (refilling) return
  refilling = true
  createLibPgQuery().then(
    (instance) => {
      refilling = false
      if (current === undefined) current = instance
      else spare = instance
      if (spare === undefined) refill()
    },
    // Out of memory, say. The next text that finds no parser tries again; until then all are denied.
    () => {
      refilling = false
    },
  )
}

function tooComplex(message: string): Unparsable {
  return { type: 'unparsable', code: 'statement_too_complex', message }
}
