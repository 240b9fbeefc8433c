// Whether what was sampled of a proxy grew while its load stayed the same: the middle of the first third
// of the time after warming up against that of the last third. Ignorant of where samples come from.

import { quantile } from './load.ts'

/** One look at the proxy, in bytes and counts. */
export interface Vitals {
  readonly rss: number
  readonly heap: number
  readonly external: number
  readonly descriptors: number
  readonly sessions: number
  readonly backends: number
}

interface Allowance {
  readonly unit: 'MiB' | ''
  /** The last third may be this many times the first, and so much more. */
  readonly factor: number
  readonly slack: number
}

const mebibyte = 1024 * 1024
const allowances: Readonly<Record<keyof Vitals, Allowance>> = {
  rss: { unit: 'MiB', factor: 1.1, slack: 30 * mebibyte },
  heap: { unit: 'MiB', factor: 1.15, slack: 20 * mebibyte },
  external: { unit: 'MiB', factor: 1.15, slack: 20 * mebibyte },
  descriptors: { unit: '', factor: 1.03, slack: 20 },
  sessions: { unit: '', factor: 1.03, slack: 20 },
  backends: { unit: '', factor: 1.03, slack: 20 },
}

/** Before this share of the time is over, caches fill. */
const warmUp = 0.2

export interface Trend {
  readonly of: keyof Vitals
  readonly first: number
  readonly last: number
  readonly most: number
  readonly grew: boolean
}

/** Empty when there are too few samples to say anything. */
export function trends(samples: readonly Vitals[]): readonly Trend[] {
  const steady = samples.slice(Math.floor(samples.length * warmUp))
  const third = Math.floor(steady.length / 3)
  if (third === 0) return []
  const names: readonly (keyof Vitals)[] = [
    ...(['rss', 'heap', 'external', 'descriptors', 'sessions', 'backends'] as const),
  ]
  return names.map((of) => {
    const values = steady.map((vitals) => vitals[of])
    const first = quantile(values.slice(0, third), 0.5)
    const last = quantile(values.slice(-third), 0.5)
    const { factor, slack } = allowances[of]
    return { of, first, last, most: Math.max(...values), grew: last > first * factor + slack }
  })
}

/** A table for people. */
export function trendTable(rows: readonly Trend[]): string {
  const lines = rows.map(({ of, first, last, most, grew }) => {
    const { unit } = allowances[of]
    const show = (value: number): string =>
      unit === 'MiB' ? `${(value / mebibyte).toFixed(1)} MiB` : String(value)
    return `| ${of} | ${show(first)} | ${show(last)} | ${show(most)} | ${grew ? 'GREW' : 'steady'} |`
  })
  return [
    '| | first third | last third | most | |',
    '| --- | --- | --- | --- | --- |',
    ...lines,
  ].join('\n')
}
