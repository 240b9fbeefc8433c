// What deploy/ has for Prometheus and Grafana, read as far as tests look at it.

import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { z } from 'zod'

export const rulesFile = 'deploy/prometheus/pgwarden.rules.yaml'
export const ruleTestFiles = ['rules', 'slow'].map(
  (name) => `deploy/prometheus/pgwarden.${name}.test.yaml`,
)
export const scrapeFile = 'deploy/prometheus/prometheus.yaml'

const alert = z.object({
  alert: z.string(),
  expr: z.string(),
  for: z.string().optional(),
  labels: z.object({ severity: z.enum(['page', 'ticket']) }),
  annotations: z.object({ summary: z.string(), description: z.string(), runbook_url: z.string() }),
})
const recording = z.object({ record: z.string(), expr: z.string() })
const rules = z.object({
  groups: z.array(z.object({ rules: z.array(z.union([alert, recording])) })),
})

const panel = z.object({
  id: z.number(),
  type: z.string(),
  title: z.string(),
  gridPos: z.object({ x: z.number(), y: z.number(), w: z.number(), h: z.number() }),
  description: z.string().optional(),
  fieldConfig: z.object({ defaults: z.object({ unit: z.string() }) }).optional(),
  targets: z
    .array(z.object({ refId: z.string(), expr: z.string(), legendFormat: z.string().optional() }))
    .default([]),
})
const dashboard = z.object({
  panels: z.array(panel),
  annotations: z.object({
    list: z.array(z.object({ name: z.string(), target: z.object({ expr: z.string() }) })),
  }),
  templating: z.object({ list: z.array(z.object({ name: z.string(), query: z.unknown() })) }),
})

type Panel = z.infer<typeof panel>
type AlertRule = z.infer<typeof alert>

const { groups } = rules.parse(parse(readFileSync(rulesFile, 'utf8')))
const allRules = groups.flatMap((group) => group.rules)

export const alertRules: readonly AlertRule[] = allRules.filter((rule) => 'alert' in rule)
export const recordingRules = allRules.filter((rule) => 'record' in rule)
export const grafana = dashboard.parse(
  JSON.parse(readFileSync('deploy/grafana/dashboards/pgwarden.json', 'utf8')),
)
/** Without the headings of rows. */
export const panels: readonly Panel[] = grafana.panels.filter(({ type }) => type !== 'row')

/** An expression of the dashboard as Grafana sends it, with everything chosen. */
export function filledIn(expression: string, rateInterval = '10s'): string {
  const filled = expression.replaceAll('$__rate_interval', rateInterval)
  return filled.replaceAll(/\$(job|instance|target|role)\b/g, '.*')
}
