// The control plane put together: what is told to people, what time brings about, and HTTP with health,
// metrics and the API. Part of the composition root; decides nothing.

import { Hours } from '../access/hours.ts'
import { needsOf } from '../access/rules.ts'
import { createApi } from '../api/api.ts'
import { serveApi } from '../api/serve.ts'
import { Failure } from '../errors.ts'
import { Notifier } from '../notifications/notifier.ts'
import { apiObserver } from '../telemetry/api-observer.ts'
import { notificationObserver } from '../telemetry/notification-observer.ts'
import { openApi } from './api.ts'
import { watchCertificate } from './certificates.ts'
import type { DataPlane } from './data-plane.ts'
import type { Ground } from './ground.ts'
import { journalWorks } from './journal.ts'
import type { Phase, Run } from './run.ts'

export interface ControlPlane {
  /** That HTTP is listened on. */
  readonly port: number
}

export async function openControlPlane(
  run: Run,
  ground: Ground,
  version: string,
  { checks, metricsText }: Pick<DataPlane, 'checks' | 'metricsText'>,
): Promise<ControlPlane> {
  const { config, log, clock, metrics, phase, started, problem } = run
  const { vault, journal, store, ledger, hear } = ground

  const notifier = new Notifier(config.notifications, {
    outbox: store.outbox,
    surroundings: {
      url: config.http.url,
      needs: ({ target, role, groups }) => needsOf(config.access, target, role, groups),
    },
    observer: notificationObserver(metrics.notifications(), log),
    clock,
  })
  notifier.start()
  started('channels', () => notifier.stop())
  hear(() => notifier.wake())

  const hours = new Hours({ ...ledger, onProblem: problem('hours') })
  hours.start()
  started('hours', () => hours.stop())

  const observer = apiObserver(metrics.api(), log)
  const stopping = new AbortController()
  const api = createApi({
    checks: [
      { name: 'store', check: () => store.ping(), limitMs: 2_000 },
      ...(vault === undefined
        ? []
        : [{ name: 'vault', check: () => vault.check(), limitMs: 5_000, dispensable: true }]),
      { name: 'listener', check: () => doorOpen(phase), limitMs: 1_000 },
      { name: 'journal', check: () => journalWorks(journal), limitMs: 1_000 },
      ...checks,
    ],
    metrics: { contentType: metrics.contentType, text: metricsText },
    v1: openApi(run, ground, { observer, version, stopping: stopping.signal }),
    onDefect: observer.defect,
  })
  const http = await serveApi(api, {
    ...config.http,
    certificates: await watchCertificate(run, journal, config.http, config.http.tls),
  })
  started('http', () => {
    stopping.abort()
    return http.close()
  })
  return { port: http.port }
}

/** Whether clients get in, and should be sent here. */
async function doorOpen({ current }: Phase): Promise<void> {
  if (current !== 'serving') throw new Failure('cannot_connect_now', { message: current })
}
