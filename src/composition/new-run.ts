// A run that begins in this process, whichever part of it the process is. Decides nothing.

import { randomUUID } from 'node:crypto'
import { systemClock } from '../clock.ts'
import type { Config } from '../config/config.ts'
import type { AdjustableLog } from '../telemetry/log.ts'
import { createMetrics } from '../telemetry/metrics.ts'
import { openTracing } from '../telemetry/tracing.ts'
import { packageVersion } from '../version.ts'
import { InForce } from './in-force.ts'
import { type Part, problemsInto, type Run } from './run.ts'

export async function newRun(
  part: Part,
  config: Config,
  log: AdjustableLog,
  started: Run['started'],
): Promise<Run> {
  const inForce = new InForce(config)
  inForce.follow((wanted) => () => {
    log.level = wanted.log.level
  })
  const lookups = { hits: 0, misses: 0 }
  const version = packageVersion()
  const clock = systemClock
  const tracing = await openTracing(process.env, version, clock, (problem) => log.warn({}, problem))
  started('traces', () => tracing.stop())
  return {
    ...{ part, config, inForce, log, clock, lookups, tracing, started },
    metrics: createMetrics(version, () => lookups, labelOf(part)),
    phase: { current: 'starting' },
    problem: problemsInto(log),
    instance: randomUUID(),
  }
}

/** By which the processes of a run are told apart where their metrics stand together. */
function labelOf(part: Part): string | undefined {
  switch (part.type) {
    case 'all':
      return undefined
    case 'supervisor':
      return '0'
    case 'worker':
      return String(part.number)
  }
}
