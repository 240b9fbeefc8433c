// What is counted and logged of notifications.

import { describe, expect, it } from 'vitest'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { notificationObserver } from '../../src/telemetry/notification-observer.ts'

function observed() {
  const metrics = createMetrics('1', () => ({ hits: 0, misses: 0 }))
  const lines: string[] = []
  const write =
    (level: string) =>
    (fields: object, message: string): void => {
      lines.push(`${level} ${message} ${JSON.stringify(fields)}`)
    }
  const log = {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: () => log,
  }
  return { observer: notificationObserver(metrics.notifications(), log), metrics, lines }
}

describe('a channel that fails', () => {
  it('is in the log once, and once when it works again', () => {
    const { observer, lines } = observed()
    observer.failed('siem', 'status 500')
    observer.failed('siem', 'status 500')
    observer.delivered('siem')
    observer.delivered('siem')
    expect(lines).toEqual([
      'warn a notification was not delivered and will be tried again {"channel":"siem","why":"status 500"}',
      'info notifications are delivered again {"channel":"siem"}',
    ])
  })

  it('is counted each time, and what is given up is an error each', async () => {
    const { observer, metrics, lines } = observed()
    observer.failed('siem', 'status 500')
    observer.givenUp('siem', 'grant.revoked', 'status 500')
    observer.givenUp('siem', 'grant.revoked', 'status 500')
    observer.waits('siem', 90_000)
    const text = await metrics.text()
    expect(text).toContain('pgwarden_notifications_total{channel="siem",result="failed"} 1')
    expect(text).toContain('pgwarden_notifications_total{channel="siem",result="given_up"} 2')
    expect(text).toContain('pgwarden_notifications_oldest_unsent_seconds{channel="siem"} 90')
    expect(lines.filter((line) => line.startsWith('error'))).toHaveLength(2)
  })
})

describe('a store that is away', () => {
  it('is in the log once each time', () => {
    const { observer, lines } = observed()
    observer.problem(new Error('away'))
    observer.problem(new Error('away'))
    observer.waits('siem', 0)
    observer.problem(new Error('away'))
    expect(lines).toHaveLength(2)
  })
})
