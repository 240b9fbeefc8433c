// The rules and the dashboard of deploy/, held against the catalogue of metrics and the runbooks: what they ask
// for exists, adds up, and is explained. That they are sound PromQL promtool and Prometheus say.

import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { catalogue } from '../../src/telemetry/catalogue.ts'
import type { Definition } from '../../src/telemetry/definition.ts'
import {
  alertRules,
  filledIn,
  grafana,
  panels,
  recordingRules,
  ruleTestFiles,
} from '../support/monitoring.ts'
import { askedBy } from '../support/promql.ts'

/** What the scrape adds to every series, and the supervisor of workers to each of theirs. */
const everywhere = ['job', 'instance', 'worker']
/** Prometheus' own. */
const foreign = new Map([
  ['up', []],
  ['ALERTS', ['alertname', 'alertstate', 'severity']],
])

const metrics = new Map<string, Definition>(
  catalogue.flatMap((subject) => Object.values(subject.metrics)).map((each) => [each.name, each]),
)
const recorded = new Map(recordingRules.map(({ record, expr }) => [record, askedBy(expr).groups]))

const expressions: readonly { readonly where: string; readonly expr: string }[] = [
  ...recordingRules.map(({ record, expr }) => ({ where: record, expr })),
  ...alertRules.map(({ alert, expr }) => ({ where: alert, expr })),
  ...panels.flatMap(({ title, targets }) =>
    targets.map(({ expr }) => ({ where: title, expr: filledIn(expr) })),
  ),
  ...grafana.annotations.list.map(({ name, target }) => ({
    where: name,
    expr: filledIn(target.expr),
  })),
]

/** The metric that a series belongs to: a histogram has three kinds of them. */
function metricOf(series: string): Definition | undefined {
  const own = metrics.get(series)
  if (own !== undefined) return own.type === 'histogram' ? undefined : own
  const whole = metrics.get(series.replace(/_(bucket|sum|count)$/, ''))
  return whole?.type === 'histogram' ? whole : undefined
}

/** Undefined where there is no such series. */
function labelsOf(series: string): readonly string[] | undefined {
  const given = foreign.get(series) ?? recorded.get(series)
  if (given !== undefined) return [...given, ...everywhere]
  const metric = metricOf(series)
  if (metric === undefined) return undefined
  const bound = series.endsWith('_bucket') ? ['le'] : []
  return [...(metric.labels ?? []).map(({ name }) => name), ...bound, ...everywhere]
}

const words = (text: string, pattern: RegExp): readonly string[] =>
  [...text.matchAll(pattern)].map(([, word = '']) => word)

describe('rules and panels', () => {
  it.each(expressions)('ask for metrics and labels that there are: $where', ({ expr }) => {
    const { selectors, groups } = askedBy(expr)
    expect(selectors).not.toEqual([])
    for (const { metric, labels } of selectors) {
      expect(labelsOf(metric), `${metric} in ${expr}`).toEqual(expect.arrayContaining([...labels]))
    }
    const all = selectors.flatMap(({ metric }) => labelsOf(metric) ?? [])
    expect(all).toEqual(expect.arrayContaining([...groups]))
  })

  it('never add up what every process tells alike', () => {
    const alike = [...metrics.values()].filter(({ across }) => across === 'max')
    expect(alike.map(({ name }) => name)).toContain('pgwarden_leases_orphaned')
    const wrong = expressions.filter(({ expr }) =>
      askedBy(expr).summed.some((name) => alike.some((metric) => metric.name === name)),
    )
    expect(wrong.map(({ where }) => where)).toEqual([])
  })

  it('ask for bounds of buckets that there are', () => {
    const bounds = expressions.flatMap(({ expr }) =>
      [...expr.matchAll(/(\w+)_bucket\{[^}]*le="([^"]+)"/g)].map(([, name = '', le]) => {
        const metric = metrics.get(name)
        return metric?.type === 'histogram' && metric.buckets.includes(Number(le))
      }),
    )
    expect(bounds.length).toBeGreaterThan(0)
    expect(bounds).not.toContain(false)
  })
})

describe('each alert', () => {
  const runbooks = words(readFileSync('docs/operations.md', 'utf8'), /^#+ (.+)$/gm).map((heading) =>
    heading.toLowerCase(),
  )
  const expected = ruleTestFiles.flatMap((file) =>
    words(readFileSync(file, 'utf8'), /alertname="(Pgwarden\w+)"/g),
  )

  it.each(alertRules)('$alert has a runbook', ({ alert, annotations }) => {
    expect(annotations.runbook_url).toBe(`docs/operations.md#${alert.toLowerCase()}`)
    expect(runbooks).toContain(alert.toLowerCase())
  })

  it.each(alertRules)('$alert says whose trouble it is and how much', ({ expr, annotations }) => {
    const { groups } = askedBy(expr)
    const named = words(annotations.description, /\$labels\.(\w+)/g)
    expect(groups).toEqual(expect.arrayContaining([...named]))
    expect(groups).toContain('job')
    expect(annotations.summary).toMatch(/^\S.{10,79}[^.]$/)
    expect(annotations.description).toMatch(/\.$/)
  })

  it('fires in a test of promtool', () => {
    const names = alertRules.map(({ alert }) => alert)
    expect(new Set(names).size).toBe(names.length)
    expect([...new Set(expected)].sort()).toEqual([...names].sort())
  })
})

describe('the dashboard', () => {
  it.each(panels)('has a unit and a sentence for $title', ({ fieldConfig, description }) => {
    expect(fieldConfig?.defaults.unit).toMatch(/^\w+$/)
    expect(description).toMatch(/^[A-Z0-9a-z].{20,}\.$/)
  })

  it('has panels that neither overlap nor leave the page', () => {
    const taken = new Set<string>()
    for (const { title, gridPos } of grafana.panels) {
      expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24)
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(taken.has(`${x},${y}`), title).toBe(false)
          taken.add(`${x},${y}`)
        }
      }
    }
  })

  it('names its panels and what they show once', () => {
    const { panels: all } = grafana
    expect(new Set(all.map(({ id }) => id)).size).toBe(all.length)
    expect(new Set(all.map(({ title }) => title)).size).toBe(all.length)
    for (const { title, targets } of panels) {
      expect(new Set(targets.map(({ refId }) => refId)).size, title).toBe(targets.length)
    }
  })

  it('labels lines by what their query groups by', () => {
    for (const { title, targets } of panels) {
      for (const { expr, legendFormat = '' } of targets) {
        const shown = words(legendFormat, /\{\{(\w+)\}\}/g)
        expect(askedBy(filledIn(expr)).groups, title).toEqual(expect.arrayContaining([...shown]))
      }
    }
  })

  it('uses variables that it has, and all of them', () => {
    const defined = grafana.templating.list.map(({ name }) => name)
    const text = readFileSync('deploy/grafana/dashboards/pgwarden.json', 'utf8')
    const used = words(text, /\$\{?([a-z]\w*)/g)
    expect([...new Set(used)].sort()).toEqual([...defined].sort())
  })
})
