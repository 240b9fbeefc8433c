// The data plane put together: the listeners, and everything that a login and a session need. Part of the
// composition root; decides nothing.

import type { Change } from '../access/change.ts'
import { GrantChanges } from '../access/grant-changes.ts'
import { TokenLogin } from '../access/login.ts'
import { SittingKeeper } from '../access/sittings.ts'
import type { ReadinessCheck } from '../api/readiness.ts'
import type { Config } from '../config/config.ts'
import { same } from '../config/same.ts'
import { Policy } from '../policy/policy.ts'
import { Listeners } from '../proxy/listeners.ts'
import type { Rulebook } from '../proxy/ports.ts'
import { timedConnector } from '../telemetry/observers.ts'
import { bracketed, watchCertificate } from './certificates.ts'
import type { Ground } from './ground.ts'
import { openParsing } from './parsing.ts'
import type { Part, Run } from './run.ts'
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
  const { part, config, inForce, log, clock, metrics, started, problem } = run
  const { journal, store, notices, registry, guard, hear } = ground
  const options = { lookups: run.lookups, ...openParsing(run) }
  const policyOf = ({ roles, limits }: Config) =>
    new Policy(roles, { ...options, maxBytes: limits.statementBytes })
  const rulebook = { current: rulebookOf(part, config, policyOf(config)) }

  const { connector, leases, catalogs } = openUpstreams(run, ground)

  const rules = () => inForce.current.tokens
  const sittings = new SittingKeeper(store, clock, rules, problem('sittings'))
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
    tokens: new TokenLogin(store, clock, rules, changes),
    credentials: leases,
    upstream: timedConnector(connector, metrics, clock),
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
    tracing: run.tracing,
    log,
  })
  hear((change) => takeEffect(change, listeners))
  metrics.observe({
    activities: () => listeners.activities,
    attendances: () =>
      listeners.attendances.map(({ address, port, ...clients }) => ({
        listener: `${bracketed(address)}:${port}`,
        ...clients,
      })),
  })
  inForce.follow((wanted) => {
    // What it has judged stays known, where nothing would be judged in another way.
    const { policy } = rulebook.current
    const next = rulebookOf(
      part,
      wanted,
      judgesAlike(inForce.current, wanted) ? policy : policyOf(wanted),
    )
    return () => {
      rulebook.current = next
      listeners.reloaded()
    }
  })
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

/** What logins and sessions go by. */
function rulebookOf(part: Part, { targets, audit, limits }: Config, policy: Policy): Rulebook {
  const { statementBytes: maxStatementBytes } = limits
  const { recording } = audit
  return { policy, targets, recording, maxStatementBytes, limits: sharedLimits(part, limits) }
}

function judgesAlike(one: Config, other: Config): boolean {
  return same([one.roles, one.limits.statementBytes], [other.roles, other.limits.statementBytes])
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
