// Real client software, first at PostgreSQL itself and then through pgwarden, plain and in TLS: what
// works directly works the same through the proxy. Each client is run once per way; its checks are
// compared one by one. CONFORMANCE_CLIENTS=psql,libpq runs only these; CONFORMANCE_WRITE=1 writes
// docs/clients.md. A client that is not installed is said to be NOT RUN, never to agree.

import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { build } from '../support/executable.ts'
import { olderServerIsInstalled } from '../support/older-server.ts'
import { type Client, checks, findClients, type Run, runClient } from './client.ts'
import { type Findings, report } from './report.ts'
import { checksOf, judge, type Pair, type Verdict } from './verdict.ts'
import { openWays, type Route, type Ways } from './ways.ts'

const chosen = process.env['CONFORMANCE_CLIENTS']?.split(',')
const clients = findClients(chosen)
const findings: Findings[] = []
const opened = new Map<Client['server'], Ways>()

beforeAll(build, 120_000)
afterAll(async () => {
  for (const ways of opened.values()) await ways.stop()
  if (process.env['CONFORMANCE_WRITE'] !== '1') return
  if (chosen !== undefined) throw new Error('docs/clients.md tells of all clients, not of some')
  const servers = [...opened.values()].map(({ serverVersion }) => serverVersion)
  await writeFile(
    fileURLToPath(new URL('../../docs/clients.md', import.meta.url)),
    report(servers, findings),
  )
})

describe.each(clients)('$name', (client) => {
  let plain: Pair
  let tls: Pair

  beforeAll(async () => {
    plain = await runBoth(client, false)
    tls = await runBoth(client, true)
    findings.push({ client: client.name, plain, tls })
    showTroubles(client.name, plain, tls)
  })

  it.for(checks)('%s is the same through pgwarden', (check, context) => {
    const verdicts = compare([plain, tls], check)
    // What is there in TLS only, or in plain only, was shown by that one.
    if (!verdicts.some(({ type }) => type === 'same' || type === 'differs')) {
      context.skip(JSON.stringify(verdicts[0]))
    }
  })

  it('is the same in everything else that it reports', (context) => {
    const others = checksOf([plain, tls]).slice(checks.length)
    const verdicts = others.flatMap((check) => compare([plain, tls], check))
    if (!verdicts.some(({ type }) => type === 'same' || type === 'differs')) {
      context.skip(JSON.stringify(verdicts[0] ?? 'it reports nothing else'))
    }
  })
})

/** Red where the two routes differ. */
function compare(pairs: readonly Pair[], check: string): readonly Verdict[] {
  const verdicts = pairs.map((pair) => judge(pair, check))
  for (const verdict of verdicts) {
    if (verdict.type === 'differs') expect.soft(verdict.through, check).toBe(verdict.direct)
  }
  return verdicts
}

/** Directly and through pgwarden, at the same time: they have nothing in common. */
async function runBoth(client: Client, tls: boolean): Promise<Pair> {
  const ways = await waysFor(client)
  if (ways === undefined) {
    const absent: Run = { type: 'not run', why: 'PostgreSQL 15 is not installed' }
    return { direct: absent, through: absent }
  }
  const run = async (route: Route): Promise<Run> =>
    runClient(client, `${route}-${tls ? 'tls' : 'plain'}`, await ways.environment(route, tls))
  const [direct, through] = await Promise.all([run('direct'), run('through')])
  return { direct, through }
}

async function waysFor({ server }: Client): Promise<Ways | undefined> {
  const known = opened.get(server)
  if (known !== undefined) return known
  if (server === 'older' && !olderServerIsInstalled()) return undefined
  const ways = await openWays(server)
  opened.set(server, ways)
  return ways
}

/** On the console: what shows nothing about pgwarden, and what a client wrote when it differed. */
function showTroubles(name: string, plain: Pair, tls: Pair): void {
  for (const [way, pair] of Object.entries({ plain, TLS: tls })) {
    if (pair.direct.type === 'not run') {
      console.warn(`NOT RUN: ${name}, ${way}: ${pair.direct.why}`)
      continue
    }
    for (const check of checksOf([pair])) {
      const verdict = judge(pair, check)
      if (verdict.type === 'fails directly') {
        console.warn(`FAILS DIRECTLY: ${name}, ${way}, ${check}: ${verdict.detail}`)
      } else if (verdict.type === 'differs' && pair.through.type === 'ran') {
        console.warn(`DIFFERS: ${name}, ${way}, ${check}`, verdict, pair.through.stderr)
      }
    }
  }
}
