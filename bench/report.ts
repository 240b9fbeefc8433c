// Medians of what was measured, as a Markdown table that also reads well in a terminal. Pure.

import { type Load, type Measurement, quantile } from './load.ts'

/** One measurement of one contender. */
export interface Sample extends Measurement {
  readonly load: Load
  readonly contender: string
  /** CPU time of the proxy's process for each transaction. */
  readonly cpuUs: number | undefined
}

/** The contenders that each is compared with. */
export interface Comparison {
  readonly rate: readonly string[]
  readonly cpu: readonly string[]
}

export const amongProxies: Comparison = { rate: ['PgBouncer', 'direct'], cpu: [] }
export const amongJournals: Comparison = { rate: ['no journal'], cpu: ['no journal'] }

export function loadName({ script, protocol, clients }: Load): string {
  return `${script} ${protocol}, ${clients} ${clients === 1 ? 'client' : 'clients'}`
}

/** One row for each load and contender, in the order of their first samples. */
export function report(
  samples: readonly Sample[],
  { rate, cpu }: Comparison = amongProxies,
): string {
  const columns = [
    ...['load', 'through', 'tps', ...rate.map((other) => `x ${other}`)],
    ...['p50 ms', 'p99 ms', 'CPU us/tx', ...cpu.map((other) => `CPU x ${other}`)],
  ]
  const rows = [...grouped(samples, ({ load }) => loadName(load))].flatMap(([name, ofLoad]) => {
    const contenders = grouped(ofLoad, ({ contender }) => contender)
    return [...contenders].map(([contender, its], index) => [
      index === 0 ? name : '',
      contender,
      number(median(its.map(({ tps }) => tps)), 0),
      ...rate.map((other) =>
        number(
          ratio(its, contenders.get(other), ({ tps }) => tps),
          2,
        ),
      ),
      number(median(its.map(({ p50Us }) => p50Us)) / 1000, 2),
      number(median(its.map(({ p99Us }) => p99Us)) / 1000, 2),
      number(median(its.flatMap(({ cpuUs }) => cpuUs ?? [])), 1),
      ...cpu.map((other) =>
        number(
          ratio(its, contenders.get(other), ({ cpuUs }) => cpuUs),
          2,
        ),
      ),
    ])
  })
  return table(columns, rows)
}

/**
 * Round by round, then the median: two measurements of one round were taken seconds apart and met the
 * same machine, those of different rounds may not have.
 */
function ratio(
  samples: readonly Sample[],
  others: readonly Sample[] | undefined,
  of: (sample: Sample) => number | undefined,
): number {
  const measured = (sample: Sample | undefined): number =>
    (sample === undefined ? undefined : of(sample)) ?? Number.NaN
  return median(samples.map((sample, round) => measured(sample) / measured(others?.[round])))
}

function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/** A dash for what was not measured: a ratio to a PgBouncer that is not installed, for one. */
function number(value: number, digits: number): string {
  if (Number.isNaN(value)) return '-'
  const format = { minimumFractionDigits: digits, maximumFractionDigits: digits }
  return value.toLocaleString('en-US', format)
}

function grouped<T>(items: readonly T[], key: (item: T) => string): Map<string, readonly T[]> {
  const groups = new Map<string, T[]>()
  for (const item of items) {
    const group = groups.get(key(item))
    if (group === undefined) groups.set(key(item), [item])
    else group.push(item)
  }
  return groups
}

function table(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = columns.map((head, column) =>
    Math.max(head.length, ...rows.map((row) => (row[column] ?? '').length)),
  )
  const isText = (column: number): boolean => column < 2
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |\n`
  const rule = widths.map((width, column) =>
    isText(column) ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`,
  )
  const [head, ...body] = [columns, ...rows].map((row) =>
    line(
      widths.map((width, column) => {
        const cell = row[column] ?? ''
        return isText(column) ? cell.padEnd(width) : cell.padStart(width)
      }),
    ),
  )
  return `${head ?? ''}${line(rule)}${body.join('')}`
}
