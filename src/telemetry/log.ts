// The operations log: JSON lines by pino. No secret gets into it: a Secret prints itself as such, and
// the finished line is gone over once more for fields that are named like one, for tokens and for
// passwords in connection strings, at whatever depth of an error they stand. Statement text belongs
// to the audit journal, not here. On a terminal the same lines are shown for people, by pino-pretty,
// with what clients wrote as text that commands no terminal.

import { isatty } from 'node:tty'
import { type DestinationStream, pino } from 'pino'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** What the rest of the program logs with. `error` is for what somebody must mend now. */
export interface Log {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
  /** The same log with fields that every line of it carries. */
  child(fields: Readonly<Record<string, unknown>>): Log
}

/** Its level may be another while it is written. */
export interface AdjustableLog extends Log {
  level: string
  child(fields: Readonly<Record<string, unknown>>): AdjustableLog
}

/** A field with such a name and a string in it, at any depth. */
const secretField =
  /"(password|secret|secret_?key|(?:access_?)?token|authorization|cookie|connection_?string)":"(?:[^"\\]|\\.)*"/gi
/** pgw_<id>_<secret> in any sentence; the id may be shown. */
const token = /(pgw_[A-Za-z0-9-]+_)[A-Za-z0-9_-]{40,}/g
/**
 * A token of Vault's, e.g. hvs.CAESIJ..., and of OpenBao's or an old Vault's, s.x7dW.... At the beginning of
 * a line the letter before it is that of JSON's \n.
 */
const vaultToken = /(?:\b|(?<=\\[bfnrt]|\\u[\da-f]{4}))(hv[bsr]|[bsr])\.[A-Za-z0-9_-]{20,}/g
/** scheme://user:password@host. */
const userInfo = /([a-z][a-z0-9+.-]*:\/\/[^\s:/@"]*:)[^\s/@"]+@/gi

/** Escapes in a line of JSON: those that stay, stacks' line breaks among them; and those of control characters. */
const escapes = /(\\n(?= +at |caused by: )|\\["\\])|\\(?:[bfnrt]|u[\da-f]{4})/g
/** Commands to terminals that JSON lets stand as they are, and what turns the direction of reading. */
const unescaped = /[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g

export const standardError = 2

type LogFormat = 'auto' | 'json' | 'pretty'

interface LogOptions {
  readonly level: LogLevel
  /** `auto`: for people where they sit at a terminal, JSON for programs. */
  readonly format: LogFormat
  /** A stream, or one of the process' own by its number. */
  readonly destination: DestinationStream | 1 | typeof standardError
}

export async function openLog({ level, format, destination }: LogOptions): Promise<AdjustableLog> {
  const isPretty =
    format === 'pretty' ||
    (format === 'auto' && typeof destination === 'number' && isatty(destination))
  if (!isPretty) {
    return logTo(
      level,
      typeof destination === 'number' ? pino.destination(destination) : destination,
    )
  }
  const { default: pretty } = await import('pino-pretty')
  const people = pretty({
    destination,
    // What is said last must be seen, also when the process ends with it.
    sync: true,
    ignore: 'pid,hostname',
    translateTime: 'SYS:yyyy-mm-dd HH:MM:ss.l',
    singleLine: true,
  })
  return logTo(level, people, (line) => harmless(hidden(line)))
}

function hidden(line: string): string {
  return line
    .replace(secretField, '"$1":"[redacted]"')
    .replace(token, '$1[redacted]')
    .replace(vaultToken, '$1.[redacted]')
    .replace(userInfo, '$1[redacted]@')
    .replace(unescaped, (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** A client's name may move the cursor and write lines of its own: on a terminal one sees that it would. */
function harmless(line: string): string {
  return line.replace(escapes, (found, stays?: string) => stays ?? `\\${found}`)
}

function logTo(
  level: LogLevel,
  destination: DestinationStream,
  written: (line: string) => string = hidden,
): AdjustableLog {
  return pino(
    {
      level,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      hooks: { streamWrite: written },
    },
    destination,
  )
}
