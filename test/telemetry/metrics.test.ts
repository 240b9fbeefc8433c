import { describe, expect, it } from 'vitest'
import { createMetrics } from '../../src/telemetry/metrics.ts'

const memory = { hits: 0, misses: 0 }
const took = { durationMs: 1, policyMs: 0.1, auditMs: 0.1 }

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
  })

  it('say what is running', async () => {
    const samples = await scrape(createMetrics('1.2.3', () => memory))
    expect(samples.get(`pgwarden_build_info{version="1.2.3",node="${process.version}"}`)).toBe(1)
  })

  it('tell how many sessions there are by target, role and state, and 0 when they are over', async () => {
    const metrics = createMetrics('1', () => memory)
    let activities: { target: string; role: string; state: 'idle' | 'active' }[] = [
      { target: 'shop', role: 'read_only', state: 'idle' },
      { target: 'shop', role: 'read_only', state: 'idle' },
      { target: 'shop', role: 'admin', state: 'active' },
    ]
    const attendance = { listener: '127.0.0.1:6432', opening: 1, sessions: 3, max: 100 }
    metrics.observe({ activities: () => activities, attendances: () => [attendance] })
    const samples = await scrape(metrics)
    expect(samples.get('pgwarden_sessions{target="shop",role="read_only",state="idle"}')).toBe(2)
    expect(samples.get('pgwarden_sessions{target="shop",role="admin",state="active"}')).toBe(1)
    const of = 'listener="127.0.0.1:6432"'
    expect(samples.get(`pgwarden_connections{${of},state="opening"}`)).toBe(1)
    expect(samples.get(`pgwarden_connections{${of},state="session"}`)).toBe(3)
    expect(samples.get(`pgwarden_connections_max{${of}}`)).toBe(100)
    activities = []
    const later = await scrape(metrics)
    expect(later.get('pgwarden_sessions{target="shop",role="admin",state="active"}')).toBe(0)
  })

  it('count statements by role, tag, decision and rule, each once however often they are scraped', async () => {
    const metrics = createMetrics('1', () => memory)
    for (let i = 0; i < 1000; i += 1) metrics.statementEnded('read_only', ['SELECT'], took)
    metrics.statementDenied('read_only', ['DELETE'], 'read_only/commands', 'psql')
    await scrape(metrics)
    metrics.statementDenied('read_only', ['DELETE'], 'read_only/commands', 'psql')
    metrics.statementDenied('read_only', [], 'read_only/parse', 'DBeaver 24.1.0 - Main <postgres>')
    const samples = await scrape(metrics)
    const of = (tag: string, decision: string, rule: string): number | undefined =>
      samples.get(
        `pgwarden_statements_total{role="read_only",tag="${tag}",decision="${decision}",rule="${rule}"}`,
      )
    expect(of('SELECT', 'allow', 'none')).toBe(1000)
    expect(of('DELETE', 'deny', 'commands')).toBe(2)
    expect(of('none', 'deny', 'parse')).toBe(1)
    expect(of('DELETE', 'allow', 'none')).toBeUndefined()
    const denied = 'pgwarden_denials_total{role="read_only",application='
    expect(samples.get(`${denied}"psql"}`)).toBe(2)
    expect(samples.get(`${denied}"dbeaver"}`)).toBe(1)
  })

  it('tell what pgwarden itself took of a statement, as a whole and by part', async () => {
    const metrics = createMetrics('1', () => memory)
    metrics.statementEnded('admin', ['SELECT'], { durationMs: 90, policyMs: 1, auditMs: 3 })
    // Its session was over before it could be recorded: it was never sent.
    metrics.statementEnded('admin', ['SELECT'], {
      durationMs: 90,
      policyMs: 1,
      auditMs: undefined,
    })
    metrics.parsed(0.4)
    const samples = await scrape(metrics)
    const latency = 'pgwarden_statement_added_latency_seconds'
    expect(samples.get(`${latency}_sum`)).toBe(0.004)
    expect(samples.get(`${latency}_bucket{le="0.0025"}`)).toBe(0)
    expect(samples.get(`${latency}_bucket{le="0.005"}`)).toBe(1)
    expect(samples.get(`${latency}_bucket{le="+Inf"}`)).toBe(1)
    const part = 'pgwarden_statement_added_seconds_sum{part='
    expect(samples.get(`${part}"parse"}`)).toBe(0.0004)
    expect(samples.get(`${part}"policy"}`)).toBe(0.001)
    expect(samples.get(`${part}"journal"}`)).toBe(0.003)
  })

  it('tell why the journal did not take the records of statements', async () => {
    const metrics = createMetrics('1', () => memory)
    metrics.statementsRefused(2, Object.assign(new Error('no space'), { code: 'ENOSPC' }))
    metrics.statementsRefused(1, new Error('the file takes no more bytes'))
    const samples = await scrape(metrics)
    const refused = 'pgwarden_journal_refused_statements_total{cause='
    expect(samples.get(`${refused}"disk_full"}`)).toBe(2)
    expect(samples.get(`${refused}"other"}`)).toBe(1)
  })

  it('count logins, connections, cancels and bytes', async () => {
    const metrics = createMetrics('1', () => memory)
    metrics.login('refused', 'token_spent', 0.02)
    metrics.connection('login')
    metrics.cancel('sent')
    metrics.bytes('to_client', 100)
    metrics.bytes('to_client', 50)
    metrics.bytes('to_upstream', 7)
    metrics.catalogRead('shop', 'changed', 12)
    metrics.catalogRead('shop', 'failed', undefined)
    const samples = await scrape(metrics)
    expect(samples.get('pgwarden_logins_total{result="refused",reason="token_spent"}')).toBe(1)
    expect(samples.get('pgwarden_login_duration_seconds_bucket{le="0.01",result="refused"}')).toBe(
      0,
    )
    expect(samples.get('pgwarden_login_duration_seconds_bucket{le="0.025",result="refused"}')).toBe(
      1,
    )
    expect(samples.get('pgwarden_connections_total{result="login"}')).toBe(1)
    expect(samples.get('pgwarden_cancels_total{result="sent"}')).toBe(1)
    expect(samples.get('pgwarden_client_bytes_total{direction="to_client"}')).toBe(150)
    expect(samples.get('pgwarden_client_bytes_total{direction="to_upstream"}')).toBe(7)
    expect(samples.get('pgwarden_catalog_reads_total{target="shop",result="failed"}')).toBe(1)
    expect(samples.get('pgwarden_catalog_functions{target="shop"}')).toBe(12)
  })

  it('measure statements and journal writes in seconds', async () => {
    const metrics = createMetrics('1', () => memory)
    metrics.statementEnded('admin', ['SELECT'], { ...took, durationMs: 4 })
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
