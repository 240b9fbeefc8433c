// Text as it stands in a record: JSON that is valid UTF-8 whatever the client sent, and that cannot
// play tricks on the terminal of whoever reads it. Long text is cut, with the means to prove what the
// whole was. Ignorant of record types.

import { hash } from 'node:crypto'
import type { OverflowText } from './storage.ts'

const loneSurrogate = /\p{Surrogate}/gu

// JSON leaves these as they are. A terminal acts on C1 controls, and bidirectional and zero-width
// marks show an auditor another text than the one that ran.
const unseen = /[\p{Cc}\p{Cf}\u2028\u2029]/gu

/** A JSON string, quotes included. Half a surrogate pair becomes U+FFFD. */
export function quote(text: string): string {
  return JSON.stringify(text.replace(loneSurrogate, '\ufffd')).replace(unseen, escaped)
}

/** The same for any value: JSON, a line of it, that plays no tricks either. */
export function jsonLine(value: object): string {
  return JSON.stringify(value).replace(unseen, escaped)
}

/** The start of `text`, at most `limit` bytes of UTF-8 and never half a character. */
export function clip(text: string, limit: number): string {
  if (fits(text, limit)) return text
  const bytes = Buffer.from(text)
  let end = limit
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1
  return bytes.toString('utf8', 0, end)
}

/**
 * The start of `text` as a JSON string with at most `limit` bytes between its quotes: one character can
 * become twelve, and a bound on what goes in is none on what comes out.
 */
export function quoteWithin(text: string, limit: number): string {
  return fitted(text, limit).quoted
}

/** The same, and whether it is all of the text. */
export function fitted(
  text: string,
  limit: number,
): { readonly quoted: string; readonly whole: boolean } {
  // Most need no counting.
  if (text.length * 6 <= limit) return { quoted: quote(text), whole: true }
  let kept = clip(text.slice(0, limit), limit)
  let quoted = quote(kept)
  for (let bytes = inside(quoted); bytes > limit; bytes = inside(quoted)) {
    kept = clip(kept, Math.floor((Buffer.byteLength(kept) * limit) / bytes))
    quoted = quote(kept)
  }
  return { quoted, whole: kept.length === text.length }
}

/** A text as a record has it. */
export interface TextFields {
  /** `"text":...`, and where it was cut also its whole length and SHA-256. */
  readonly fields: string
  /** The whole of a text that was cut. */
  readonly overflow: OverflowText | undefined
}

export function textFields(text: string, limit: number): TextFields {
  const { quoted, whole } = fitted(text, limit)
  if (whole) return { fields: `"text":${quoted}`, overflow: undefined }
  const sha256 = hash('sha256', text, 'hex')
  return {
    fields: `"text":${quoted},"textBytes":${Buffer.byteLength(text)},"textSha256":"${sha256}"`,
    overflow: { text, sha256 },
  }
}

/** `"name":["...",...]` of as many of `list` as fit, and `"countName"` how many there are when some do not. */
export function listField(
  name: string,
  countName: string,
  list: readonly string[],
  { items, bytes }: ListLimits,
): string {
  const kept = fitting(
    list.slice(0, items).map((item) => quoteWithin(item, nameLimit)),
    bytes,
  )
  const count = kept.length < list.length ? `,"${countName}":${list.length}` : ''
  return `"${name}":[${kept.join(',')}]${count}`
}

export interface ListLimits {
  readonly items: number
  /** Of all of it in a record. */
  readonly bytes: number
}

/** As many of the pieces, from the first on, as have room with a comma each. */
export function fitting(pieces: readonly string[], bytes: number): readonly string[] {
  let left = bytes
  const end = pieces.findIndex((piece) => {
    left -= Buffer.byteLength(piece) + 1
    return left < 0
  })
  return end < 0 ? pieces : pieces.slice(0, end)
}

/** Of a name, in bytes as quoted: those that are checked are shorter, and a stranger may claim any. */
export const nameLimit = 256

/** `"name":"..."` */
export function nameField(name: string, value: string, limit = nameLimit): string {
  return `"${name}":${quoteWithin(value, limit)}`
}

/** Bytes between the quotes. */
function inside(quoted: string): number {
  return Buffer.byteLength(quoted) - 2
}

function fits(text: string, limit: number): boolean {
  return text.length * 3 <= limit || Buffer.byteLength(text) <= limit
}

function escaped(character: string): string {
  let units = ''
  for (let i = 0; i < character.length; i += 1) {
    units += `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`
  }
  return units
}

/** Microseconds are as fine as anybody can measure here. */
export function milliseconds(duration: number): number {
  return Math.round(duration * 1000) / 1000
}
