// The data plane put together: the listeners, and everything that a login and a session need. Part of the
// composition root; decides nothing.

import type { Change } from '../access/change.ts'
import { GrantChanges } from '../access/grant-changes.ts'
import { TokenLogin } from '../access/login.ts'
import { SittingKeeper } from '../access/sittings.ts'
import type { ReadinessCheck } from '../api/readiness.ts'
import type { Config } from '../config/config.ts'
import { Aside } from '../parsing/aside.ts'
import { Policy, type PolicyOptions } from '../policy/policy.ts'
import { Listeners } from '../proxy/listeners.ts'
import type { Rulebook } from '../proxy/ports.ts'
import { watchCertificate } from './certificates.ts'
import type { Ground } from './ground.ts'
import type { Run } from './run.ts'
import { sharedLimits, shareOf } from './shares.ts'
import { openUpstreams } from './upstreams.ts'

export interface DataPlane {
  /** That are listened on, in the order of the configuration. */
  readonly ports: readonly number[]
  /** Of what is only known there. */
  readonly checks: readonly ReadinessCheck[]
  /** What a scrape answers, of all processes of the run. */
  metricsText(): Promise<string>
  /** Accepts nothing more, and lets sessions end by themselves until `signal`. Resolves with how many are left. */
  drain(signal: AbortSignal): Promise<number>
}

/** One whose sessions are this process's own. */
export interface OwnDataPlane extends DataPlane {
  /** Ends all sessions after a defect that nobody has caught. Their clients are told. */
  fail(): void
}

export async function openDataPlane(run: Run, ground: Ground): Promise<OwnDataPlane> {
  const { part, config, log, clock, metrics, started, problem } = run
  const { journal, store, notices, registry, guard, hear } = ground
  const aside = new Aside({ onProblem: problem('parsing of long texts') })
  started('parsing of long texts', () => aside.stop())
  const rulebook = {
    current: rulebookOf(config, {
      lookups: run.lookups,
      analyseAside: (text, limits, gone) => aside.analyse(text, limits, gone),
    }),
  }

  const { connector, leases, catalogs } = openUpstreams(run, ground)

  const sittings = new SittingKeeper(store, clock, config.tokens, problem('sittings'))
  sittings.start()
  started('sittings', () => sittings.stop())

  const listenerOptions = []
  for (const listen of config.listen) {
    listenerOptions.push({
      ...listen,
      maxConnections: shareOf(part, listen.maxConnections),
      maxConnectionsPerAddress: shareOf(part, listen.maxConnectionsPerAddress),
      certificates: await watchCertificate(run, journal, listen, listen.tls),
    })
  }
  const changes = new GrantChanges()
  const listeners = new Listeners(listenerOptions, {
    tokens: new TokenLogin(store, clock, config.tokens, changes),
    credentials: leases,
    upstream: connector,
    rulebook,
    journal,
    guard,
    publicUrl: config.http.url,
    sittings,
    catalogs,
    notices,
    changes,
    grants: store,
    registry,
    clock,
    meter: metrics,
    log,
  })
  hear((change) => takeEffect(change, listeners))
  const ports = await listeners.start()
  started('listeners', () => listeners.stop())
  return {
    ports,
    checks: [],
    metricsText: () => metrics.text(),
    drain: (signal) => listeners.drain(signal),
    fail: () => listeners.fail(),
  }
}

/** What logins and sessions go by. @throws Failure when a role names what does not exist. */
function rulebookOf(
  { roles, targets, audit, limits }: Config,
  options: Omit<PolicyOptions, 'maxBytes'>,
): Rulebook {
  const maxBytes = limits.statementBytes
  const policy = new Policy(roles, { ...options, maxBytes })
  return { policy, targets, recording: audit.recording, maxStatementBytes: maxBytes, limits }
}

/** On the sessions and logins of this process. */
function takeEffect(change: Change, listeners: Listeners): void {
  switch (change.type) {
    case 'grant.revoked':
      listeners.grantRevoked(change.grant.id)
      return
    case 'grant.extended':
      listeners.grantExtended(change.grant.id)
      return
    default:
      return
  }
}
