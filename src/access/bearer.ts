// The form of what opens a door for whoever has it: `<prefix>_<id>_<secret>`. The id is public and finds the
// record; the secret has 256 random bits, so that a fast hash is enough to know it by: there is nothing to
// guess. Ignorant of which door it is.

import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { randomId } from './id.ts'

/** pgw: an access token. pgk: an API key. */
export type BearerPrefix = 'pgw' | 'pgk'

// No quote, space, semicolon or brace, and far below what drivers and .pgpass lines truncate.
// Bounded repetitions only, so that a hostile 64 KiB password costs nothing to refuse.
const form = /^(pgw|pgk)_([a-z2-7]{16})_[A-Za-z0-9_-]{43}$/
const longest = 200

/** A new one, to be shown once. */
export function newBearer(prefix: BearerPrefix): { readonly id: string; readonly text: string } {
  const id = randomId()
  return { id, text: `${prefix}_${id}_${randomBytes(32).toString('base64url')}` }
}

/** The id in the text; undefined when it cannot be one of these at all. */
export function bearerId(prefix: BearerPrefix, text: string): string | undefined {
  const [, written, id] = text.length > longest ? [] : (form.exec(text) ?? [])
  return written === prefix ? id : undefined
}

/** SHA-256 over the whole text, so that neither half can be exchanged. */
export function hashBearer(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

/** What no text hashes to: to compare with where there is nothing, so that it takes as long. */
export const noHash = Buffer.alloc(32)

/** In constant time: how much of a guess was right must not be measurable. */
export function sameHash(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b)
}
