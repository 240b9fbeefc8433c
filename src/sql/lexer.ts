// PostgreSQL's lexical rules in JavaScript: where the tokens of a query string begin and end, in one pass
// over it. For what has to be said of every statement, whatever its length: libpg_query's own scanner
// needs time in proportion to tokens times length, and tells places in bytes. Reads as the server does
// with standard_conforming_strings on, which pgwarden pins. Ignorant of grammar: a keyword is a word.
// PostgreSQL: src/backend/parser/scan.l; documentation, chapter "Lexical Structure".

export type TokenKind =
  /** A string or bit string constant, with its prefix and with what continues it on further lines. */
  | 'string'
  | 'number'
  /** `$1`. */
  | 'parameter'
  /** An identifier or keyword without quotes. */
  | 'word'
  /** An identifier in double quotes, with its `U&`. */
  | 'quoted'
  | 'operator'
  /** What is no operator: `( ) [ ] , ; . .. : :: :=` and what has no meaning at all. */
  | 'punctuation'
  | 'comment'

/**
 * A place in a text that moves from token to token; white space is passed over. One object for all of
 * them, because a statement has dozens and is read for each of its executions.
 */
export class Lexer {
  readonly text: string
  kind: TokenKind = 'punctuation'
  /** In UTF-16 units, as JavaScript counts: the token is `text.slice(start, end)`. */
  start = 0
  end = 0
  /** False when the text ended in the middle of the token: a quote or a comment was left open. */
  complete = true

  /** Tokens that begin at or behind `from`, which must not be inside of one. */
  constructor(text: string, from = 0) {
    this.text = text
    this.end = from
  }

  /** Moves on by one token; false at the end of the text. */
  next(): boolean {
    const { text } = this
    let at = this.end
    while (classOf(text.charCodeAt(at)) === space) at++
    if (at >= text.length) return false
    this.start = at
    this.complete = true
    this.kind = this.#take(text.charCodeAt(at))
    return true
  }

  #take(code: number): TokenKind {
    const { text, start } = this
    const second = text.charCodeAt(start + 1)
    switch (classOf(code)) {
      case letter:
        return this.#word(code | 0x20, second)
      case digit:
        return this.#upTo('number', endOfNumber(text, start))
      case operator:
        if (code === dash && second === dash) return this.#upTo('comment', endOfLine(text, start))
        if (code === slash && second === star) {
          return this.#closed('comment', endOfComment(text, start))
        }
        return this.#upTo('operator', endOfOperator(text, start))
      default:
        return this.#other(code, second)
    }
  }

  #upTo(kind: TokenKind, end: number): TokenKind {
    this.end = end
    return kind
  }

  /** -1 for the end of something that has none. */
  #closed(kind: TokenKind, end: number): TokenKind {
    this.complete = end >= 0
    return this.#upTo(kind, end >= 0 ? end : this.text.length)
  }

  /** `first` as a lower-case letter, if it is one. */
  #word(first: number, second: number): TokenKind {
    const { text, start } = this
    if (second === quote) {
      if (first === 0x65 /* e */) return this.#string(start + 2, 'escaped')
      if (first === 0x6e /* n */) return this.#string(start + 2, 'doubled')
      if (first === 0x62 /* b */ || first === 0x78 /* x */) return this.#string(start + 2, 'plain')
    } else if (second === 0x26 /* & */ && first === 0x75 /* u */) {
      const third = text.charCodeAt(start + 2)
      if (third === quote) return this.#string(start + 3, 'doubled')
      if (third === doubleQuote) {
        return this.#closed('quoted', closing(text, start + 3, doubleQuote))
      }
    }
    return this.#upTo('word', endOfWord(text, start + 1))
  }

  #string(from: number, rule: QuoteRule): TokenKind {
    const { text } = this
    let end = endOfString(text, from, rule)
    while (end >= 0) {
      const further = continuation(text, end)
      if (further === undefined) break
      end = endOfString(text, further, rule)
    }
    return this.#closed('string', end)
  }

  #other(code: number, second: number): TokenKind {
    const { text, start } = this
    switch (code) {
      case quote:
        return this.#string(start + 1, 'doubled')
      case doubleQuote:
        return this.#closed('quoted', closing(text, start + 1, doubleQuote))
      case dollar:
        if (classOf(second) === digit) return this.#upTo('parameter', endOfDigits(text, start + 1))
        return this.#dollarQuoted()
      case colon:
        return this.#upTo('punctuation', start + (second === colon || second === equals ? 2 : 1))
      case dot:
        if (second === dot) return this.#upTo('punctuation', start + 2)
        if (classOf(second) === digit) return this.#upTo('number', endOfNumber(text, start))
    }
    return this.#upTo('punctuation', start + 1)
  }

  #dollarQuoted(): TokenKind {
    const { text, start } = this
    const opened = endOfDelimiter(text, start)
    if (opened === undefined) return this.#upTo('punctuation', start + 1)
    const closes = text.indexOf(text.slice(start, opened), opened)
    return this.#closed('string', closes < 0 ? -1 : closes + opened - start)
  }
}

/** Whether a quote is written twice, behind a backslash, or not at all (in bit strings). */
type QuoteRule = 'doubled' | 'escaped' | 'plain'

