// The control plane as a function from Request to Response: health, readiness and metrics. Testable
// without a socket (serve.ts has it). Ignorant of what the checks check and of what is counted.

import { Hono } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { Failure } from '../errors.ts'
import { failureProblem, problemResponse } from './problem.ts'
import { type ReadinessCheck, readiness } from './readiness.ts'

export interface ApiDependencies {
  readonly checks: readonly ReadinessCheck[]
  readonly metrics: { readonly contentType: string; text(): Promise<string> }
  /** Is told of errors that the client is not shown. */
  readonly onDefect: (error: unknown) => void
}

export function createApi(dependencies: ApiDependencies): Hono {
  const { checks, metrics, onDefect } = dependencies
  const ready = readiness(checks, onDefect)
  const app = new Hono()

  app.use(async (c, next) => {
    await next()
    c.header('cache-control', 'no-store')
    c.header('x-content-type-options', 'nosniff')
  })

  app.get('/healthz', (c) => c.json({ alive: true }))

  app.get('/readyz', async (c) => {
    const answer = await ready()
    return c.json(answer, answer.ready ? 200 : 503)
  })

  app.get('/metrics', async (c) =>
    c.body(await metrics.text(), 200, { 'content-type': metrics.contentType }),
  )

  app.notFound(() => problemResponse({ status: 404, title: 'there is nothing at this address' }))

  app.onError((error) => {
    if (error instanceof Failure) return problemResponse(failureProblem(error))
    if (error instanceof HTTPException) {
      return problemResponse({ status: error.status, title: error.message })
    }
    onDefect(error)
    return problemResponse({ status: 500, title: 'something went wrong inside pgwarden' })
  })

  return app
}
