// Names for grants, tokens and leases: random, short, and safe in a file name, an SQL identifier and
// a shell. Ignorant of what they name.

import { randomBytes } from 'node:crypto'

// 32 characters, so five random bits choose one without bias.
const alphabet = 'abcdefghijklmnopqrstuvwxyz234567'

const idLength = 16
const form = /^[a-z2-7]{16}$/

/** Lower-case letters and digits, five random bits each: 80 bits at the usual length. */
export function randomId(length: number = idLength): string {
  let id = ''
  for (const byte of randomBytes(length)) id += alphabet.charAt(byte & 31)
  return id
}

/** Whether this can be an id of the usual length. */
export function isId(text: string): boolean {
  return form.test(text)
}
