// What judging costs by itself, without a network or a database: a text that was never seen, one that is
// remembered, and for comparison the parser alone. Medians of batches, in microseconds for each text.

import { Catalog } from '../src/policy/catalog.ts'
import { Policy } from '../src/policy/policy.ts'
import { predefinedRoles } from '../src/policy/roles.ts'
import { analyse, loadParser } from '../src/sql/analyse.ts'

export interface Decision {
  readonly what: string
  readonly bytes: number
  /** Parsing and walking only. */
  readonly analyseUs: number
  /** Never seen before: analysed and judged. */
  readonly coldUs: number
  /** Seen often: looked up by its bytes. Undefined for texts that are too long to remember. */
  readonly cachedUs: number | undefined
}

const batches = 15
const limits = { maxBytes: 1024 * 1024 }
const longestRemembered = 16 * 1024

/** Each with a place for a number, so that there are as many texts of a kind as are wanted. */
const kinds: readonly { readonly what: string; readonly text: (n: number) => string }[] = [
  {
    what: 'SELECT by key',
    text: (n) => `SELECT abalance FROM pgbench_accounts WHERE aid = ${n};`,
  },
  {
    what: 'UPDATE by key',
    text: (n) => `UPDATE pgbench_accounts SET abalance = abalance + ${n} WHERE aid = ${n};`,
  },
  {
    what: 'report of six joins',
    text: (n) =>
      `WITH spent AS (SELECT o.customer_id, sum(i.quantity * i.unit_price) AS total
         FROM orders o JOIN order_items i USING (order_id) WHERE o.placed_at >= now() - interval '${n} days'
         GROUP BY o.customer_id)
       SELECT c.name, r.name AS region, coalesce(s.total, 0) AS total,
              rank() OVER (PARTITION BY r.region_id ORDER BY s.total DESC NULLS LAST)
         FROM customers c LEFT JOIN spent s USING (customer_id) JOIN addresses a USING (customer_id)
         JOIN regions r ON r.region_id = a.region_id LEFT JOIN segments g ON g.segment_id = c.segment_id
        WHERE c.active AND g.code IN ('a', 'b', 'c') AND EXISTS (SELECT 1 FROM visits v
              WHERE v.customer_id = c.customer_id AND v.at BETWEEN '2026-01-01' AND '2026-06-30')
        ORDER BY total DESC LIMIT 100`,
  },
  {
    what: 'INSERT of 1,000 rows',
    text: (n) =>
      `INSERT INTO t (a, b, c) VALUES ${Array.from({ length: 1000 }, (_, i) => `(${n + i}, 'row ${i}', now())`).join(', ')}`,
  },
]

/** About six seconds: what the compiler has not seen often is slow, so the first round is thrown away. */
export async function measureDecisions(): Promise<readonly Decision[]> {
  await loadParser()
  measureOnce()
  return measureOnce()
}

function measureOnce(): readonly Decision[] {
  const catalog = Catalog.unread()
  return kinds.map(({ what, text }) => {
    const bytes = Buffer.byteLength(text(100_000))
    const perBatch = Math.max(4, Math.min(400, Math.floor(200_000 / bytes)))
    let next = 100_000
    const fresh = (): Buffer => Buffer.from(text(next++))
    const policy = new Policy(predefinedRoles, limits)
    const judge = (query: Buffer): unknown => policy.judge('read_full_write', query, catalog)
    const same = fresh()
    return {
      what,
      bytes,
      analyseUs: median(
        perBatch,
        () => text(next++),
        (sql) => analyse(sql, limits),
      ),
      coldUs: median(perBatch, fresh, judge),
      cachedUs: bytes > longestRemembered ? undefined : median(perBatch, () => same, judge),
    }
  })
}

/** Of one call; what is made for it is made beforehand. */
function median<T>(perBatch: number, make: () => T, call: (made: T) => unknown): number {
  const times: number[] = []
  for (let batch = 0; batch < batches; batch++) {
    const made = Array.from({ length: perBatch }, make)
    const startedAt = process.hrtime.bigint()
    for (const one of made) call(one)
    times.push(Number(process.hrtime.bigint() - startedAt) / 1000 / perBatch)
  }
  return times.sort((a, b) => a - b)[Math.floor(batches / 2)] ?? Number.NaN
}

/** A table in Markdown. */
export function decisionReport(decisions: readonly Decision[]): string {
  const us = (value: number | undefined): string =>
    (value === undefined ? '-' : value.toFixed(value < 10 ? 2 : 0)).padStart(9)
  const rows = decisions.map(
    ({ what, bytes, analyseUs, coldUs, cachedUs }) =>
      `| ${what.padEnd(20)} | ${String(bytes).padStart(6)} | ${us(analyseUs)} | ${us(coldUs)} | ${us(cachedUs)} |`,
  )
  return [
    '| judging              |  bytes |  parse us |   cold us | cached us |',
    '| -------------------- | -----: | --------: | --------: | --------: |',
    ...rows,
    '',
  ].join('\n')
}
