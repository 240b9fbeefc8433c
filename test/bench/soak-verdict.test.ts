import { describe, expect, it } from 'vitest'
import { trends, trendTable, type Vitals } from '../../bench/soak-verdict.ts'

const mebibyte = 1024 * 1024
const steady: Vitals = {
  rss: 200 * mebibyte,
  heap: 40 * mebibyte,
  external: 500 * mebibyte,
  descriptors: 4_500,
  sessions: 2_200,
  backends: 2_200,
}

function run(at: (sample: number) => Partial<Vitals>): ReturnType<typeof trends> {
  return trends(Array.from({ length: 120 }, (_, sample) => ({ ...steady, ...at(sample) })))
}

const grown = (rows: ReturnType<typeof trends>): readonly string[] =>
  rows.filter(({ grew }) => grew).map(({ of }) => of)

describe('the verdict of a soak', () => {
  it('is that nothing grew when values go up and down', () => {
    expect(
      grown(run((n) => ({ rss: (200 + (n % 7) * 5) * mebibyte, sessions: 2_200 + (n % 9) }))),
    ).toEqual([])
  })

  it('names what grows all the time, however slowly by sample', () => {
    const rows = run((n) => ({ rss: (200 + n) * mebibyte, descriptors: 4_500 + n * 4 }))
    expect(grown(rows)).toEqual(['rss', 'descriptors'])
    expect(trendTable(rows)).toMatch(
      /\| rss \| \d+\.\d MiB \| \d+\.\d MiB \| 319\.0 MiB \| GREW \|/,
    )
  })

  it('does not hold the time of warming up against anybody', () => {
    expect(grown(run((n) => ({ heap: (n < 20 ? 10 : 60) * mebibyte })))).toEqual([])
  })

  it('is none after a few samples', () => {
    expect(trends([steady, steady])).toEqual([])
  })
})
