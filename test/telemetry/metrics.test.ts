import { describe, expect, it } from 'vitest'
import { createMetrics } from '../../src/telemetry/metrics.ts'

const memory = { hits: 0, misses: 0 }

/** The samples of a scrape as name{labels} -> value. */
async function scrape(metrics: ReturnType<typeof createMetrics>): Promise<Map<string, number>> {
  const samples = new Map<string, number>()
  for (const line of (await metrics.text()).split('\n')) {
    if (line === '' || line.startsWith('#')) continue
    const space = line.lastIndexOf(' ')
    samples.set(line.slice(0, space), Number(line.slice(space + 1)))
  }
  return samples
}

describe('the metrics', () => {
  it('are in the text format of Prometheus, with help for each', async () => {
    const metrics = createMetrics('1.2.3', () => memory)
    expect(metrics.contentType).toContain('text/plain; version=0.0.4')
    const text = await metrics.text()
    const described = [...text.matchAll(/^# HELP (\S+) \S/gm)].map(([, name]) => name)
    const typed = [...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name)
    expect(described).toEqual(typed)
    expect(described).toContain('process_resident_memory_bytes')
    expect(described).toContain('nodejs_eventloop_lag_seconds')
    expect(described.filter((name) => name?.startsWith('pgwarden_')).sort()).toEqual([
      'pgwarden_build_info',
      'pgwarden_cancels_total',
      'pgwarden_catalog_functions',
      'pgwarden_catalog_reads_total',
      'pgwarden_client_bytes_total',
      'pgwarden_connections_total',
      'pgwarden_draining',
      'pgwarden_journal_backlog_records',
      'pgwarden_journal_bytes_total',
      'pgwarden_journal_failures_total',
      'pgwarden_journal_lost_records_total',
      'pgwarden_journal_records_total',
      'pgwarden_journal_sync_duration_seconds',
      'pgwarden_journal_write_duration_seconds',
      'pgwarden_lease_operation_duration_seconds',
      'pgwarden_leases',
      'pgwarden_leases_orphaned',
      'pgwarden_logins_total',
      'pgwarden_policy_lookups_total',
      'pgwarden_revocation_seconds',
      'pgwarden_sessions',
      'pgwarden_statement_duration_seconds',
      'pgwarden_statements_total',
      'pgwarden_tls_certificate_expiry_timestamp_seconds',
      'pgwarden_tls_certificate_loads_total',
      'pgwarden_tripwires_total',
    ])
  })

  it('say what is running', async () => {
    const samples = await scrape(createMetrics('1.2.3', () => memory))
    expect(samples.get(`pgwarden_build_info{version="1.2.3",node="${process.version}"}`)).toBe(1)
  })

  it('count sessions that are open now', async () => {
    const metrics = createMetrics('1', () => memory)
    metrics.sessionOpened('read_only', 'shop')
    metrics.sessionOpened('read_only', 'shop')
    metrics.sessionClosed('read_only', 'shop')
    const samples = await scrape(metrics)
    expect(samples.get('pgwarden_sessions{role="read_only",target="shop"}')).toBe(1)
  })

  it('count statements by role, tag and decision, each once however often they are scraped', async () => {
    const metrics = createMetrics('1', () => memory)
    for (let i = 0; i < 1000; i += 1) metrics.statement('read_only', 'SELECT', 'allow')
    metrics.statement('read_only', 'DELETE', 'deny')
    await scrape(metrics)
    metrics.statement('read_only', 'DELETE', 'deny')
    const samples = await scrape(metrics)
    const of = (tag: string, decision: string): number | undefined =>
      samples.get(`pgwarden_statements_total{role="read_only",tag="${tag}",decision="${decision}"}`)
    expect(of('SELECT', 'allow')).toBe(1000)
    expect(of('DELETE', 'deny')).toBe(2)
    expect(of('DELETE', 'allow')).toBeUndefined()
  })

  it('count logins, connections, cancels and bytes', async () => {
    const metrics = createMetrics('1', () => memory)
    metrics.login('refused', 'token_spent')
    metrics.connection('login')
    metrics.cancel('sent')
    metrics.bytes('to_client', 100)
    metrics.bytes('to_client', 50)
    metrics.bytes('to_upstream', 7)
    metrics.catalogRead('shop', 'changed', 12)
    metrics.catalogRead('shop', 'failed', undefined)
    const samples = await scrape(metrics)
    expect(samples.get('pgwarden_logins_total{result="refused",reason="token_spent"}')).toBe(1)
    expect(samples.get('pgwarden_connections_total{result="login"}')).toBe(1)
    expect(samples.get('pgwarden_cancels_total{result="sent"}')).toBe(1)
    expect(samples.get('pgwarden_client_bytes_total{direction="to_client"}')).toBe(150)
    expect(samples.get('pgwarden_client_bytes_total{direction="to_upstream"}')).toBe(7)
    expect(samples.get('pgwarden_catalog_reads_total{target="shop",result="failed"}')).toBe(1)
    expect(samples.get('pgwarden_catalog_functions{target="shop"}')).toBe(12)
  })

  it('measure statements and journal writes in seconds', async () => {
    const metrics = createMetrics('1', () => memory)
    metrics.statementEnded('admin', 0.004)
    metrics.journal.wrote(3, 900, 2)
    metrics.journal.failed(3, undefined)
    const samples = await scrape(metrics)
    const statement = 'pgwarden_statement_duration_seconds'
    expect(samples.get(`${statement}_bucket{le="0.0025",role="admin"}`)).toBe(0)
    expect(samples.get(`${statement}_bucket{le="0.005",role="admin"}`)).toBe(1)
    expect(samples.get('pgwarden_journal_write_duration_seconds_sum')).toBe(0.002)
    expect(samples.get('pgwarden_journal_records_total')).toBe(3)
    expect(samples.get('pgwarden_journal_bytes_total')).toBe(900)
    expect(samples.get('pgwarden_journal_failures_total')).toBe(1)
  })

  it('show a journal failure counter before anything failed, so that an alert can watch it', async () => {
    const samples = await scrape(createMetrics('1', () => memory))
    expect(samples.get('pgwarden_journal_failures_total')).toBe(0)
  })

  it('tells how often a query string was known already', async () => {
    const sums = { hits: 3, misses: 1 }
    const metrics = createMetrics('1.2.3', () => sums)
    await metrics.text()
    sums.hits = 10
    const samples = await scrape(metrics)
    expect(samples.get('pgwarden_policy_lookups_total{result="hit"}')).toBe(10)
    expect(samples.get('pgwarden_policy_lookups_total{result="miss"}')).toBe(1)
  })

  it('tell whether Vault serves, what came of each request, and when our token ends', async () => {
    const metrics = createMetrics('1', () => memory)
    const vault = metrics.vault()
    const now = async (name: string): Promise<number | undefined> =>
      (await scrape(metrics)).get(`pgwarden_vault_${name}`)
    vault.asked('ok', 20)
    vault.tokenEnds(1_700_000_000_000)
    expect(await now('up')).toBe(1)
    expect(await now('requests_total{result="ok"}')).toBe(1)
    expect(await now('request_duration_seconds_sum')).toBe(0.02)
    expect(await now('token_expiry_timestamp_seconds')).toBe(1_700_000_000)
    vault.asked('sealed', 1)
    vault.breaker(true)
    expect(await now('up')).toBe(0)
    expect(await now('breaker_open')).toBe(1)
    // Refused, by a Vault that serves.
    vault.asked('denied', 1)
    vault.breaker(false)
    expect(await now('up')).toBe(1)
    expect(await now('breaker_open')).toBe(0)
    vault.tokenEnds(undefined)
    expect((await metrics.text()).split('\n')).toContain(
      'pgwarden_vault_token_expiry_timestamp_seconds +Inf',
    )
  })

  it('say nothing of Vault where there is none: a gauge at 0 would look like an outage', async () => {
    expect(await createMetrics('1', () => memory).text()).not.toContain('vault')
  })
})
