// What notifications go through: counted, and said in the log, a channel's trouble once when it begins and
// once when it is over, the store's once. Ignorant of what is told.

import type { Log } from './log.ts'
import type { NotificationMeter } from './notification-metrics.ts'

interface NotificationObserver {
  delivered(channel: string): void
  failed(channel: string, why: string): void
  givenUp(channel: string, type: string, why: string): void
  waits(channel: string, ms: number): void
  problem(error: unknown): void
}

export function notificationObserver(meter: NotificationMeter, log: Log): NotificationObserver {
  const failing = new Set<string>()
  let troubled = false
  return {
    delivered: (channel) => {
      if (failing.delete(channel)) log.info({ channel }, 'notifications are delivered again')
      meter.attempted(channel, 'delivered')
    },
    failed: (channel, why) => {
      if (!failing.has(channel)) {
        log.warn({ channel, why }, 'a notification was not delivered and will be tried again')
      }
      failing.add(channel)
      meter.attempted(channel, 'failed')
    },
    // Each one: nobody will be told of this any more.
    givenUp: (channel, type, why) => {
      log.error({ channel, type, why }, 'a notification was not delivered within a day: given up')
      meter.attempted(channel, 'given_up')
    },
    // Told after each look that went well.
    waits: (channel, ms) => {
      troubled = false
      meter.waits(channel, ms / 1_000)
    },
    problem: (error) => {
      if (!troubled) log.warn({ err: error }, 'notifications are held up and will be tried again')
      troubled = true
    },
  }
}
