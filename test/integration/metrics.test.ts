// What a running pgwarden has counted, on a listener of its own and behind a token, as Prometheus reads it.

import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, inject, it, vi } from 'vitest'
import { freePort } from '../support/ports.ts'
import { Warden } from '../support/warden.ts'

const promtool = '/usr/bin/promtool'
const hasPromtool = existsSync(promtool)
if (!hasPromtool) console.warn('NOT RUN: what promtool says of a scrape: it is not installed')

const token = 'for-those-who-scrape'
let warden: Warden
let metrics: URL

beforeAll(async () => {
  const port = await freePort()
  metrics = new URL(`http://127.0.0.1:${port}/metrics`)
  warden = await Warden.start(inject('adminUrl'), {
    schema: 'create table items (n int)',
    http: [`metrics: { port: ${port}, token: ${token} }`],
  })
})
afterAll(() => warden.stop())

/** All series by name and labels, as they are written. */
async function scrape(): Promise<Map<string, number>> {
  const samples = new Map<string, number>()
  for (const line of (await text()).split('\n')) {
    const space = line.lastIndexOf(' ')
    if (!line.startsWith('#') && space > 0) {
      samples.set(line.slice(0, space), Number(line.slice(space + 1)))
    }
  }
  return samples
}

async function text(): Promise<string> {
  return (await fetch(metrics, { headers: { authorization: `Bearer ${token}` } })).text()
}

describe('a listener for metrics', () => {
  it('answers a scrape with the token, and probes without', async () => {
    expect((await fetch(metrics)).status).toBe(401)
    expect(await text()).toContain('\npgwarden_build_info{')
    for (const probe of ['/healthz', '/readyz']) {
      expect((await fetch(new URL(probe, metrics))).status).toBe(200)
    }
    expect((await fetch(new URL('/api/v1/me', metrics))).status).toBe(404)
  })

  it('has what the API no longer shows', async () => {
    const elsewhere = await fetch(new URL('/metrics', warden.apiUrl))
    expect(elsewhere.status).toBe(404)
    expect(await elsewhere.text()).toContain(`on port ${metrics.port}`)
  })
})

describe('a scrape', () => {
  it('tells what sessions do now, and counts their bytes while they live', async () => {
    const before = await scrape()
    const of = 'target="shop",role="read_only"'
    const client = await warden.connect('read_only')
    try {
      await client.query('begin')
      const now = await scrape()
      const grown = (series: string): number => (now.get(series) ?? 0) - (before.get(series) ?? 0)
      expect(now.get(`pgwarden_sessions{${of},state="idle_in_transaction"}`)).toBe(1)
      const listener = `listener="127.0.0.1:${warden.port}"`
      expect(now.get(`pgwarden_connections{${listener},state="session"}`)).toBe(1)
      expect(now.get(`pgwarden_connections{${listener},state="opening"}`)).toBe(0)
      expect(now.get(`pgwarden_connections_max{${listener}}`)).toBe(1000)
      expect(grown('pgwarden_client_bytes_total{direction="to_client"}')).toBeGreaterThan(10)
      expect(grown('pgwarden_client_bytes_total{direction="to_upstream"}')).toBeGreaterThan(10)
      expect(grown('pgwarden_login_duration_seconds_count{result="ok"}')).toBe(1)
      const connects = 'pgwarden_upstream_connect_duration_seconds_count'
      expect(grown(`${connects}{target="shop",result="ok"}`)).toBe(1)
      await client.query('commit')
      const running = client.query('select pg_sleep(0.5)')
      await vi.waitFor(async () => {
        expect((await scrape()).get(`pgwarden_sessions{${of},state="active"}`)).toBe(1)
      })
      await running
    } finally {
      await client.end()
    }
    await vi.waitFor(async () => {
      const after = await scrape()
      for (const state of ['idle', 'active', 'idle_in_transaction']) {
        expect(after.get(`pgwarden_sessions{${of},state="${state}"}`) ?? 0).toBe(0)
      }
    })
  })

  it('tells what pgwarden took of each statement, and what it denied to whom', async () => {
    const before = await scrape()
    const client = await warden.connect('read_only')
    try {
      await client.query("set application_name to 'anything'")
      await client.query('select n from items where n = $1', [1])
      await client.query('select 1')
      await expect(client.query('delete from items')).rejects.toThrow('permission denied')
    } finally {
      await client.end()
    }
    const now = await scrape()
    const grown = (series: string): number => (now.get(series) ?? 0) - (before.get(series) ?? 0)
    const added = 'pgwarden_statement_added'
    expect(grown(`${added}_latency_seconds_count`)).toBe(3)
    expect(grown(`${added}_seconds_count{part="policy"}`)).toBe(3)
    expect(grown(`${added}_seconds_count{part="journal"}`)).toBe(3)
    expect(grown(`${added}_seconds_count{part="parse"}`)).toBe(4)
    const parts =
      grown(`${added}_seconds_sum{part="policy"}`) + grown(`${added}_seconds_sum{part="journal"}`)
    expect(grown(`${added}_latency_seconds_sum`)).toBeCloseTo(parts, 9)
    const denied = 'tag="DELETE",decision="deny",rule="commands"'
    expect(grown(`pgwarden_statements_total{role="read_only",${denied}}`)).toBe(1)
    // The driver gave no name when it logged in.
    expect(grown('pgwarden_denials_total{role="read_only",application="none"}')).toBe(1)
  })

  it('tells of the store and of requests for access', async () => {
    const now = await scrape()
    expect(now.get('pgwarden_requests_pending')).toBe(0)
    expect(now.get('pgwarden_store_connections{state="waiting"}')).toBe(0)
    expect(now.get('pgwarden_store_connections{state="idle"}')).toBeGreaterThan(0)
  })

  it.skipIf(!hasPromtool)('is as promtool likes it', async () => {
    const said = await new Promise<string>((resolve) => {
      const child = execFile(promtool, ['check', 'metrics'], (error, stdout, stderr) =>
        resolve(`${error?.message ?? ''}${stdout}${stderr}`),
      )
      void text().then((scraped) => child.stdin?.end(scraped))
    })
    expect(said).toBe('')
  })
})
