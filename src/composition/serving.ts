// One run of `serve`: what is started in which order, and stopped in reverse whatever happens. With workers this
// process supervises them, and they have the data plane. Decides nothing; that the parts fit is proved by the
// compiler, here and in the planes.

import { randomUUID } from 'node:crypto'
import { availableParallelism } from 'node:os'
import type { Running } from '../cli/operations.ts'
import { type Clock, systemClock } from '../clock.ts'
import type { Config } from '../config/config.ts'
import { loadParser } from '../sql/analyse.ts'
import type { Log } from '../telemetry/log.ts'
import { createMetrics } from '../telemetry/metrics.ts'
import { packageVersion } from '../version.ts'
import { bracketed } from './certificates.ts'
import { openControlPlane } from './control-plane.ts'
import { openDataPlane } from './data-plane.ts'
import { openGround } from './ground.ts'
import { type Part, problemsInto, type Run } from './run.ts'
import { Shipping } from './sinks.ts'
import { stopsInOrder } from './stops.ts'
import { openWorkers } from './workers.ts'

/** Runs everything until `signal`. What was started is stopped whatever happens, last started first. */
export async function serve(
  config: Config,
  log: Log,
  signal: AbortSignal,
  onReady: (running: Running) => void | Promise<void>,
): Promise<void> {
  const { started, stopAll } = stopsInOrder(log)
  try {
    const running = await start(config, log, systemClock, started)
    await onReady(running)
    if (!signal.aborted) {
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
    }
  } finally {
    await stopAll()
  }
}

async function start(
  config: Config,
  log: Log,
  clock: Clock,
  started: Run['started'],
): Promise<Running> {
  await loadParser()
  const version = packageVersion()
  const lookups = { hits: 0, misses: 0 }
  const metrics = createMetrics(version, () => lookups)
  const problem = problemsInto(log)
  const part = partOf(config)
  const run: Run = {
    ...{ part, config, log, clock, metrics, lookups, started, problem },
    instance: randomUUID(),
  }
  const shipping = new Shipping(run)
  const ground = await openGround(run, version, shipping)
  const { ports, checks } =
    part.type === 'supervisor'
      ? await openWorkers(run, part.workers, shipping)
      : await openDataPlane(run, ground)
  const { port: httpPort } = await openControlPlane(run, ground, version, checks)

  log.info({ version, instance: run.instance, ports, httpPort }, 'pgwarden is running')
  return {
    proxy: config.listen
      .map(({ address }, at) => `${bracketed(address)}:${ports[at]}`)
      .join(' and '),
    http: `${config.http.tls ? 'https' : 'http'}://${bracketed(config.http.address)}:${httpPort}`,
    journalDirectory: config.journal.directory,
  }
}

/** One worker would be no safer than none, and cost a process. */
function partOf({ workers }: Config): Part {
  const count = workers === 'auto' ? availableParallelism() : workers
  return count === 1 ? { type: 'all' } : { type: 'supervisor', workers: count }
}
