// How the checkpoints of the journal fare: when the last one was asked for, and how often there was none.
// Measured only where some are configured; a lasting state is said in the log once. Ignorant of signers.

import type { Registry } from 'prom-client'
import type { Definitions } from './definition.ts'
import { register } from './instruments.ts'
import type { Log } from './log.ts'

export const checkpointMetrics = {
  last: {
    type: 'gauge',
    name: 'pgwarden_journal_checkpoint_timestamp_seconds',
    help: 'When the last signed checkpoint of the journal was asked for, in Unix time; 0: none yet.',
    across: 'max',
    note: 'Where nothing is recorded none is made.',
  },
  failures: {
    type: 'counter',
    name: 'pgwarden_journal_checkpoint_failures_total',
    help: 'Checkpoints that could not be signed or recorded; they are tried again.',
    note: 'After 30 s at most.',
  },
} as const satisfies Definitions

export interface CheckpointMeter {
  /** `at`: milliseconds since the epoch. */
  made(at: number): void
  failed(): void
}

export function createCheckpointMeter(registry: Registry): CheckpointMeter {
  const { last, failures } = register(registry, checkpointMetrics)
  return { made: (at) => last.set(at / 1000), failed: () => failures.add(1) }
}

interface CheckpointObserver {
  made(at: number): void
  failed(error: unknown): void
}

export function checkpointObserver(meter: CheckpointMeter, log: Log): CheckpointObserver {
  let failing = false
  return {
    made: (at) => {
      if (failing) log.info({}, 'checkpoints of the audit journal are signed again')
      failing = false
      meter.made(at)
    },
    failed: (error) => {
      if (!failing) {
        log.error(
          { err: error },
          'no checkpoint of the audit journal could be made; records go on without, and it is tried again',
        )
      }
      failing = true
      meter.failed()
    },
  }
}
