// The part of the composition root between the proxies and their targets: connections, Vault, logins for as
// long as they are needed, and what of the catalogs has to be known; and how all of that follows when targets
// are configured in another way. Decides nothing.

import { setTimeout as sleep } from 'node:timers/promises'
import { leaseIssueRecord, leaseProblemRecord, leaseRevokeRecord } from '../audit/lease-record.ts'
import { Catalogs } from '../catalog/catalogs.ts'
import { SnapshotReader } from '../catalog/reader.ts'
import type { Config } from '../config/config.ts'
import { Leases } from '../credentials/leases.ts'
import type { LeaseOf, Revoked, RevokeFailed } from '../credentials/ports.ts'
import { Failure } from '../errors.ts'
import { leaseObserver } from '../telemetry/lease-observer.ts'
import type { Connector } from '../upstream/connector.ts'
import type { Ground } from './ground.ts'
import type { Run } from './run.ts'
import { inspectorOf } from './targets.ts'
import { type Way, type Ways, waysTo } from './ways.ts'

interface Upstreams {
  readonly connector: Pick<Connector, 'connect'>
  readonly leases: Leases
  readonly catalogs: Catalogs
}

/** Between two looks at whether a way that was left is needed still. */
const lookEveryMs = 1_000

export function openUpstreams(run: Run, { store, journal, vault }: Ground): Upstreams {
  const { config, inForce, log, clock, metrics, instance, started, problem } = run
  const surroundings = { vault, clock, onProblem: problem('targets') }
  let ways = waysTo(config.targets, new Map(), surroundings)
  /** Of another configuration, with logins that are not taken back yet. */
  const left = new Set<Way>()
  started('targets', async () => {
    await Promise.all([...ways.values(), ...left].map((way) => way.close()))
  })

  const leases = new Leases({
    targets: { get: (name) => ways.get(name)?.credentials },
    store,
    clock,
    instance,
    observer: leaseObserver(metrics.leases, log, {
      issued: (lease: LeaseOf) => journal.record(leaseIssueRecord(lease)),
      revoked: (lease, end: Revoked) => journal.record(leaseRevokeRecord(lease, end)),
      problem: (lease, failed: RevokeFailed) => journal.append(leaseProblemRecord(lease, failed)),
    }),
  })
  leases.start()
  started('leases', () => leases.stop())

  const inspector = inspectorOf({ get: (name) => ways.get(name) })
  const snapshots = new SnapshotReader(inspector, (target) => catalogs.changed(target))
  const catalogs = new Catalogs({
    read: (target, signal) => snapshots.read(target, signal),
    clock,
    onProblem: (target, error) =>
      log.warn({ target, err: error }, 'the catalog cannot be read and will be tried again'),
    meter: metrics,
  })
  catalogs.watch(refreshEveryMs(config))
  started('catalogs', () => catalogs.stop())

  const leaving = new AbortController()
  started('targets that were left', () => leaving.abort())
  inForce.follow((wanted) => {
    const next = waysTo(wanted.targets, ways, surroundings)
    return () => {
      const before = ways
      ways = next
      leases.supersede()
      catalogs.watch(refreshEveryMs(wanted), anotherDatabase(before, next))
      for (const [name, way] of before) {
        if (next.get(name) === way) continue
        left.add(way)
        closeWhenFree(way).catch(problem('targets that were left'))
      }
    }
  })

  async function closeWhenFree(way: Way): Promise<void> {
    const { signal } = leaving
    while (leases.needs(way.credentials)) {
      await sleep(lookEveryMs, undefined, { signal, ref: false }).catch(() => undefined)
      // With everything else, once the leases are let go.
      if (signal.aborted) return
    }
    left.delete(way)
    await way.close()
  }

  const connector: Upstreams['connector'] = {
    connect: (request) => {
      const way = ways.get(request.target)
      return way === undefined
        ? Promise.reject(notConfigured(request.target))
        : way.connector.connect(request)
    },
  }
  return { connector, leases, catalogs }
}

function refreshEveryMs({ targets }: Config): ReadonlyMap<string, number> {
  return new Map(
    [...targets.values()]
      .filter(({ catalog }) => catalog.snapshot)
      .map(({ name, catalog }) => [name, catalog.refreshEveryMs]),
  )
}

/** What is known of a catalog is no good for another database of that name. Servers may come and go. */
function anotherDatabase(before: Ways, next: Ways): ReadonlySet<string> {
  const others = [...next].filter(([name, { credentials }]) => {
    const { place: now } = credentials
    const place = before.get(name)?.credentials.place ?? now
    return (
      place.database !== now.database ||
      !place.servers.some((server) => now.servers.includes(server))
    )
  })
  return new Set(others.map(([name]) => name))
}

function notConfigured(target: string): Failure {
  return new Failure('cannot_connect_now', {
    message: `target "${target}" is no longer configured`,
    hint: 'Tell the people who run pgwarden.',
  })
}
