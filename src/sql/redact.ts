// Finds in a query string what its parse tree says is a secret, and takes it out. What stands around it
// stays as written, byte for byte; but comments go where anything goes, since nobody knows what they say.
// Texts that could not be parsed lose everything from the first place where a secret could begin.
// Ignorant of what is a secret (secrets.ts, announce.ts).

import { mayTellSecret, mightTellSecret, tellsSecret } from './announce.ts'
import type { Range } from './facts.ts'
import { Lexer, type TokenKind } from './lexer.ts'
import type { Code, SecretPlace } from './secrets.ts'

/** What stands in the place of a secret. */
const redacted = "'[redacted]'"

/** A statement of the query string, and what its tree says. */
export interface Telling {
  /** In bytes. */
  readonly start: number
  readonly secrets: readonly SecretPlace[]
  readonly code: Code | undefined
}

/** A constant or comment of the text. */
interface Piece extends Range {
  readonly kind: 'constant' | 'comment'
  readonly statement: Telling | undefined
}

/** A text of a megabyte can hold a hundred thousand; more than these become one. */
const mostRanges = 1000

const none: readonly never[] = []

/** The secrets of a text that was parsed, in order. Hardly any text has one, and most cost one glance. */
export function secretsOf(text: string, statements: readonly Telling[]): readonly Range[] {
  if (!mayTellSecret(text) && statements.every(({ secrets }) => secrets.length === 0)) return none
  const { marked, pieces, complete } = search(text, statements)
  const entirely = new Set<Telling | undefined>(
    complete ? statements.filter(saysAnywhere) : statements,
  )
  const hidden = [...marked]
  for (const piece of pieces) {
    const content = text.slice(piece.start, piece.end)
    const code = piece.statement?.code
    if (piece.kind === 'comment') {
      if (tellsSecret(content)) hidden.push(insideOf(text, piece))
    } else if (code === undefined) {
      if (tellsSecret(content)) entirely.add(piece.statement)
    } else if (mayTellSecret(content)) hidden.push(...secretsOfCode(text, piece, code))
  }
  hidden.push(
    ...pieces.filter(({ kind, statement }) => kind === 'constant' && entirely.has(statement)),
  )
  if (hidden.length === 0) return none
  const comments = pieces.filter(({ kind }) => kind === 'comment')
  return inOrder([...hidden, ...comments.map((comment) => insideOf(text, comment))])
}

/** The text without its secrets. */
export function withoutSecrets(text: string, secrets: readonly Range[]): string {
  if (secrets.length === 0) return text
  let kept = ''
  let from = 0
  for (const { start, end } of secrets) {
    kept += text.slice(from, start) + redacted
    from = end
  }
  return kept + text.slice(from)
}

