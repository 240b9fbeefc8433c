// Which records a reader of the audit wants, as options: the same for `audit tail` and `audit query`, for files
// and for a server. Ignorant of where they are read.

import { type Command, InvalidArgumentError, Option } from 'commander'
import { type AuditFilter, relationForm } from '../audit/filter.ts'
import type { Clock } from '../clock.ts'
import { parseDuration } from './values.ts'

export interface FilterOptions {
  readonly chain?: string
  readonly type?: string
  readonly principal?: string
  readonly target?: string
  readonly role?: string
  readonly session?: string
  readonly grant?: string
  readonly decision?: 'allow' | 'deny'
  readonly relation?: string
  readonly fingerprint?: string
  readonly text?: string
  readonly since?: number
  readonly until?: number
}

export function withFilter(command: Command, clock: Clock): Command {
  const instant = (text: string): number => parseInstant(text, clock.now())
  return command
    .option('--principal <name>', 'of somebody, or done by them')
    .option('--target <name>', 'of a target')
    .option('--role <name>', 'of a role')
    .option('--since <time>', 'since then: RFC 3339, or how long ago, e.g. 2h', instant)
    .option('--until <time>', 'before then, in the same form', instant)
    .addOption(new Option('--decision <decision>', 'statements').choices(['allow', 'deny']))
    .option('--type <type>', 'of a type, or all below one: grant.revoked, grant')
    .option(
      '--relation <name>',
      'what it touches: shop.orders, orders, orders:write',
      parseRelation,
    )
    .option('--session <id>', 'of a session, with its outcomes')
    .option('--grant <id>', 'of a grant')
    .option('--text <text>', 'with this anywhere in the record')
    .option('--fingerprint <fingerprint>', 'statements that differ in values only')
    .option('--chain <name>', 'written by: main is the proxy, operator the command line')
}

export function filterOf(options: FilterOptions): AuditFilter {
  const { chain, type, principal, target, role, session, grant: grantId, decision } = options
  const { relation, fingerprint, text, since, until } = options
  const given = { chain, type, principal, target, role, session, grantId, decision }
  const all = { ...given, relation, fingerprint, text, since, until }
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
}

/** The same in a query of the API. */
export function queryOf({ since, until, ...others }: AuditFilter): Record<string, string> {
  return {
    ...others,
    ...(since === undefined ? {} : { since: new Date(since).toISOString() }),
    ...(until === undefined ? {} : { until: new Date(until).toISOString() }),
  }
}

const rfc3339 = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/

function parseInstant(text: string, now: number): number {
  const at = Date.parse(text)
  if (rfc3339.test(text) && !Number.isNaN(at)) return at
  if (/^(\d+[smhd])+$/.test(text)) return now - parseDuration(text)
  throw new InvalidArgumentError(
    'A time is written like 2030-01-02T03:04:05Z, or 2h for two hours ago.',
  )
}

function parseRelation(text: string): string {
  if (relationForm.test(text)) return text
  throw new InvalidArgumentError('It is written like shop.orders, orders or orders:write.')
}
