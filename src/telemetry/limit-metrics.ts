// The metrics of limits and of load balancers' headers. Ignorant of who keeps to the limits.

import type { Registry } from 'prom-client'
import { Tally } from './tally.ts'

const limits = [
  'connections',
  'connections_per_address',
  'sessions_per_principal',
  'sessions_per_grant',
  'logins_per_second',
  'startup_time',
  'statement_bytes',
  'idle',
  'idle_in_transaction',
  'transaction',
  'session',
] as const

export interface LimitMeter {
  /** Somebody was refused or ended by it. */
  limitReached(limit: (typeof limits)[number]): void
  /** A load balancer's connection does not begin as it should. */
  proxyProtocolError(): void
}

export function createLimitMeter(registry: Registry): LimitMeter {
  const refusals = new Tally(
    registry,
    'pgwarden_limit_refusals_total',
    'Connections, logins, statements and sessions that a limit refused or ended.',
    ['limit'],
  )
  for (const limit of limits) refusals.add(0, limit)
  const errors = new Tally(
    registry,
    'pgwarden_proxy_protocol_errors_total',
    'Connections of load balancers that did not begin with a PROXY protocol header.',
    [],
  )
  errors.add(0)
  return {
    limitReached: (limit) => refusals.add(1, limit),
    proxyProtocolError: () => errors.add(1),
  }
}
