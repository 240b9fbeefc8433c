// Labels hold nothing that a client can choose: whatever clients say, there are no more series than the catalogue
// has values.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { applicationClass, applicationClasses } from '../../src/telemetry/application-class.ts'
import { createMetrics, textOf } from '../../src/telemetry/metrics.ts'

const took = { durationMs: 1, policyMs: 1, auditMs: 1 }
const none = () => ({ hits: 0, misses: 0 })

const anything = fc
  .array(fc.integer({ min: 0, max: 0xffff }))
  .map((units) => String.fromCharCode(...units))

describe('a label', () => {
  it('is nothing that a client says', async () => {
    const metrics = createMetrics('1', none)
    const api = metrics.api()
    const said: string[] = []
    fc.assert(
      fc.property(anything, fc.string(), (application, word) => {
        said.push(application, word)
        metrics.statementDenied('read_only', ['SELECT'], `read_only/${word}`, application)
        metrics.statementDenied('read_only', ['SELECT'], word, application)
        metrics.statementsRefused(1, Object.assign(new Error(word), { code: word }))
        api.answered(word, '/api/v1/*', 404, 1)
      }),
      { numRuns: 200 },
    )
    metrics.statementEnded('read_only', ['SELECT'], took)
    const lines = (await metrics.text()).split('\n')
    const series = (name: string): number =>
      lines.filter((line) => line.startsWith(`${name}{`)).length
    // Each of ten rules, others, and the allowed one.
    expect(series('pgwarden_statements_total')).toBeLessThanOrEqual(12)
    expect(series('pgwarden_denials_total')).toBeLessThanOrEqual(applicationClasses.length)
    expect(series('pgwarden_journal_refused_statements_total')).toBeLessThanOrEqual(6)
    expect(series('pgwarden_api_requests_total')).toBeLessThanOrEqual(6)
    expect(said.length).toBeGreaterThanOrEqual(400)
  })

  it.each([
    ['psql', 'psql'],
    ['DBeaver 24.1.0 - Main <postgres>', 'dbeaver'],
    ['DBeaver 24.1.0 - SQLEditor <Script.sql>', 'dbeaver'],
    ['DataGrip 2024.1', 'datagrip'],
    ['pgAdmin 4 - DB:shop', 'pgadmin'],
    ['pgAdmin 4 - CONN:1234567', 'pgadmin'],
    ['PostgreSQL JDBC Driver', 'pgjdbc'],
    ['Metabase v0.50.3 [8f2c]', 'metabase'],
    ['', 'none'],
    ['my own tool', 'other'],
  ])('of a client that calls itself "%s" is %s', (name, expected) => {
    expect(applicationClass(name)).toBe(expected)
  })
})

describe('what several processes tell', () => {
  it('is kept apart by worker, histograms and the times of their start too', async () => {
    const first = createMetrics('1', none, '1')
    const second = createMetrics('1', none, '2')
    first.statementEnded('read_only', ['SELECT'], took)
    second.statementEnded('read_only', ['SELECT'], took)
    second.statementEnded('read_only', ['SELECT'], took)
    const snapshots = [await first.snapshot(), await second.snapshot()]
    // They come from other processes.
    const text = await textOf(structuredClone(snapshots))
    const of = 'role="read_only",tag="SELECT",decision="allow",rule="none"'
    expect(text).toContain(`pgwarden_statements_total{${of},worker="1"} 1\n`)
    expect(text).toContain(`pgwarden_statements_total{${of},worker="2"} 2\n`)
    const duration = 'pgwarden_statement_duration_seconds'
    expect(text).toContain(`${duration}_bucket{le="0.001",role="read_only",worker="2"} 2\n`)
    expect(text).toContain(`${duration}_count{role="read_only",worker="1"} 1\n`)
    expect(text).toMatch(/^process_start_time_seconds\{worker="2"\} \d/m)
  })
})
