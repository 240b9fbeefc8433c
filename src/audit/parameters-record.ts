// The values that came beside a statement's text, as its record has them. Ignorant of messages and of
// types: whoever decodes them says what they are.

import { fitted, fitting } from './json.ts'

/** A value beside a text. */
export interface Parameter {
  /** The OID of its type; undefined where nobody has said. */
  readonly type: number | undefined
  /** Its text, or the beginning of it; null is SQL's. */
  readonly value: string | null
  /** The length of all of it, in bytes as it came. */
  readonly bytes: number
  /** `value` is not all of it. */
  readonly cut: boolean
}

/** `unread`: the message was too large to be looked into. */
export type Parameters = { readonly count: number; readonly first: readonly Parameter[] } | 'unread'

/** More of them than this nobody decodes: a record does not hold them. */
export const mostParameters = 64
/** Of a value, in bytes as quoted. */
export const valueLimit = 256
/** Of all of them. */
const allLimit = 8 * 1024

/**
 * Behind a statement record. Nothing of them is shown beside a text with a secret in it: PREPARE and DO
 * take none, but a function does, and which of them is the secret no tree tells.
 */
export function parametersField(parameters: Parameters | undefined, secret: boolean): string {
  if (parameters === undefined) return ''
  if (parameters === 'unread') return ',"parameters":"unread"'
  const { count, first } = parameters
  if (count === 0) return ',"parameters":[]'
  if (secret) return `,"parameters":"redacted","parameterCount":${count}`
  const kept = fitting(first.slice(0, mostParameters).map(describe), allLimit)
  const all = kept.length < count ? `,"parameterCount":${count}` : ''
  return `,"parameters":[${kept.join(',')}]${all}`
}

function describe({ type, value, bytes, cut }: Parameter): string {
  const typed = type === undefined ? '' : `"type":${type},`
  if (value === null) return `{${typed}"value":null}`
  const { quoted, whole } = fitted(value, valueLimit)
  return `{${typed}"value":${quoted}${whole && !cut ? '' : `,"bytes":${bytes}`}}`
}
