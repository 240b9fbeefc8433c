// The part of the composition root between the proxies and their targets: connections, Vault, logins for as
// long as they are needed, and what of the catalogs has to be known. Decides nothing.

import { leaseIssueRecord, leaseProblemRecord, leaseRevokeRecord } from '../audit/lease-record.ts'
import { Catalogs } from '../catalog/catalogs.ts'
import { SnapshotReader } from '../catalog/reader.ts'
import { Leases } from '../credentials/leases.ts'
import type { LeaseOf, Revoked, RevokeFailed } from '../credentials/ports.ts'
import { leaseObserver } from '../telemetry/lease-observer.ts'
import { Connector } from '../upstream/connector.ts'
import type { Ground } from './ground.ts'
import type { Run } from './run.ts'
import { openTargets } from './targets.ts'

interface Upstreams {
  readonly connector: Connector
  readonly leases: Leases
  readonly catalogs: Catalogs
}

export function openUpstreams(run: Run, { store, journal, vault }: Ground): Upstreams {
  const { config, log, clock, metrics, instance, started, problem } = run
  const connector = new Connector(config.targets, clock)
  const targets = openTargets(config, { connector, vault, clock, onProblem: problem('targets') })
  started('targets', () => targets.close())
  const leases = new Leases({
    targets: targets.credentials,
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

  const snapshots = new SnapshotReader(targets.inspection, (target) => catalogs.changed(target))
  const catalogs = new Catalogs({
    refreshEveryMs: new Map(
      [...config.targets.values()]
        .filter(({ catalog }) => catalog.snapshot)
        .map(({ name, catalog }) => [name, catalog.refreshEveryMs]),
    ),
    read: (target, signal) => snapshots.read(target, signal),
    clock,
    onProblem: (target, error) =>
      log.warn({ target, err: error }, 'the catalog cannot be read and will be tried again'),
    meter: metrics,
  })
  catalogs.start()
  started('catalogs', () => catalogs.stop())
  return { connector, leases, catalogs }
}
