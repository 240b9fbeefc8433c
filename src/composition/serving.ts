// One run of `serve`: what is started in which order, and stopped in reverse whatever happens. Decides nothing;
// that the parts fit is proved by the compiler, here and in the planes.

import { randomUUID } from 'node:crypto'
import type { Running, Stopping } from '../cli/operations.ts'
import { type Clock, systemClock } from '../clock.ts'
import type { Config } from '../config/config.ts'
import { loadParser } from '../sql/analyse.ts'
import type { AdjustableLog } from '../telemetry/log.ts'
import { createMetrics } from '../telemetry/metrics.ts'
import { reloadObserver } from '../telemetry/reload-observer.ts'
import { packageVersion } from '../version.ts'
import { bracketed } from './certificates.ts'
import { openControlPlane } from './control-plane.ts'
import { type DataPlane, openDataPlane } from './data-plane.ts'
import { openGround } from './ground.ts'
import { InForce } from './in-force.ts'
import { type Reload, reloading } from './reload.ts'
import { problemsInto, type Run, type Stop } from './run.ts'
import { askedToStop, windDown } from './stopping.ts'

/**
 * Runs everything until it is asked to stop. What was started is stopped whatever happens, last started first.
 * `read`: the configuration as its file has it now.
 */
export async function serve(
  config: Config,
  log: AdjustableLog,
  stopping: Stopping,
  onReady: (running: Running, reload: (by: string) => Promise<void>) => void | Promise<void>,
  read: () => Promise<Config>,
): Promise<void> {
  const stops: { readonly part: string; readonly stop: Stop }[] = []
  const started = (part: string, stop: Stop): void => {
    stops.push({ part, stop })
  }
  try {
    const { run, dataPlane, running, reload } = await start(config, log, systemClock, started, read)
    await onReady(running, async (by) => void (await reload(by).catch(() => undefined)))
    await askedToStop(stopping)
    // Health, metrics and API go on meanwhile: a revoke must still work.
    await windDown(run, stopping, (signal) => dataPlane.drain(signal))
  } finally {
    for (const { part, stop } of stops.reverse()) {
      try {
        await stop()
      } catch (error) {
        log.error({ part, err: error }, 'a part did not stop cleanly')
      }
    }
  }
}

interface Started {
  readonly run: Run
  readonly dataPlane: DataPlane
  readonly running: Running
  readonly reload: Reload
}

async function start(
  config: Config,
  log: AdjustableLog,
  clock: Clock,
  started: Run['started'],
  read: () => Promise<Config>,
): Promise<Started> {
  await loadParser()
  const version = packageVersion()
  const lookups = { hits: 0, misses: 0 }
  const metrics = createMetrics(version, () => lookups)
  const problem = problemsInto(log)
  const inForce = new InForce(config)
  inForce.follow((wanted) => () => {
    log.level = wanted.log.level
  })
  const run: Run = {
    ...{ config, inForce, log, clock, metrics, lookups, started, problem },
    phase: { current: 'starting' },
    instance: randomUUID(),
  }
  const ground = await openGround(run, version)
  const { journal } = ground
  const reload = reloading({
    read,
    prepare: (wanted) => inForce.prepare(wanted, journal),
    journal,
    observer: reloadObserver(
      metrics.reloads(() => clock.now()),
      log,
    ),
  })
  const dataPlane = await openDataPlane(run, ground)
  const { ports } = dataPlane
  const { port: httpPort } = await openControlPlane(run, ground, version, reload)

  run.phase.current = 'serving'
  log.info({ version, instance: run.instance, ports, httpPort }, 'pgwarden is running')
  const running = {
    proxy: config.listen
      .map(({ address }, at) => `${bracketed(address)}:${ports[at]}`)
      .join(' and '),
    http: `${config.http.tls ? 'https' : 'http'}://${bracketed(config.http.address)}:${httpPort}`,
    journalDirectory: config.journal.directory,
  }
  return { run, dataPlane, running, reload }
}
