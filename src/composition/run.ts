// What every part of one run of `serve` is given, and how the parts say that they run and what went wrong.
// Decides nothing.

import type { Clock } from '../clock.ts'
import type { Config } from '../config/config.ts'
import type { Lookups } from '../policy/memo.ts'
import { type AdjustableLog, type Log, openLog, standardError } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { Tracing } from '../telemetry/tracing.ts'
import type { InForce } from './in-force.ts'

export type Stop = () => void | Promise<void>

/** What this process is among those of its run. */
export type Part =
  /** It does everything itself. */
  | { readonly type: 'all' }
  /** It has the control plane, and workers that serve clients. */
  | { readonly type: 'supervisor'; readonly workers: number }
  /** It serves clients. Numbers begin at 1. */
  | { readonly type: 'worker'; readonly number: number; readonly of: number }

/** What a run wants of those who send it work. */
export interface Phase {
  current: 'starting' | 'serving' | 'draining'
}

export interface Run {
  readonly part: Part
  /** What the run was started with. */
  readonly config: Config
  /** What it goes by now. */
  readonly inForce: InForce
  readonly log: Log
  readonly clock: Clock
  readonly metrics: Metrics
  readonly tracing: Tracing
  /** How far it has come. */
  readonly phase: Phase
  /** Of query strings among those judged before; every policy of the run counts on in it. */
  readonly lookups: Lookups
  /** Names this run among all that share the store. */
  readonly instance: string
  /** To be called at once when a part runs: what was started is stopped whatever happens, the last one first. */
  readonly started: (part: string, stop: Stop) => void
  /** Who hears of failures that a part gets over by itself. */
  readonly problem: (part: string) => (error: unknown) => void
}

export function problemsInto(log: Log): Run['problem'] {
  return (part) => (error) =>
    log.warn({ part, err: error }, 'a background task failed and will be tried again')
}

/** Where standard output is a sink, nothing but records is written there. */
export function logOf({ log, audit }: Config): Promise<AdjustableLog> {
  const isTaken = audit.sinks.some(({ type }) => type === 'stdout')
  return openLog({ ...log, destination: isTaken ? standardError : 1 })
}
