// What is the same for all texts of one shape: a query string without its constants and comments. Once
// for people, as pg_stat_statements writes it, and once as a number. Both are made of nothing that could
// be a constant, so that neither can give one away. Ignorant of grammar, and of what is a secret.
// PostgreSQL: contrib/pg_stat_statements, generate_normalized_query.

import { hash } from 'node:crypto'
import { Lexer } from './lexer.ts'

/**
 * The text with `$n` in the place of each string, bit string and number, counted from behind the highest
 * parameter that it uses; comments and white space shrink to a blank, all else stays as written.
 */
export function normalized(text: string): string {
  const lexer = new Lexer(text)
  const pieces: { readonly before: string; readonly token: string | undefined }[] = []
  let highest = 0
  let from = 0
  let apart = false
  while (lexer.next()) {
    const { kind, start, end } = lexer
    apart ||= start > from
    from = end
    if (kind === 'comment') {
      apart = true
      continue
    }
    const constant = kind === 'string' || kind === 'number'
    const token = constant ? undefined : text.slice(start, end)
    if (kind === 'parameter') highest = Math.max(highest, Number(text.slice(start + 1, end)))
    pieces.push({ before: apart && pieces.length > 0 ? ' ' : '', token })
    apart = false
  }
  return numbered(pieces, highest)
}

function numbered(
  pieces: readonly { readonly before: string; readonly token: string | undefined }[],
  highest: number,
): string {
  let result = ''
  let number = highest
  let last = ''
  for (const { before, token = `$${++number}` } of pieces) {
    // `SELECT'a'` is two tokens, `SELECT$1` is one.
    const joins = before === '' && wordLike.test(last) && wordLike.test(token.charAt(0))
    result += (joins ? ' ' : before) + token
    last = token.slice(-1)
  }
  return result
}

const wordLike = /[\w$\u0080-\uffff]/

/**
 * 16 hexadecimal digits, the same for texts that differ in constants, parameters, the number of constants
 * in a list, comments, white space and the case of words.
 */
export function fingerprint(text: string): string {
  const lexer = new Lexer(text)
  const outline: string[] = []
  while (lexer.next()) {
    const { kind, start, end } = lexer
    switch (kind) {
      case 'comment':
        break
      case 'string':
      case 'number':
      case 'parameter':
        addConstant(outline)
        break
      case 'word':
        outline.push(text.slice(start, end).toLowerCase())
        break
      case 'punctuation':
        addPunctuation(outline, text.slice(start, end))
        break
      case 'quoted':
      case 'operator':
        outline.push(text.slice(start, end))
    }
  }
  while (outline.at(-1) === ';') outline.pop()
  return hash('sha256', outline.join(' '), 'hex').slice(0, 16)
}

/** Not `?`, which is an operator of PostgreSQL: no text has this character in it. */
const constant = '\0'

/** `1, -2, 3` is one, so that an IN of three values has the shape of an IN of four. */
function addConstant(outline: string[]): void {
  const sign = outline[outline.length - 1]
  if ((sign === '-' || sign === '+') && /[(,]/.test(outline[outline.length - 2] ?? ''))
    outline.pop()
  if (outline[outline.length - 1] === ',' && outline[outline.length - 2] === constant) outline.pop()
  else outline.push(constant)
}

/** And `(1, 2), (3, 4)` is one row. */
function addPunctuation(outline: string[], token: string): void {
  const isRow = (from: number): boolean =>
    outline.at(from) === '(' && outline.at(from + 1) === constant
  const again = token === ')' && isRow(-2) && outline.at(-3) === ',' && outline.at(-4) === ')'
  if (again && isRow(-6)) outline.length -= 3
  else outline.push(token)
}