const quote = 0x27
const doubleQuote = 0x22
const dollar = 0x24
const dash = 0x2d
const slash = 0x2f
const star = 0x2a
const dot = 0x2e
const colon = 0x3a
const equals = 0x3d
const lineFeed = 0x0a
const carriageReturn = 0x0d

const other = 0
const space = 1
const letter = 2
const digit = 3
const operator = 4

const classes = Uint8Array.from({ length: 128 }, (_, code) => {
  const character = String.fromCharCode(code)
  if (' \t\n\r\f\v'.includes(character)) return space
  if (/[A-Za-z_]/.test(character)) return letter
  if (/\d/.test(character)) return digit
  return '~!@#^&|`?+-*/%<>='.includes(character) ? operator : other
})

/** Whatever is not ASCII may stand in an identifier. Behind the end of the text (NaN) there is nothing. */
function classOf(code: number): number {
  if (code < 0x80) return classes[code] ?? other
  return code >= 0x80 ? letter : other
}

function endOfWord(text: string, from: number): number {
  let at = from
  for (;;) {
    const code = text.charCodeAt(at)
    const kind = classOf(code)
    if (kind !== letter && kind !== digit && code !== dollar) return at
    at++
  }
}

function endOfDigits(text: string, from: number): number {
  let at = from
  while (classOf(text.charCodeAt(at)) === digit) at++
  return at
}

const decimal = /(?:\d(?:_?\d)*)?(?:\.(?!\.)(?:\d(?:_?\d)*)?)?(?:[eE][+-]?\d(?:_?\d)*)?/y
const based = /0(?:[xX](?:_?[\da-fA-F])+|[oO](?:_?[0-7])+|[bB](?:_?[01])+)/y

// `1..2` is a range of PL/pgSQL: two numbers and `..`.
function endOfNumber(text: string, start: number): number {
  const plain = endOfDigits(text, start)
  // Most are short and whole, and a regular expression costs as much as ten of their digits.
  if (plain > start && !continuesNumber(text.charCodeAt(plain))) return plain
  for (const form of [based, decimal]) {
    form.lastIndex = start
    if (form.test(text)) return form.lastIndex
  }
  return plain
}

function continuesNumber(code: number): boolean {
  return code === dot || classOf(code) === letter
}

/** Behind the closing quote, or -1. `from` is behind the opening one. */
function endOfString(text: string, from: number, rule: QuoteRule): number {
  if (rule === 'doubled') return closing(text, from, quote)
  if (rule === 'plain') return text.indexOf("'", from) + 1 || -1
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === 0x5c /* \ */) at++
    else if (code === quote) {
      if (text.charCodeAt(at + 1) !== quote) return at + 1
      at++
    }
  }
  return -1
}

function closing(text: string, from: number, mark: number): number {
  const character = mark === quote ? "'" : '"'
  let at = text.indexOf(character, from)
  while (at >= 0 && text.charCodeAt(at + 1) === mark) at = text.indexOf(character, at + 2)
  return at < 0 ? -1 : at + 1
}

/**
 * Two constants with a line's end between them are one; comments that end with their line may stand there
 * too. Behind the quote that opens the second, where there is one.
 */
function continuation(text: string, from: number): number | undefined {
  let at = from
  let newLine = false
  for (;;) {
    const code = text.charCodeAt(at)
    if (code === quote) return newLine ? at + 1 : undefined
    if (code === dash && text.charCodeAt(at + 1) === dash) at = endOfLine(text, at)
    else if (classOf(code) === space) {
      newLine ||= code === lineFeed || code === carriageReturn
      at++
    } else return undefined
  }
}

function endOfLine(text: string, from: number): number {
  let at = from
  while (at < text.length) {
    const code = text.charCodeAt(at)
    if (code === lineFeed || code === carriageReturn) break
    at++
  }
  return at
}

/** Comments nest. -1 when one is left open. */
function endOfComment(text: string, start: number): number {
  let depth = 1
  let at = start + 2
  for (; at < text.length && depth > 0; at++) {
    const code = text.charCodeAt(at)
    if (code === slash && text.charCodeAt(at + 1) === star) {
      depth++
      at++
    } else if (code === star && text.charCodeAt(at + 1) === slash) {
      depth--
      at++
    }
  }
  return depth > 0 ? -1 : at
}

/**
 * The longest run of operator characters, up to a comment; without the signs at its end where none of the
 * characters is one that only operators have: `a=-1` is `=` and a negative number.
 */
function endOfOperator(text: string, start: number): number {
  let end = start
  let unlikeSql = false
  for (; ; end++) {
    const code = text.charCodeAt(end)
    if (classOf(code) !== operator) break
    const next = text.charCodeAt(end + 1)
    if (end > start && (code === dash ? next === dash : code === slash && next === star)) break
  }
  for (let at = start; at < end; at++) unlikeSql ||= '~!@#^&|`?%'.includes(text.charAt(at))
  if (unlikeSql) return end
  while (end > start + 1 && (text[end - 1] === '-' || text[end - 1] === '+')) end--
  return end
}

/** Behind `$tag$`; undefined for a dollar sign that opens nothing. A tag has no dollar sign in it. */
function endOfDelimiter(text: string, start: number): number | undefined {
  let at = start + 1
  for (;;) {
    const code = text.charCodeAt(at)
    if (code === dollar) return at + 1
    const kind = classOf(code)
    if (kind !== letter && !(kind === digit && at > start + 1)) return undefined
    at++
  }
}
