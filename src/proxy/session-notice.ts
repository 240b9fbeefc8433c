// What pgwarden says to a session by itself, beside the server's answers, and how it says how long something
// lasts. Ignorant of when it is said.
// PostgreSQL documentation, "NoticeResponse", and "Error and Notice Message Fields".

import { encodeBackend } from '../wire/backend-encoder.ts'

export interface NoticeText {
  readonly message: string
  readonly detail: string
  readonly hint: string
}

/** A warning in the sense of its SQLSTATE, and no more than a NOTICE to whoever filters by severity. */
export function sessionNotice({ message, detail, hint }: NoticeText): Buffer {
  const fields = { S: 'NOTICE', V: 'NOTICE', C: '01000', M: message, D: detail, H: hint }
  return encodeBackend({ type: 'noticeResponse', fields })
}

/** Rounded down: nobody should count on more. */
export function inWords(ms: number): string {
  const seconds = Math.floor(ms / 1000)
  if (seconds < 120) return counted(seconds, 'second')
  const minutes = Math.floor(seconds / 60)
  return minutes < 120 ? counted(minutes, 'minute') : counted(Math.floor(minutes / 60), 'hour')
}

function counted(count: number, unit: string): string {
  return `${count} ${unit}${count === 1 ? '' : 's'}`
}
