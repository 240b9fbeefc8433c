// The control plane put together: what is told to people, what time brings about, and HTTP with health,
// metrics and the API. Part of the composition root; decides nothing.

import { Hours } from '../access/hours.ts'
import { needsOf } from '../access/rules.ts'
import { type ApiDependencies, createApi } from '../api/api.ts'
import type { ReadinessCheck } from '../api/readiness.ts'
import type { Elsewhere, Exposition } from '../api/scrape.ts'
import { serveApi } from '../api/serve.ts'
import type { Journal } from '../audit/journal.ts'
import type { Config } from '../config/config.ts'
import { same } from '../config/same.ts'
import { Failure } from '../errors.ts'
import { Notifier, type NotifierOptions } from '../notifications/notifier.ts'
import { apiObserver } from '../telemetry/api-observer.ts'
import { notificationObserver } from '../telemetry/notification-observer.ts'
import { authenticators, openApi } from './api.ts'
import { watchCertificate } from './certificates.ts'
import type { DataPlane } from './data-plane.ts'
import type { Ground } from './ground.ts'
import { journalWorks } from './journal.ts'
import type { Reload } from './reload.ts'
import type { Phase, Run } from './run.ts'

export interface ControlPlane {
  /** That HTTP is listened on. */
  readonly port: number
}

export async function openControlPlane(
  run: Run,
  ground: Ground,
  version: string,
  dataPlane: Pick<DataPlane, 'checks' | 'metricsText'>,
  reload: Reload,
): Promise<ControlPlane> {
  const { config, inForce, log, clock, metrics, phase, started, problem } = run
  const { vault, journal, store, ledger, hear } = ground

  const notifying = {
    outbox: store.outbox,
    surroundings: {
      url: config.http.url,
      needs: ({ target, role, groups }) => needsOf(inForce.current.access, target, role, groups),
    },
    observer: notificationObserver(metrics.notifications(), log),
    clock,
  } satisfies NotifierOptions
  let notifier = new Notifier(config.notifications, notifying)
  notifier.start()
  started('channels', () => notifier.stop())
  hear(() => notifier.wake())
  inForce.follow(({ notifications }) => {
    if (same(notifications, inForce.current.notifications)) return () => undefined
    const next = new Notifier(notifications, notifying)
    return () => {
      // A letter that is on its way is the store's to keep: nobody sends it twice.
      notifier.stop().catch(problem('channels'))
      notifier = next
      notifier.start()
    }
  })

  const desk = metrics.desk(() => store.pendingRequests(clock.now()), clock)
  hear((change) => desk.changed(change))

  const hours = new Hours({ ...ledger, onProblem: problem('hours') })
  hours.start()
  started('hours', () => hours.stop())

  const observer = apiObserver(metrics.api(), log)
  const checks: readonly ReadinessCheck[] = [
    { name: 'store', check: () => store.ping(), limitMs: 2_000 },
    ...(vault === undefined
      ? []
      : [{ name: 'vault', check: () => vault.check(), limitMs: 5_000, dispensable: true }]),
    { name: 'listener', check: () => doorOpen(phase), limitMs: 1_000 },
    { name: 'journal', check: () => journalWorks(journal), limitMs: 1_000 },
    ...dataPlane.checks,
  ]
  const health = { checks, onDefect: observer.defect }
  const exposition = await serveMetrics(run, journal, health, dataPlane.metricsText)
  const authenticator = authenticators(run, store)
  const apiOf = (by: Config) => {
    const stopping = new AbortController()
    const surroundings = { observer, version, reload, stopping: stopping.signal }
    const app = createApi({
      ...health,
      metrics: exposition,
      v1: openApi(run, ground, by, { ...surroundings, authenticator: authenticator(by) }),
    })
    return { app, stopping }
  }
  let api = apiOf(config)
  inForce.follow((wanted) => {
    const next = apiOf(wanted)
    return () => {
      // Streams end, and are asked for again by whoever may still read them.
      api.stopping.abort()
      api = next
    }
  })
  const http = await serveApi(
    { fetch: (...request) => api.app.fetch(...request) },
    {
      ...config.http,
      certificates: await watchCertificate(run, journal, config.http, config.http.tls),
    },
  )
  started('http', () => {
    api.stopping.abort()
    return http.close()
  })
  return { port: http.port }
}

/** On a listener of their own, where there is one. Resolves with what to say about them elsewhere. */
async function serveMetrics(
  run: Run,
  journal: Journal,
  health: Pick<ApiDependencies, 'checks' | 'onDefect'>,
  text: () => Promise<string>,
): Promise<Exposition | Elsewhere> {
  const { config, metrics, started } = run
  const { address, port, tls, token } = config.http.metrics
  const { contentType } = metrics
  const exposition = { contentType, text, token }
  if (port === undefined) return exposition
  const served = await serveApi(createApi({ ...health, metrics: exposition }), {
    address,
    port,
    certificates: await watchCertificate(run, journal, { address, port }, tls),
  })
  started('metrics', () => served.close())
  return { port: served.port }
}

/** Whether clients get in, and should be sent here. */
async function doorOpen({ current }: Phase): Promise<void> {
  if (current !== 'serving') throw new Failure('cannot_connect_now', { message: current })
}
