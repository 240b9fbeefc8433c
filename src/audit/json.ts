// Text as it stands in a record: JSON that is valid UTF-8 whatever the client sent, and that cannot
// play tricks on the terminal of whoever reads it. Long text is cut, with the means to prove what the
// whole was. Ignorant of record types.

import { hash } from 'node:crypto'

/** Bytes of UTF-8 that a record keeps of a statement's text. */
export const textLimit = 1024 * 1024

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

/** `"text":...`, and where the text was cut also its whole length and SHA-256. */
export function textFields(text: string, limit: number = textLimit): string {
  const kept = `"text":${quote(clip(text, limit))}`
  if (fits(text, limit)) return kept
  return `${kept},"textBytes":${Buffer.byteLength(text)},"textSha256":"${hash('sha256', text, 'hex')}"`
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
