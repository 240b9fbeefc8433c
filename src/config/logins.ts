// How failed logins are slowed and stopped, as the configuration writes it. Ignorant of who fails.

import { z } from 'zod'
import type { LoginRules } from '../access/login-guard.ts'
import { duration, keys, whole } from './values.ts'

export const loginsSchema = keys({
  failures: whole(3, 1_000_000).default(10),
  within: duration('1m', '1d').prefault('15m'),
  lockOut: duration('1s', '1d').prefault('15m'),
  delay: z
    .union([z.literal('off'), duration('50ms', '5s')], 'expected off or a duration from 50ms to 5s')
    .prefault('250ms'),
  longestDelay: duration('1s', '10s').prefault('5s'),
})

export function loginsOf(raw: z.output<typeof loginsSchema>): LoginRules {
  const off = raw.delay === 'off'
  return {
    failures: raw.failures,
    withinMs: raw.within,
    lockOutMs: raw.lockOut,
    delayMs: raw.delay === 'off' ? 0 : raw.delay,
    longestDelayMs: off ? 0 : raw.longestDelay,
  }
}
