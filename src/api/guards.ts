// What every request of the API goes through before its route: how long it may take, who is calling, how
// often. Ignorant of what is asked.

import { routePath } from 'hono/route'
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible'
import { Failure } from '../errors.ts'
import type { ApiLimits, ApiMiddleware, ControlPlane } from './context.ts'
import { peerOf } from './door.ts'
import { KnownCredentials } from './known-credentials.ts'
import { HttpProblem } from './problem.ts'

/** Tells what became of every request, and never its path, its query or its body. */
export function observed({ observer, clock }: ControlPlane): ApiMiddleware {
  return async (c, next) => {
    const startedAt = clock.elapsed()
    await next()
    observer.answered({
      principal: c.get('identity')?.principal,
      method: c.req.method,
      route: routePath(c, -1),
      status: c.res.status,
      ms: clock.elapsed() - startedAt,
    })
  }
}

/** The work may go on behind a request that was given up: what it does is done. */
export function limitedInTime({ requestMs }: ApiLimits, longestWaitMs: number): ApiMiddleware {
  return async (c, next) => {
    let timer: NodeJS.Timeout | undefined
    const limit = requestMs + (c.req.method === 'DELETE' ? longestWaitMs : 0)
    const over = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        const message = `there was no answer within ${Math.round(limit / 1000)} s`
        const hint = 'See what became of it before you try again.'
        reject(new Failure('cannot_connect_now', { message, hint }))
      }, limit)
    })
    try {
      await Promise.race([next(), over])
    } finally {
      clearTimeout(timer)
    }
  }
}

const failedTooOften = 'too many failed authentications from this address'

/** Says who is calling. Strangers from addresses that fail too often are not listened to for a while. */
export function authenticated(plane: ControlPlane, limits: ApiLimits): ApiMiddleware {
  const { authenticator, peers, clock } = plane
  const known = new KnownCredentials(clock)
  const failures = perMinute(limits.failedAuthenticationsPerMinute)
  const requests = perMinute(limits.requestsPerMinute)
  return async (c, next) => {
    const network = peers.networkOf(peerOf(c).address)
    const authorization = c.req.header('authorization')
    const failed = await failures.get(network)
    const often = limits.failedAuthenticationsPerMinute
    if (failed !== null && failed.consumedPoints >= often && !known.isKnown(authorization)) {
      throw tooMany(failedTooOften, failed.msBeforeNext)
    }
    const identity = await authenticator.identify(authorization).catch(async (error: unknown) => {
      if (
        // Who shows nothing guesses nothing.
        authorization !== undefined &&
        error instanceof Failure &&
        error.code === 'unauthenticated'
      ) {
        known.forget(authorization)
        await spend(failures, network, failedTooOften)
      }
      throw error
    })
    if (authorization !== undefined) known.wasGood(authorization)
    await spend(requests, identity.principal, 'too many requests of this principal')
    c.set('identity', identity)
    await next()
  }
}

function perMinute(points: number): RateLimiterMemory {
  return new RateLimiterMemory({ points, duration: 60 })
}

async function spend(limiter: RateLimiterMemory, key: string, message: string): Promise<void> {
  try {
    await limiter.consume(key)
  } catch (refused) {
    if (!(refused instanceof RateLimiterRes)) throw refused
    throw tooMany(message, refused.msBeforeNext)
  }
}

export function tooMany(title: string, waitMs: number): HttpProblem {
  const seconds = Math.max(1, Math.ceil(waitMs / 1000))
  return new HttpProblem(
    { status: 429, title, code: 'too_many_requests', hint: `Come back in ${seconds} s.` },
    { 'retry-after': String(seconds) },
  )
}
