// What the API goes through: counted by route and status, and said in the log with who called. Never a path,
// a query or a body: there are ids of grants in the one and reasons in the others. Ignorant of routes.

import { Counter, Histogram, type Registry } from 'prom-client'
import type { Log } from './log.ts'

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

/** Others are whatever a client invents. */
const methods = new Set(['GET', 'HEAD', 'POST', 'DELETE', 'OPTIONS'])

export function createApiMeter(registry: Registry): ApiMeter {
  const registers = [registry]
  const requests = new Counter({
    name: 'pgwarden_api_requests_total',
    help: 'Calls of the HTTP API by route and status.',
    labelNames: ['method', 'route', 'status'],
    registers,
  })
  const durations = new Histogram({
    name: 'pgwarden_api_request_duration_seconds',
    help: 'From a call of the HTTP API to its answer, with what the caller wished to wait for.',
    labelNames: ['route'],
    buckets: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    registers,
  })
  return {
    answered: (method, route, status, seconds) => {
      requests.inc({ method: methods.has(method) ? method : 'other', route, status })
      durations.observe({ route }, seconds)
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
