// What a scrape is answered: the metrics, to whoever knows the token where there is one; or where they are served.
// Ignorant of what is measured. RFC 6750, section 3: a refusal says what would be taken.

import { createHash, timingSafeEqual } from 'node:crypto'
import type { Context, Hono } from 'hono'
import type { Secret } from '../secret.ts'
import { HttpProblem } from './problem.ts'

export interface Exposition {
  readonly contentType: string
  text(): Promise<string>
  /** Without one everybody is answered. */
  readonly token?: Secret | undefined
}

/** Another listener has them, on this port. */
export interface Elsewhere {
  readonly port: number
}

export function addMetrics(app: Hono, metrics: Exposition | Elsewhere): void {
  if ('port' in metrics) {
    app.get('/metrics', () => {
      throw notHere(metrics.port)
    })
    return
  }
  const { contentType, token } = metrics
  const text = oneAtATime(() => metrics.text())
  app.get('/metrics', async (c) => {
    if (token !== undefined && !knows(c, token)) throw unproven()
    return c.body(await text(), 200, { 'content-type': contentType })
  })
}

/** Who asks often must not keep all processes counting: whoever comes meanwhile gets the same. */
function oneAtATime(text: () => Promise<string>): () => Promise<string> {
  let running: Promise<string> | undefined
  return () => {
    running ??= text().finally(() => {
      running = undefined
    })
    return running
  }
}

/** In constant time, over digests: neither how much of a guess is right is to be measured nor how long the token is. */
function knows({ req }: Context, token: Secret): boolean {
  const [, shown = ''] = /^Bearer +(\S+) *$/i.exec(req.header('authorization') ?? '') ?? []
  return timingSafeEqual(digest(shown), digest(token.reveal()))
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

function unproven(): HttpProblem {
  return new HttpProblem(
    {
      status: 401,
      title: 'the metrics are for those who know their token',
      code: 'unauthenticated',
      hint: 'Send the header "Authorization: Bearer TOKEN" with the token of http.metrics.',
    },
    { 'www-authenticate': 'Bearer realm="pgwarden metrics"' },
  )
}

function notHere(port: number): HttpProblem {
  return new HttpProblem({
    status: 404,
    title: 'the metrics are not served here',
    code: 'not_found',
    hint: `They have a listener of their own, on port ${port}.`,
  })
}
