// A run that begins in this process, whichever part of it the process is. Decides nothing.

import { randomUUID } from 'node:crypto'
import { systemClock } from '../clock.ts'
import type { Config } from '../config/config.ts'
import type { AdjustableLog } from '../telemetry/log.ts'
import { createMetrics } from '../telemetry/metrics.ts'
import { packageVersion } from '../version.ts'
import { InForce } from './in-force.ts'
import { type Part, problemsInto, type Run } from './run.ts'

export function newRun(
  part: Part,
  config: Config,
  log: AdjustableLog,
  started: Run['started'],
): Run {
  const inForce = new InForce(config)
  inForce.follow((wanted) => () => {
    log.level = wanted.log.level
  })
  const lookups = { hits: 0, misses: 0 }
  return {
    ...{ part, config, inForce, log, lookups, started },
    clock: systemClock,
    metrics: createMetrics(packageVersion(), () => lookups, labelOf(part)),
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
