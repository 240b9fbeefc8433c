// What the benchmark says, from what was measured. The measuring itself has no test: `npm run bench`.

import { describe, expect, it } from 'vitest'
import { parseStat } from '../../bench/cpu.ts'
import { quantile } from '../../bench/load.ts'
import { parseOptions } from '../../bench/options.ts'
import { parseLatencies, parseSummary } from '../../bench/pgbench.ts'
import { amongJournals, report, type Sample } from '../../bench/report.ts'

const sample = (contender: string, tps: number, more: Partial<Sample> = {}): Sample => ({
  load: { script: 'SELECT', protocol: 'simple', clients: 1 },
  contender,
  tps,
  transactions: tps,
  p50Us: 100,
  p99Us: 250,
  cpuUs: undefined,
  ...more,
})

/** The cells of the row of one contender. */
function row(text: string, contender: string): readonly string[] {
  const line = text.split('\n').find((each) => each.includes(`| ${contender} `)) ?? ''
  return line.split('|').map((cell) => cell.trim())
}

describe('the report', () => {
  it('takes the median of the rounds, so that one bad round does not show', () => {
    const text = report([
      ...[1000, 90, 1100].map((tps) => sample('PgBouncer', tps)),
      ...[500, 600, 7000].map((tps) => sample('pgwarden', tps, { cpuUs: tps / 10 })),
    ])
    expect(row(text, 'PgBouncer')[3]).toBe('1,000')
    expect(row(text, 'pgwarden')[3]).toBe('600')
    expect(row(text, 'pgwarden')[8]).toBe('60.0')
  })

  it('compares within a round, so that a machine that slows down does not favour anybody', () => {
    const text = report([
      ...[1000, 500, 100].map((tps) => sample('PgBouncer', tps)),
      ...[600, 450, 60].map((tps) => sample('pgwarden', tps)),
    ])
    // Of the medians it would be 0.90.
    expect(row(text, 'pgwarden')[4]).toBe('0.60')
  })

  it('compares with the direct connection under the same load only', () => {
    const load = { script: 'TPC-B', protocol: 'simple', clients: 16 } as const
    const text = report([
      sample('direct', 2000),
      sample('pgwarden', 1500),
      sample('direct', 4000, { load }),
    ])
    expect(row(text, 'pgwarden')[5]).toBe('0.75')
  })

  it('says what the journal costs in transactions and in CPU, round by round', () => {
    const text = report(
      [
        ...[1000, 500, 100].map((tps) => sample('no journal', tps, { cpuUs: 20_000 / tps })),
        ...[900, 490, 80].map((tps) => sample('journal', tps, { cpuUs: 22_000 / tps })),
      ],
      amongJournals,
    )
    expect(row(text, 'journal')[4]).toBe('0.90')
    expect(row(text, 'journal')[8]).toBe('1.22')
  })

  it('shows a dash for what was not measured', () => {
    const text = report([sample('direct', 2000), sample('pgwarden', 1500)])
    expect(row(text, 'pgwarden')[4]).toBe('-')
    expect(row(text, 'direct')[8]).toBe('-')
  })
})

describe('what pgbench prints', () => {
  const summary = [
    'number of transactions actually processed: 12345',
    'number of failed transactions: 0 (0.000%)',
    'latency average = 1.234 ms',
    'tps = 6172.5 (without initial connection time)',
  ]

  it('is read as transactions and rate', () => {
    expect(parseSummary(summary.join('\n'))).toEqual({ transactions: 12345, tps: 6172.5 })
  })

  it('is refused when a transaction failed', () => {
    const text = summary.join('\n').replace('failed transactions: 0', 'failed transactions: 3')
    expect(() => parseSummary(text)).toThrow('did not finish')
  })

  it('is refused when it has no rate', () => {
    expect(() => parseSummary('')).toThrow('did not finish')
  })

  it('tells latencies by its log', () => {
    expect(parseLatencies('0 1 250 0 1700000000 10\n3 2 1250 0 1700000000 20\n')).toEqual([
      250, 1250,
    ])
  })
})

describe('quantiles', () => {
  it('are values that were measured', () => {
    const values = [5, 1, 4, 2, 3]
    expect(quantile(values, 0.5)).toBe(3)
    expect(quantile(values, 0.99)).toBe(5)
  })
})

describe('CPU time', () => {
  it('is user and system together, whatever the program calls itself', () => {
    const fields = 'S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 1'
    expect(parseStat(`4711 (a (b) c) ${fields}`)).toBe(2_000_000)
  })
})

describe('the options', () => {
  it('are five rounds of two seconds unless told otherwise', () => {
    expect(parseOptions([])).toEqual({ seconds: 2, rounds: 5, journal: false, json: undefined })
    expect(parseOptions(['--quick'])).toMatchObject({ seconds: 1, rounds: 1 })
    expect(parseOptions(['--quick', '--rounds', '3'])).toMatchObject({ seconds: 1, rounds: 3 })
  })

  it.each(['0', '-1', '1.5', 'ten', '601'])('refuse %s seconds', (text) => {
    expect(() => parseOptions([`--seconds=${text}`])).toThrow('--seconds takes a whole number')
  })
})
