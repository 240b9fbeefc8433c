// What came of reading the configuration again: counted, and said in the log. Ignorant of what is in it.

import type { Registry } from 'prom-client'
import type { Definitions } from './definition.ts'
import { register } from './instruments.ts'
import type { Log } from './log.ts'

const results = ['ok', 'unchanged', 'invalid', 'failed'] as const

export const reloadMetrics = {
  reloads: {
    type: 'counter',
    name: 'pgwarden_config_reloads_total',
    help: 'Times that the configuration was read again, by what came of it.',
    labels: [{ name: 'result', values: results }],
    note: '`invalid`: the file cannot be used; `failed`: it could not be applied, for instance because the journal cannot be written. Both change nothing.',
  },
  successful: {
    type: 'gauge',
    name: 'pgwarden_config_last_reload_successful',
    help: 'Whether the configuration could be used when it was read last: 1 or 0.',
    note: '0: what runs is not what the file says.',
    across: 'max',
  },
  succeededAt: {
    type: 'gauge',
    name: 'pgwarden_config_last_reload_timestamp_seconds',
    help: 'When the configuration was read last that is in force, in Unix time; the start counts.',
    across: 'max',
  },
} as const satisfies Definitions

export interface ReloadMeter {
  reloaded(result: (typeof results)[number]): void
}

/** `now`: milliseconds since the epoch. */
export function createReloadMeter(registry: Registry, now: () => number): ReloadMeter {
  const { reloads, successful, succeededAt } = register(registry, reloadMetrics)
  for (const result of results) reloads.add(0, result)
  successful.set(1)
  succeededAt.set(now() / 1000)
  return {
    reloaded: (result) => {
      reloads.add(1, result)
      const succeeded = result === 'ok' || result === 'unchanged'
      successful.set(succeeded ? 1 : 0)
      if (succeeded) succeededAt.set(now() / 1000)
    },
  }
}

export interface ReloadObserver {
  /** It is in force. */
  applied(
    by: string,
    what: {
      readonly changes: readonly { readonly path: string }[]
      readonly restart: readonly string[]
    },
  ): void
  /** The file cannot be used. */
  rejected(by: string, error: Error): void
  failed(by: string, error: unknown): void
}

/** Of paths in a line of the log; the audit has all of them. */
const mostPaths = 20

export function reloadObserver(meter: ReloadMeter, log: Log): ReloadObserver {
  const unchanged = 'what was in force before goes on'
  return {
    applied: (by, { changes, restart }) => {
      meter.reloaded(changes.length === 0 ? 'unchanged' : 'ok')
      const changed = changes.slice(0, mostPaths).map(({ path }) => path)
      log.info({ by, changes: changes.length, changed }, 'the configuration was reloaded')
      if (restart.length > 0) {
        log.warn(
          { restart: restart.slice(0, mostPaths) },
          'settings have changed that take effect with a restart',
        )
      }
    },
    rejected: (by, error) => {
      meter.reloaded('invalid')
      log.error({ by, err: error }, `the configuration cannot be used: ${unchanged}`)
    },
    failed: (by, error) => {
      meter.reloaded('failed')
      log.error({ by, err: error }, `the configuration could not be applied: ${unchanged}`)
    },
  }
}
