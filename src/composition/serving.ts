// One run of `serve`: what is started in which order, and stopped in reverse whatever happens. With workers this
// process supervises them, and they have the data plane. Decides nothing; that the parts fit is proved by the
// compiler, here and in the planes.

import { availableParallelism } from 'node:os'
import type { Running, Stopping } from '../cli/operations.ts'
import type { Config } from '../config/config.ts'
import { loadParser } from '../sql/analyse.ts'
import type { AdjustableLog } from '../telemetry/log.ts'
import { reloadObserver } from '../telemetry/reload-observer.ts'
import { packageVersion } from '../version.ts'
import { bracketed } from './certificates.ts'
import { openControlPlane } from './control-plane.ts'
import { type DataPlane, openDataPlane } from './data-plane.ts'
import { openGround } from './ground.ts'
import { newRun } from './new-run.ts'
import { type Reload, reloading } from './reload.ts'
import type { Part, Run } from './run.ts'
import { Shipping } from './sinks.ts'
import { askedToStop, windDown } from './stopping.ts'
import { stopsInOrder } from './stops.ts'
import { openWorkers } from './workers.ts'

/**
 * Runs everything until it is asked to stop. What was started is stopped whatever happens, last started first.
 * `read`: the configuration as its file has it now.
 */
export async function serve(
  config: Config,
  read: () => Promise<Config>,
  log: AdjustableLog,
  stopping: Stopping,
  onReady: (running: Running, reload: (by: string) => Promise<void>) => void | Promise<void>,
): Promise<void> {
  const { started, stopAll } = stopsInOrder(log)
  try {
    const { run, dataPlane, running, reload } = await start(config, read, log, started)
    await onReady(running, async (by) => void (await reload(by).catch(() => undefined)))
    await askedToStop(stopping)
    // Health, metrics and API go on meanwhile: a revoke must still work.
    await windDown(run, stopping, (signal) => dataPlane.drain(signal))
  } finally {
    await stopAll()
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
  read: () => Promise<Config>,
  log: AdjustableLog,
  started: Run['started'],
): Promise<Started> {
  await loadParser()
  const version = packageVersion()
  const part = partOf(config)
  const run = await newRun(part, config, log, started)
  const { inForce, metrics, clock } = run
  const shipping = new Shipping(run)
  const ground = await openGround(run, version, shipping)
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
  const dataPlane =
    part.type === 'supervisor'
      ? await openWorkers(run, part.workers, shipping)
      : await openDataPlane(run, ground)
  const { ports } = dataPlane
  const { port: httpPort } = await openControlPlane(run, ground, version, dataPlane, reload)

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

/** One worker would be no safer than none, and cost a process. */
function partOf({ workers }: Config): Part {
  const count = workers === 'auto' ? availableParallelism() : workers
  return count === 1 ? { type: 'all' } : { type: 'supervisor', workers: count }
}
