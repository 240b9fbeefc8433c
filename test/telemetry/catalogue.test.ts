// The catalogue of metrics: that its names are Prometheus', that a process shows what it says, and that
// docs/metrics.md says the same. METRICS_WRITE=1 writes that page.

import { readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { catalogue } from '../../src/telemetry/catalogue.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { metricsPage } from './metrics-page.ts'

const page = new URL('../../docs/metrics.md', import.meta.url)
const all = catalogue.flatMap(({ metrics }) => Object.values(metrics))

describe('the catalogue of metrics', () => {
  it('is what docs/metrics.md says: npm run metrics:write', () => {
    const expected = metricsPage(catalogue)
    if (process.env['METRICS_WRITE'] === '1') writeFileSync(page, expected)
    expect(readFileSync(page, 'utf8')).toBe(expected)
  })

  it.runIf(process.platform === 'linux')(
    'has what a process shows, and nothing besides',
    async () => {
      const metrics = createMetrics('1', () => ({ hits: 0, misses: 0 }))
      metrics.vault()
      metrics.notifications()
      metrics.sinks(() => 0)
      metrics.checkpoints()
      metrics.api()
      metrics.workers().counted(() => ({ running: 0, starting: 0 }))
      metrics.desk(() => Promise.resolve(0), systemClock)
      metrics.reloads(() => 0)
      metrics.store(() => ({ busy: 0, idle: 0, waiting: 0 }))
      const text = await metrics.text()
      const shown = [...text.matchAll(/^# HELP (\S+) (.+)\n# TYPE \S+ (\w+)$/gm)]
      const declared = all.map(({ name, help, type }) => [name, help, type])
      expect(shown.map(([, ...said]) => said).sort()).toEqual(declared.sort())
    },
  )

  it('follows the conventions of Prometheus', () => {
    for (const { name, type, help, labels = [] } of all) {
      expect(name).toMatch(/^(pgwarden|process|nodejs)(_[a-z0-9]+)+$/)
      expect(name.endsWith('_total'), name).toBe(type === 'counter')
      expect(name).not.toMatch(/_(ms|millis|milliseconds|minutes|hours|kb|mb|percent)(_|$)/)
      expect(name).not.toMatch(/_(count|sum|bucket)$/)
      if (type === 'histogram') expect(name).toMatch(/_(seconds|bytes)$/)
      expect(help, name).toMatch(/^[A-Z].*[^.]\.$/)
      for (const label of labels) {
        expect(label.name).toMatch(/^[a-z][a-z_]*$/)
        // The exposition's own, and those that Prometheus and the supervisor add.
        expect(['le', 'quantile', 'job', 'instance', 'worker']).not.toContain(label.name)
      }
    }
    expect(new Set(all.map(({ name }) => name)).size).toBe(all.length)
  })
})
