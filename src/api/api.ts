// The control plane as a function from Request to Response: health, readiness and metrics, and the API
// below /api/v1. Testable without a socket (serve.ts has it). Ignorant of what the checks check and of what
// is counted.

import { Hono } from 'hono'
import type { Api } from './context.ts'
import { errorResponse, problemResponse } from './problem.ts'
import { type ReadinessCheck, readiness } from './readiness.ts'
import { addMetrics, type Elsewhere, type Exposition } from './scrape.ts'

export interface ApiDependencies {
  readonly checks: readonly ReadinessCheck[]
  readonly metrics: Exposition | Elsewhere
  /** Made by createV1. Without it there are health, readiness and metrics alone. */
  readonly v1?: Api
  /** Is told of errors that the client is not shown. */
  readonly onDefect: (error: unknown) => void
}

export function createApi(dependencies: ApiDependencies): Hono {
  const { checks, metrics, v1, onDefect } = dependencies
  const ready = readiness(checks, onDefect)
  const app = new Hono()

  app.use(async (c, next) => {
    await next()
    c.header('cache-control', 'no-store')
    c.header('x-content-type-options', 'nosniff')
    c.header('x-frame-options', 'DENY')
    c.header('referrer-policy', 'no-referrer')
    if (!c.res.headers.has('content-security-policy')) {
      c.header('content-security-policy', "default-src 'none'; frame-ancestors 'none'")
    }
  })

  app.get('/healthz', (c) => c.json({ alive: true }))

  app.get('/readyz', async (c) => {
    const answer = await ready()
    return c.json(answer, answer.ready ? 200 : 503)
  })

  addMetrics(app, metrics)

  if (v1 !== undefined) app.route('/api/v1', v1)

  app.notFound(() =>
    problemResponse({ status: 404, title: 'there is nothing at this address', code: 'not_found' }),
  )

  app.onError((error) => errorResponse(error, onDefect))

  return app
}
