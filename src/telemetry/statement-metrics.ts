// The metrics of statements: how many, what was decided, how long they took. On every statement's way, so nothing
// here may cost more than a fraction of a microsecond. Ignorant of who counts.

import type { Registry } from 'prom-client'
import { type Definitions, role } from './definition.ts'
import { register } from './instruments.ts'

export const statementMetrics = {
  statements: {
    type: 'counter',
    name: 'pgwarden_statements_total',
    help: 'Statements decided, by command tag.',
    labels: [
      role,
      { name: 'tag', values: "PostgreSQL's command tags; `none` where there is none to tell" },
      { name: 'decision', values: ['allow', 'deny'] },
    ],
    note: 'Denied ones when decided, allowed ones when ended.',
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

export interface StatementMeter {
  /** `tag` is a command tag as the parser tells it, never the client's text. */
  statement(role: string, tag: string, decision: 'allow' | 'deny'): void
  /** From its record to the upstream's last word. */
  statementEnded(role: string, seconds: number): void
}

export function createStatementMeter(registry: Registry, memory: () => Memory): StatementMeter {
  const { statements, durations, lookups } = register(registry, statementMetrics)
  let counted: Memory = { hits: 0, misses: 0 }
  lookups.onScrape(() => {
    const { hits, misses } = memory()
    lookups.add(hits - counted.hits, 'hit')
    lookups.add(misses - counted.misses, 'miss')
    counted = { hits, misses }
  })
  return {
    statement: (role, tag, decision) => statements.add(1, role, tag, decision),
    statementEnded: (role, seconds) => durations.observe(seconds, role),
  }
}
