// The metrics of limits and of load balancers' headers. Ignorant of who keeps to the limits.

import type { Registry } from 'prom-client'
import type { Definitions } from './definition.ts'
import { register } from './instruments.ts'

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

export const limitMetrics = {
  refusals: {
    type: 'counter',
    name: 'pgwarden_limit_refusals_total',
    help: 'Connections, logins, statements and sessions that a limit refused or ended.',
    labels: [{ name: 'limit', values: limits }],
    note: 'A limit that ordinary work meets is too low, or somebody takes too much.',
  },
  proxyProtocolErrors: {
    type: 'counter',
    name: 'pgwarden_proxy_protocol_errors_total',
    help: 'Connections of load balancers that did not begin with a PROXY protocol header.',
    note: 'Alert on any: the load balancer does not send it, and its clients cannot connect.',
  },
} as const satisfies Definitions

export interface LimitMeter {
  /** Somebody was refused or ended by it. */
  limitReached(limit: (typeof limits)[number]): void
  /** A load balancer's connection does not begin as it should. */
  proxyProtocolError(): void
}

export function createLimitMeter(registry: Registry): LimitMeter {
  const { refusals, proxyProtocolErrors } = register(registry, limitMetrics)
  for (const limit of limits) refusals.add(0, limit)
  proxyProtocolErrors.add(0)
  return {
    limitReached: (limit) => refusals.add(1, limit),
    proxyProtocolError: () => proxyProtocolErrors.add(1),
  }
}