/** A quote of any kind, or what a password may follow without one: a word, or the beginning of a URL. */
const firstPlace =
  /['"$]|:\/\/|pass\w*|pwd\w*|\bidentified\s+by\b|\b(?:program|connection|authorization)\b|(?:secret|token|credential|_key|apikey|jwt|cookie|conninfo|dsn)\w*/i

/**
 * The same for a text that could not be parsed: where its quotes begin and end is nobody's knowledge, as
 * one too many turns inside out. What has no word in it that tells of a secret stays whole.
 */
export function withoutGuessed(text: string): string {
  if (!mightTellSecret(text)) return text
  const found = firstPlace.exec(text)
  if (found === null) return text
  const [first] = found
  const start = found.index + (/^[\w:]/.test(first) ? first.length : 0)
  return `${text.slice(0, start)}${start === found.index ? '' : ' '}${redacted}`
}

function saysAnywhere({ secrets }: Telling): boolean {
  return secrets.some(({ type }) => type === 'anywhere')
}

interface Search {
  /** What the tree marks as secret. */
  readonly marked: readonly Range[]
  /** All other constants, and the comments. */
  readonly pieces: readonly Piece[]
  /** False when a place that the tree names was not met: then nobody knows where it is. */
  readonly complete: boolean
}

/** What the next token has to be to be the secret. */
type Awaited =
  /** Any token, behind its sign. */
  | 'value'
  /** The next constant, or what stands behind an equals sign. */
  | 'option'
  /** A constant, or it is not one. */
  | 'constant'
  | undefined

function search(text: string, statements: readonly Telling[]): Search {
  const unit = unitsOf(text)
  const places = new Map(statements.flatMap(({ secrets }) => secrets.flatMap(awaits(unit))))
  const behind = new Map(statements.map((one) => [one, one.secrets.flatMap(wordBefore)[0]]))
  const marked: Range[] = []
  const pieces: Piece[] = []
  const lexer = new Lexer(text)
  let awaited: Awaited
  let met = 0
  let index = -1
  while (lexer.next()) {
    const { kind, start, end } = lexer
    while (unit(statements[index + 1]?.start ?? Infinity) <= start) index++
    const statement = statements[index]
    if (kind === 'comment') {
      pieces.push({ kind, start, end, statement })
      continue
    }
    const place = places.get(start)
    if (place !== undefined) met++
    awaited = place ?? awaited
    if (isAwaited(kind, awaited)) {
      marked.push({ start, end })
      awaited = undefined
    } else if (kind === 'string') pieces.push({ kind: 'constant', start, end, statement })
    else if (awaited === 'option' && kind === 'operator') awaited = 'value'
    else if (awaited === 'constant') awaited = undefined
    const word = statement === undefined ? undefined : behind.get(statement)
    if (kind === 'word' && word === text.slice(start, end).toLowerCase()) awaited = 'constant'
  }
  return { marked, pieces, complete: met === places.size }
}

function isAwaited(kind: TokenKind, awaited: Awaited): boolean {
  return kind === 'string' ? awaited !== undefined : awaited === 'value' && kind !== 'operator'
}

function awaits(
  unit: (byte: number) => number,
): (place: SecretPlace) => readonly (readonly [number, Awaited])[] {
  return (place) => {
    if (place.type === 'constant') return [[unit(place.at), 'value']]
    return place.type === 'option' ? [[unit(place.at), 'option']] : none
  }
}

function wordBefore(place: SecretPlace): readonly string[] {
  return place.type === 'behind' ? [place.word] : none
}

/** The parser counts bytes, JavaScript counts UTF-16 units; in an ASCII text they are the same. */
function unitsOf(text: string): (byte: number) => number {
  const bytes = Buffer.byteLength(text)
  if (bytes === text.length) return (byte) => byte
  const units = new Uint32Array(bytes + 1)
  let byte = 0
  for (let unit = 0; unit < text.length; unit++) {
    units[byte] = unit
    const code = text.charCodeAt(unit)
    // Half of a pair takes two of its four bytes.
    byte += code < 0x80 ? 1 : code < 0x800 || (code & 0xf800) === 0xd800 ? 2 : 3
  }
  units[byte] = text.length
  return (at) => units[at] ?? Infinity
}

/** What of a function's body or a DO block to take out: its constants, or all of it where in doubt. */
function secretsOfCode(text: string, { start, end }: Range, code: Code): readonly Range[] {
  const whole = [{ start, end }]
  const opened = text.indexOf('$', start + 1) + 1
  if (code === 'foreign' || text[start] !== '$') return whole
  const closed = end - (opened - start)
  const lexer = new Lexer(text.slice(0, closed), opened)
  const inner: Range[] = []
  while (lexer.next()) {
    const { kind, start: from, end: to } = lexer
    if (!lexer.complete) return whole
    if (kind === 'string') inner.push({ start: from, end: to })
    if (kind === 'comment') inner.push(insideOf(text, { start: from, end: to }))
    if (kind === 'quoted' && mayTellSecret(text.slice(from, to))) return whole
  }
  return inner
}

/** A comment stays one. */
function insideOf(text: string, { start, end }: Range): Range {
  const block = text.startsWith('/*', start)
  return { start: start + 2, end: block ? end - 2 : end }
}

function inOrder(ranges: readonly Range[]): readonly Range[] {
  const sorted = ranges.toSorted((one, other) => one.start - other.start || other.end - one.end)
  let reached = 0
  const kept = sorted.filter(({ start, end }) => {
    const apart = start >= reached
    if (apart) reached = end
    return apart
  })
  const [first] = kept
  return kept.length > mostRanges && first !== undefined
    ? [{ start: first.start, end: reached }]
    : kept
}
