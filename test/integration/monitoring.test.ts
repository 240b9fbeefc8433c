// deploy/ with a real Prometheus: it scrapes a pgwarden at work and in trouble, every query of the dashboard is
// answered, and what was done to pgwarden fires the alerts that it should. Waits of the rules are cut to nothing,
// thresholds and windows are as they are.

import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { build } from '../support/executable.ts'
import { fileSizeLimit } from '../support/full-disk.ts'
import { MonitoredShop, metricsToken } from '../support/monitored-shop.ts'
import { filledIn, panels, rulesFile, ruleTestFiles, scrapeFile } from '../support/monitoring.ts'
import { type Alert, Prometheus } from '../support/prometheus.ts'
import { findPrometheus, findPromtool, runProgram } from '../support/psql.ts'

const program = findPrometheus()
const promtool = findPromtool()
if (program === undefined) console.warn('NOT RUN: rules and dashboards need prometheus')
if (promtool === undefined) console.warn('NOT RUN: rules need promtool, of prometheus')

/** Lines of panels without data, and why. */
const empty = new Map([
  ['Tripwires: {{role}} {{setting}}', 'nothing gets round the policy'],
  ['Workers: {{state}}', 'there are none'],
  ['Workers: died within an hour', 'there are none'],
])

describe.skipIf(promtool === undefined)('promtool', () => {
  const runs = (...words: readonly string[]) => runProgram(promtool ?? '', words)

  it('finds nothing wrong with the rules, and their tests pass', async () => {
    expect(await runs('check', 'rules', rulesFile)).toMatchObject({ status: 0 })
    expect(await runs('test', 'rules', ...ruleTestFiles)).toMatchObject({ status: 0, stderr: '' })
  })

  it('finds nothing wrong with the example of a scrape, but that its token is elsewhere', async () => {
    const said = await runs('check', 'config', '--syntax-only', scrapeFile)
    expect(said).toMatchObject({ status: 0, stderr: '' })
  })
})

describe.skipIf(program === undefined)('a pgwarden that Prometheus watches', () => {
  let shop: MonitoredShop
  let prometheus: Prometheus

  beforeAll(async () => {
    await build()
    shop = await MonitoredShop.start(inject('adminUrl'))
    prometheus = await Prometheus.start({
      program: program ?? '',
      files: {
        'pgwarden.rules.yaml': hasty(await readFile(rulesFile, 'utf8')),
        'metrics-token': metricsToken,
      },
      configuration: scrapeOf(shop.metricsPort),
    })
  }, 120_000)
  afterAll(async () => {
    await prometheus.stop()
    await shop.close()
  })

  /** Waits for these alerts; each says something of its own in its sentence. */
  async function fires(expected: Readonly<Record<string, string>>): Promise<void> {
    let firing: readonly Alert[] = []
    await eventually(async () => {
      firing = await prometheus.firing()
      return Object.keys(expected).every((name) => named(firing, name) !== undefined)
    }, 15_000).catch(() => undefined)
    const said = Object.keys(expected).map((name) => [name, named(firing, name)])
    expect(Object.fromEntries(said)).toEqual(
      Object.fromEntries(
        Object.entries(expected).map(([name, words]) => [name, expect.stringContaining(words)]),
      ),
    )
  }

  it('that works: nothing fires but what was wrong from the beginning', async () => {
    shop.open()
    await fires({
      PgwardenCertificateExpires: 'expires in 1d ',
      PgwardenCertificateExpiresSoon: shop.address,
      PgwardenVaultNotAnswering: 'finds no Vault',
      PgwardenVaultTokenExpires: 'there is none',
    })
    const others = async (): Promise<readonly string[]> => {
      const names = (await prometheus.firing()).map(({ labels }) => labels['alertname'] ?? '')
      // The machine may be busy with other tests.
      return names.filter((name) => !/Certificate|Vault|EventLoop/.test(name))
    }
    // Before the first scrape no pgwarden is known.
    await eventually(async () => (await others()).length === 0).catch(() => undefined)
    expect(await others()).toEqual([])
  })

  it('whose listener is full', async () => {
    const release = await shop.fill()
    await fires({ PgwardenConnectionsNearLimit: shop.address, PgwardenConnectionsRefused: 'about' })
    await release()
  })

  it('whose journal cannot be written', async () => {
    const { run, journalDirectory } = shop.warden
    const disk = await fileSizeLimit(run?.process.pid ?? 0, journalDirectory)
    if (disk === undefined) {
      console.warn('NOT RUN: a full disk needs prlimit')
      return
    }
    await disk.fill()
    await fires({
      PgwardenJournalFails: 'cannot write its journal',
      PgwardenStatementsRefused: 'because of its journal: ',
    })
    await disk.free()
    await eventually(() => shop.letsIn())
  })

  it('whose target cannot be reached', async () => {
    await shop.cutOff()
    await fires({
      PgwardenLoginsFail: '%',
      PgwardenTargetUnreachable: 'shop',
      PgwardenLeaseIssueFails: 'broker',
      PgwardenLeaseRevokeFails: 'broker',
    })
  })

  it('fills every panel of the dashboard', async () => {
    const without: string[] = []
    for (const { title, targets } of panels) {
      for (const { expr, legendFormat = '' } of targets) {
        const result = await prometheus.range(filledIn(expr))
        const numbers = result.flatMap(({ values }) =>
          values.filter(([, value]) => value !== 'NaN'),
        )
        if (numbers.length === 0) without.push(`${title}: ${legendFormat}`)
      }
    }
    expect(without).toEqual([...empty.keys()])
  })

  it('that is gone', async () => {
    shop.warden.run?.process.kill('SIGKILL')
    await fires({ PgwardenDown: 'No process', PgwardenInstanceDown: 'does not answer' })
  })
})

function named(firing: readonly Alert[], name: string): string | undefined {
  return firing.find(({ labels }) => labels['alertname'] === name)?.annotations['description']
}

/** The rules, for who has no time. */
function hasty(rules: string): string {
  return rules
    .replaceAll(/^( +)for: \w+$/gm, '$1for: 0s')
    .replaceAll(/interval: \w+$/gm, 'interval: 1s')
}

function scrapeOf(port: number): string {
  return `
global: { scrape_interval: 1s, evaluation_interval: 1s }
rule_files: [pgwarden.rules.yaml]
scrape_configs:
  - job_name: pgwarden
    authorization: { type: Bearer, credentials_file: metrics-token }
    static_configs: [{ targets: ['127.0.0.1:${port}'] }]
`
}
