// The metrics of notifications. Channels are the configuration's. Ignorant of what is told to whom.

import type { Registry } from 'prom-client'
import type { Definitions } from './definition.ts'
import { register } from './instruments.ts'

const channel = { name: 'channel', values: 'the channels of the configuration' } as const

export const notificationMetrics = {
  attempts: {
    type: 'counter',
    name: 'pgwarden_notifications_total',
    help: 'Attempts to tell a channel of a change, by what came of them; given_up: the last one.',
    labels: [channel, { name: 'result', values: ['delivered', 'failed', 'given_up'] }],
    note: 'After `given_up` nobody will be told.',
  },
  oldest: {
    type: 'gauge',
    name: 'pgwarden_notifications_oldest_unsent_seconds',
    help: 'How long the oldest change waits that a channel was not told of; 0: none does.',
    labels: [channel],
    across: 'max',
  },
} as const satisfies Definitions

export interface NotificationMeter {
  attempted(channel: string, result: 'delivered' | 'failed' | 'given_up'): void
  /** How long the oldest that was not delivered waits. */
  waits(channel: string, seconds: number): void
}

export function createNotificationMeter(registry: Registry): NotificationMeter {
  const { attempts, oldest } = register(registry, notificationMetrics)
  return {
    attempted: (channel, result) => attempts.add(1, channel, result),
    waits: (channel, seconds) => oldest.set(seconds, channel),
  }
}
