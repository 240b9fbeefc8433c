// Whether what somebody asks for can be asked for at all: reason, duration, start, relations. Ignorant of who
// asks, and of what the rules make of it.
// Texts end up in the audit, on terminals and in messages, so that control characters are refused; JSON columns
// and text columns take no half surrogates.

import { Failure } from '../errors.ts'
import type { Claims, RelationRules } from './access.ts'

const day = 24 * 60 * 60 * 1000
const longestText = 2_000
const longestPattern = 256
const mostPatterns = 100
const furthestStart = 30 * day
/** Clocks of clients differ from ours. */
const startTolerance = 60_000
const leastDuration = 1_000

/** @throws Failure invalid_parameter */
export function reasonOf(text: string): string {
  const reason = checkedText(text, 'a reason')
  if (reason === '') {
    refuse(
      'a reason is needed',
      'Say in a sentence what it is for; it is shown to approvers and auditors.',
    )
  }
  return reason
}

/** @throws Failure invalid_parameter */
export function commentOf(text: string | undefined): string | undefined {
  const comment = checkedText(text ?? '', 'a comment')
  return comment === '' ? undefined : comment
}

/** A duration in milliseconds, up to `longest`. @throws Failure invalid_parameter */
export function durationOf(ms: number, longest: number): number {
  if (Number.isSafeInteger(ms) && ms >= leastDuration && ms <= longest) return ms
  refuse(`access lasts from a second to ${spelled(longest)}`, 'Ask for less time.')
}

/** When it is to start; undefined: as soon as it may. @throws Failure invalid_parameter */
export function startOf(startsAt: number | undefined, now: number): number | undefined {
  if (startsAt === undefined) return undefined
  if (!Number.isSafeInteger(startsAt) || startsAt > now + furthestStart) {
    refuse('access starts at most 30 days from now')
  }
  if (startsAt < now - startTolerance) refuse('access cannot start in the past')
  return startsAt <= now ? undefined : startsAt
}

/** @throws Failure invalid_parameter */
export function relationsOf(rules: RelationRules | undefined): RelationRules | undefined {
  if (rules === undefined) return undefined
  const { deny, read, write } = rules
  for (const patterns of [deny, read, write]) checkPatterns(patterns ?? [])
  const given = {
    ...(deny !== undefined && { deny }),
    ...(read !== undefined && { read }),
    ...(write !== undefined && { write }),
  }
  return Object.keys(given).length === 0 ? undefined : given
}

/** Those claims that sessions will need. What cannot be kept is left out, and missed at login. */
export function claimsOf(claims: Claims, wanted: readonly string[]): Claims {
  const own = new Map(Object.entries(claims))
  return Object.fromEntries(
    wanted.flatMap((name) => {
      const value = own.get(name)
      return value === undefined || !isClean(value) ? [] : [[name, value]]
    }),
  )
}

/** Without control characters and half surrogates. */
export function isClean(text: string): boolean {
  return !/[\p{Cc}\p{Cs}]/u.test(text)
}

/** `24 hours`, `30 days`, `90 minutes`. */
export function spelled(ms: number): string {
  const units = [
    [day, 'day'],
    [60 * 60 * 1000, 'hour'],
    [60 * 1000, 'minute'],
  ] as const
  // A day is what people call 24 hours, where it is about a limit of one.
  const [size, unit] = units.find(([unitMs]) => ms % unitMs === 0 && ms > unitMs) ?? [
    1000,
    'second',
  ]
  const count = Math.round(ms / size)
  return `${count} ${unit}${count === 1 ? '' : 's'}`
}

function checkPatterns(patterns: readonly string[]): void {
  if (patterns.length > mostPatterns)
    refuse(`a list of relations has at most ${mostPatterns} entries`)
  for (const pattern of patterns) {
    const sound = pattern.length <= longestPattern && isClean(pattern)
    if (sound && /^(\*|[^.*]+)\.(\*|[^.*]+)$/.test(pattern)) continue
    const hint = 'Write schema.name, schema.*, *.name or *.*, each name as it is stored.'
    refuse('a relation is named by a schema and a name, with * for either', hint)
  }
}

function checkedText(text: string, what: string): string {
  const trimmed = text.trim()
  if (trimmed.length > longestText) refuse(`${what} has at most ${longestText} characters`)
  if (!isClean(trimmed)) {
    refuse(`${what} is one line of text`, 'Leave out line breaks and other control characters.')
  }
  return trimmed
}

function refuse(message: string, hint?: string): never {
  throw new Failure('invalid_parameter', { message, ...(hint !== undefined && { hint }) })
}
