// The limits of sessions, logins and connections as the configuration writes them: numbers or times, or off.
// Ignorant of who keeps to them.

import { z } from 'zod'
import { duration, keys, size } from './values.ts'

/** How long a session may do nothing, take for one thing, or last. */
const timeLimit = z.union(
  [z.literal('off'), duration('1s', '30d')],
  'expected off or a duration from 1s to 30d, like 1s',
)

type TimeLimit = z.output<typeof timeLimit>

interface RawTimes {
  readonly idleTimeout: TimeLimit
  readonly idleInTransactionTimeout: TimeLimit
  readonly transactionTimeout: TimeLimit
  readonly sessionTimeout: TimeLimit
}

/** How many there may be of something. */
export function countLimit(most: number) {
  const message = `expected off or a number between 1 and ${most}`
  const count = z.int(message).min(1, message).max(most, message)
  return z.union([z.literal('off'), count], message).default('off')
}

const sessionTimes = {
  idleTimeout: timeLimit.default('off'),
  idleInTransactionTimeout: timeLimit.default('off'),
  transactionTimeout: timeLimit.default('off'),
  sessionTimeout: timeLimit.default('off'),
}

/** A role's own. */
export const roleTimesSchema = keys(sessionTimes).transform(timesOf)

/** A target's own: what is not written here is as in the general limits. */
export const targetTimesSchema = keys({
  idleTimeout: timeLimit.exactOptional(),
  idleInTransactionTimeout: timeLimit.exactOptional(),
  transactionTimeout: timeLimit.exactOptional(),
  sessionTimeout: timeLimit.exactOptional(),
})

export const limitsSchema = keys({
  statementBytes: size('1KiB', '64MiB').prefault('1MiB'),
  ...sessionTimes,
  sessionsPerPrincipal: countLimit(100_000),
  sessionsPerGrant: countLimit(100_000),
  loginsPerSecond: countLimit(1_000),
})

/** What holds for everybody; undefined: no limit. Each process counts for itself. */
export interface LimitsConfig {
  readonly statementBytes: number
  readonly sessionsPerPrincipal: number | undefined
  readonly sessionsPerGrant: number | undefined
  /** Of one address (of IPv6, one /64). */
  readonly loginsPerSecond: number | undefined
}

export function limitsOf(raw: z.output<typeof limitsSchema>): LimitsConfig {
  return {
    statementBytes: raw.statementBytes,
    sessionsPerPrincipal: limitOf(raw.sessionsPerPrincipal),
    sessionsPerGrant: limitOf(raw.sessionsPerGrant),
    loginsPerSecond: limitOf(raw.loginsPerSecond),
  }
}

/** How long a session may do nothing, sit in a transaction, stay in one, and last; undefined is for ever. */
export interface TimesConfig {
  readonly idleMs: number | undefined
  readonly idleInTransactionMs: number | undefined
  readonly transactionMs: number | undefined
  readonly sessionMs: number | undefined
}

export function timesOf(raw: RawTimes): TimesConfig {
  return {
    idleMs: limitOf(raw.idleTimeout),
    idleInTransactionMs: limitOf(raw.idleInTransactionTimeout),
    transactionMs: limitOf(raw.transactionTimeout),
    sessionMs: limitOf(raw.sessionTimeout),
  }
}

export function limitOf(raw: number | 'off'): number | undefined {
  return raw === 'off' ? undefined : raw
}
