// The metrics of notifications, part of the catalogue in metrics.ts. Channels are the configuration's.
// Ignorant of what is told to whom.

import { Counter, Gauge, type Registry } from 'prom-client'

export interface NotificationMeter {
  attempted(channel: string, result: 'delivered' | 'failed' | 'given_up'): void
  /** How long the oldest that was not delivered waits. */
  waits(channel: string, seconds: number): void
}

export function createNotificationMeter(registry: Registry): NotificationMeter {
  const registers = [registry]
  const attempts = new Counter({
    name: 'pgwarden_notifications_total',
    help: 'Attempts to tell a channel of a change, by what came of them; given_up: the last one.',
    labelNames: ['channel', 'result'],
    registers,
  })
  const oldest = new Gauge({
    name: 'pgwarden_notifications_oldest_unsent_seconds',
    help: 'How long the oldest change waits that a channel was not told of; the same number from every process.',
    labelNames: ['channel'],
    registers,
  })
  return {
    attempted: (channel, result) => attempts.inc({ channel, result }),
    waits: (channel, seconds) => oldest.set({ channel }, seconds),
  }
}
