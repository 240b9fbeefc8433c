// What the API goes through: counted by route and status, and said in the log with who called. Never a path,
// a query or a body: there are ids of grants in the one and reasons in the others. Ignorant of routes.

import type { Registry } from 'prom-client'
import type { Definitions } from './definition.ts'
import { register } from './instruments.ts'
import type { Log } from './log.ts'

const methods = ['GET', 'HEAD', 'POST', 'DELETE', 'OPTIONS'] as const
const route = {
  name: 'route',
  values: 'patterns of the API; `/api/v1/*` where there is none',
} as const

export const apiMetrics = {
  requests: {
    type: 'counter',
    name: 'pgwarden_api_requests_total',
    help: 'Calls of the HTTP API by route and status.',
    labels: [
      { name: 'method', values: [...methods, 'other'] },
      route,
      { name: 'status', values: 'statuses of HTTP' },
    ],
  },
  durations: {
    type: 'histogram',
    name: 'pgwarden_api_request_duration_seconds',
    help: 'From a call of the HTTP API to its answer, with what the caller wished to wait for.',
    labels: [route],
    buckets: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
  },
} as const satisfies Definitions

interface AnsweredRequest {
  readonly principal: string | undefined
  readonly method: string
  /** A pattern, from a fixed list. */
  readonly route: string
  readonly status: number
  readonly ms: number
}

export interface ApiMeter {
  answered(method: string, route: string, status: number, seconds: number): void
}

interface ApiObserver {
  answered(request: AnsweredRequest): void
  defect(error: unknown): void
}

export function createApiMeter(registry: Registry): ApiMeter {
  const { requests, durations } = register(registry, apiMetrics)
  return {
    answered: (method, route, status, seconds) => {
      // Others are whatever a client invents.
      const known = methods.find((each) => each === method) ?? 'other'
      requests.add(1, known, route, String(status))
      durations.observe(seconds, route)
    },
  }
}

export function apiObserver(meter: ApiMeter, log: Log): ApiObserver {
  return {
    answered: ({ principal, method, route, status, ms }) => {
      meter.answered(method, route, status, ms / 1000)
      const fields = { principal, method, route, status, ms: Math.round(ms) }
      if (status >= 500) log.warn(fields, 'the API could not do what was asked')
      else log.info(fields, 'the API was called')
    },
    defect: (error) => log.error({ err: error }, 'the HTTP interface failed to answer'),
  }
}
