// The operations log: JSON lines by pino. No secret gets into it: a Secret prints itself as such, and
// the finished line is gone over once more for fields that are named like one, for tokens and for
// passwords in connection strings, at whatever depth of an error they stand. Statement text belongs
// to the audit journal, not here. On a terminal the same lines are shown for people, by pino-pretty.

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
const token = /\b(pgw_[A-Za-z0-9-]+_)[A-Za-z0-9_-]{40,}/g
/** A token of Vault's, e.g. hvs.CAESIJ..., and of OpenBao's or an old Vault's, s.x7dW.... */
const vaultToken = /\b(hv[bsr]|[bsr])\.[A-Za-z0-9_-]{20,}/g
/** scheme://user:password@host. */
const userInfo = /([a-z][a-z0-9+.-]*:\/\/[^\s:/@"]*:)[^\s/@"]+@/gi

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
  const shown = pretty({
    destination,
    // What is said last must be seen, also when the process ends with it.
    sync: true,
    ignore: 'pid,hostname',
    translateTime: 'SYS:yyyy-mm-dd HH:MM:ss.l',
    singleLine: true,
  })
  return logTo(level, shown)
}

function logTo(level: LogLevel, destination: DestinationStream): AdjustableLog {
  return pino(
    {
      level,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      hooks: {
        streamWrite: (line) =>
          line
            .replace(secretField, '"$1":"[redacted]"')
            .replace(token, '$1[redacted]')
            .replace(vaultToken, '$1.[redacted]')
            .replace(userInfo, '$1[redacted]@'),
      },
    },
    destination,
  )
}
