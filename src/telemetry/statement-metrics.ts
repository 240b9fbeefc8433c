// The metrics of statements: how many, what was decided, how long they took and what of that was pgwarden's. On
// every statement's way, so all of it together may cost no more than a microsecond. Ignorant of who counts.

import type { Registry } from 'prom-client'
import { ruleName, ruleNames } from '../policy/decision.ts'
import { applicationClass, applicationClasses } from './application-class.ts'
import { type Definitions, role } from './definition.ts'
import { register } from './instruments.ts'

const addedBuckets = [
  0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5,
] as const

export const statementMetrics = {
  statements: {
    type: 'counter',
    name: 'pgwarden_statements_total',
    help: 'Statements decided, by command tag.',
    labels: [
      role,
      { name: 'tag', values: "PostgreSQL's command tags; `none` where there is none to tell" },
      { name: 'decision', values: ['allow', 'deny'] },
      { name: 'rule', values: [...ruleNames, 'other', 'none'] },
    ],
    note: 'Denied ones when decided, allowed ones when ended; `rule` is what denied, and `none` for those that were allowed.',
  },
  durations: {
    type: 'histogram',
    name: 'pgwarden_statement_duration_seconds',
    help: "From a statement's record to the end of its answer.",
    labels: [role],
    buckets: [
      0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300,
    ],
    note: 'As `durationMs` in the journal.',
  },
  latency: {
    type: 'histogram',
    name: 'pgwarden_statement_added_latency_seconds',
    help: 'What pgwarden itself took of a statement: judging it and recording it, waiting for both included.',
    buckets: addedBuckets,
    note: 'Of those that were let through, when they have ended; `policyMs` and `auditMs` of the journal together. What a Parse took counts at the first run. The objective is 0.005.',
  },
  parts: {
    type: 'histogram',
    name: 'pgwarden_statement_added_seconds',
    help: 'The same by part; parse: reading a text that was not known already, which is part of policy.',
    labels: [{ name: 'part', values: ['parse', 'policy', 'journal'] }],
    buckets: addedBuckets,
    note: '`parse` counts texts, allowed or not, the others statements.',
  },
  denials: {
    type: 'counter',
    name: 'pgwarden_denials_total',
    help: 'Statements denied, by what kind of software the client says it is.',
    labels: [role, { name: 'application', values: applicationClasses }],
    note: 'By how its `application_name` begins; `none`: it gives none.',
  },
  lookups: {
    type: 'counter',
    name: 'pgwarden_policy_lookups_total',
    help: 'Query strings looked up among those that were judged before.',
    labels: [{ name: 'result', values: ['hit', 'miss'] }],
    note: 'Those up to 16 KiB; the hit ratio tells how much is parsed anew.',
  },
} as const satisfies Definitions

/** How often a query string was known already, as sums since the start. */
export interface Memory {
  readonly hits: number
  readonly misses: number
}

/** Of one statement, in milliseconds. */
interface StatementTimes {
  readonly durationMs: number
  readonly policyMs: number
  /** Undefined: it was not recorded. */
  readonly auditMs: number | undefined
}

export interface StatementMeter {
  /** `tags` are command tags as the parser tells them, `application` is what the client says. */
  statementDenied(role: string, tags: readonly string[], rule: string, application: string): void
  statementEnded(role: string, tags: readonly string[], took: StatementTimes): void
  /** A text had to be read. */
  parsed(ms: number): void
}

const untagged = ['none']

export function createStatementMeter(registry: Registry, memory: () => Memory): StatementMeter {
  const { statements, durations, latency, parts, denials, lookups } = register(
    registry,
    statementMetrics,
  )
  let counted: Memory = { hits: 0, misses: 0 }
  lookups.onScrape(() => {
    const { hits, misses } = memory()
    lookups.add(hits - counted.hits, 'hit')
    lookups.add(misses - counted.misses, 'miss')
    counted = { hits, misses }
  })
  return {
    statementDenied: (role, tags, rule, application) => {
      const name = ruleName(rule)
      for (const tag of tags.length === 0 ? untagged : tags) {
        statements.add(1, role, tag, 'deny', name)
      }
      denials.add(1, role, applicationClass(application))
    },
    statementEnded: (role, tags, { durationMs, policyMs, auditMs }) => {
      for (const tag of tags) statements.add(1, role, tag, 'allow', 'none')
      durations.observe(durationMs / 1000, role)
      if (auditMs === undefined) return
      latency.observe((policyMs + auditMs) / 1000)
      parts.observe(policyMs / 1000, 'policy')
      parts.observe(auditMs / 1000, 'journal')
    },
    parsed: (ms) => parts.observe(ms / 1000, 'parse'),
  }
}
