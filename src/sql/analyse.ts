// Query string -> facts. Size and encoding are checked before the parser sees the text, then one walk
// per statement collects everything (walk.ts). Ignorant of roles and rules.

import { heaviest, tagOf } from './commands.ts'
import type { Analysis, Range, Statement, Unparsable } from './facts.ts'
import { parse, type RawStatement } from './parser.ts'
import { secretsOf } from './redact.ts'
import { areInParameters } from './secrets.ts'
import { child, type Node, string } from './tree.ts'
import { type Findings, walk } from './walk.ts'

export { loadParser } from './parser.ts'

export interface Limits {
  /** Longest text that is parsed, in bytes of UTF-8. */
  readonly maxBytes: number
}

/**
 * Of one query string. The facts of a statement take a hundred times the memory of its text, and a megabyte
 * holds a quarter of a million statements.
 */
const mostStatements = 10_000

/** Never throws. `loadParser` must have been awaited once in the process. */
export function analyse(text: string, limits: Limits): Analysis {
  const bytes = Buffer.byteLength(text)
  if (bytes > limits.maxBytes) return tooLarge(bytes, limits)
  // The parser would stop reading at a NUL and call the rest harmless.
  if (text.includes('\0')) return unparsable('invalid_text', 'null character not permitted')
  if (/\p{Surrogate}/u.test(text)) return unparsable('invalid_text', 'text is not valid Unicode')
  const tree = parse(text)
  if (tree.type === 'unparsable') return tree
  if (tree.statements.length > mostStatements) {
    return unparsable(
      'statement_too_large',
      `query string of ${tree.statements.length} statements is longer than the limit of ${mostStatements}`,
    )
  }
  const walked = tree.statements.map((raw) => ({ ...raw, found: walk(raw.node) }))
  const secrets = secretsOf(
    text,
    walked.map(({ start, found }) => ({ start, ...found })),
  )
  const pieceOf = slicer(text, bytes)
  return {
    type: 'parsed',
    statements: walked.map((raw) => describe(raw.node, raw.found, pieceOf(raw), secrets)),
    secrets,
  }
}

/** The analysis of a text that is over the limit, for whoever did not even keep it. */
export function tooLarge(bytes: number, limits: Limits): Unparsable {
  const message = `statement of ${bytes} bytes is longer than the limit of ${limits.maxBytes} bytes`
  return unparsable('statement_too_large', message)
}

/** `secrets` are those of the query string. */
function describe(
  wrapper: Node,
  found: Findings,
  piece: Piece,
  secrets: readonly Range[],
): Statement {
  return {
    tag: tagOf(found.actions[0]?.command ?? 'UNKNOWN'),
    class: heaviest(found.actions.map((action) => action.class)),
    actions: found.actions,
    functions: [...found.functions.values()],
    settings: found.settings,
    relations: [...found.relations.values()],
    operators: [...found.operators.values()],
    types: [...found.types.values()],
    copies: found.copies,
    prepares: prepares(wrapper, piece, secrets),
    executes: found.executes,
    deallocates: deallocates(wrapper),
    declares: declares(wrapper, piece, secrets),
    closes: closes(wrapper),
    fetches: string(child(wrapper, 'FetchStmt') ?? {}, 'portalname'),
    opaque: found.opaque,
    secretParameters: areInParameters(found.secrets),
    text: piece.text,
    secrets: within(piece, secrets),
  }
}

function prepares(wrapper: Node, piece: Piece, secrets: readonly Range[]): Statement['prepares'] {
  const prepare = child(wrapper, 'PrepareStmt') ?? {}
  const query = child(prepare, 'query')
  if (query === undefined) return undefined
  const statement = describe(query, walk(query), ownCopy(piece), secrets)
  return { name: string(prepare, 'name') ?? '', statement }
}

/** A name outlives the query string that made it, and a piece of a string keeps all of it in memory. */
function ownCopy({ text, start }: Piece): Piece {
  return { text: Buffer.from(text).toString(), start }
}

/** CURSOR_OPT_HOLD of parsenodes.h. */
const withHold = 0x0020

function declares(wrapper: Node, piece: Piece, secrets: readonly Range[]): Statement['declares'] {
  const declare = child(wrapper, 'DeclareCursorStmt') ?? {}
  const query = child(declare, 'query')
  if (query === undefined) return undefined
  const options = typeof declare['options'] === 'number' ? declare['options'] : 0
  return {
    name: string(declare, 'portalname') ?? '',
    hold: (options & withHold) !== 0,
    statement: describe(query, walk(query), ownCopy(piece), secrets),
  }
}

function closes(wrapper: Node): string | undefined {
  const close = child(wrapper, 'ClosePortalStmt')
  if (close !== undefined) return string(close, 'portalname') ?? '*'
  return discardsAll(wrapper) ? '*' : undefined
}

function deallocates(wrapper: Node): string | undefined {
  const deallocate = child(wrapper, 'DeallocateStmt')
  if (deallocate !== undefined) return string(deallocate, 'name') ?? '*'
  return discardsAll(wrapper) ? '*' : undefined
}

function discardsAll(wrapper: Node): boolean {
  return string(child(wrapper, 'DiscardStmt') ?? {}, 'target') === 'DISCARD_ALL'
}

/** A statement's own text, and where it begins in the query string, in UTF-16 units. */
interface Piece {
  readonly text: string
  readonly start: number
}

// The parser counts bytes, JavaScript counts UTF-16 units; in an ASCII text they are the same. Statements
// are asked for in their order.
function slicer(text: string, bytes: number): (raw: RawStatement) => Piece {
  if (bytes === text.length) {
    return (raw) => trimmed(text.slice(raw.start, raw.end), raw.start)
  }
  const encoded = Buffer.from(text)
  let byte = 0
  let unit = 0
  return (raw) => {
    unit += encoded.toString('utf8', byte, raw.start).length
    byte = raw.start
    return trimmed(encoded.toString('utf8', raw.start, raw.end), unit)
  }
}

function trimmed(text: string, start: number): Piece {
  return { text: text.trim(), start: start + text.length - text.trimStart().length }
}

function within({ text, start }: Piece, secrets: readonly Range[]): readonly Range[] {
  if (secrets.length === 0) return secrets
  const end = start + text.length
  return secrets
    .filter((range) => range.start < end && range.end > start)
    .map((range) => ({
      start: Math.max(range.start - start, 0),
      end: Math.min(range.end, end) - start,
    }))
}

function unparsable(code: Unparsable['code'], message: string): Unparsable {
  return { type: 'unparsable', code, message }
}
