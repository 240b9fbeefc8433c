// /audit: the journal of this process's machine, page by page or as it is written, for auditors. Who reads
// it is in the journal, too. A stream ends with the credential that it was opened with: when its time is over,
// and soon after it was revoked or its bearer is no auditor any more.

import { createRoute, z } from '@hono/zod-openapi'
import { isAuditor } from '../../access/sight.ts'
import type { AuditFilter } from '../../audit/filter.ts'
import { auditReadRecord } from '../../audit/read-record.ts'
import { Failure } from '../../errors.ts'
import { type Api, type ApiLimits, type ControlPlane, callerOf } from '../context.ts'
import { eventStream } from '../event-stream.ts'
import { tooMany } from '../guards.ts'
import { json, refusals } from '../schemas/common.ts'
import { auditFilter, auditPage, onStream, wantedEvents } from '../schemas/others.ts'
import { requireAuditor } from '../who.ts'

const list = createRoute({
  method: 'get',
  path: '/audit/events',
  operationId: 'listAuditEvents',
  summary: 'Records of the journal, newest first',
  description:
    'One answer looks through a part of the journal only: it may hold fewer than were asked for, ' +
    'or none, and still have a next page.',
  tags: ['audit'],
  request: { query: wantedEvents },
  responses: { 200: json('A page of them.', auditPage), ...refusals },
})
const stream = createRoute({
  method: 'get',
  path: '/audit/stream',
  operationId: 'streamAuditEvents',
  summary: 'Records as they are written, as server-sent events',
  description:
    'The id of an event goes into Last-Event-ID to go on behind it. The event `dropped` says that ' +
    'you read too slowly, `end` why there is no more.',
  tags: ['audit'],
  request: { query: auditFilter, headers: onStream },
  responses: {
    200: {
      description: 'Each event holds one record as JSON.',
      content: { 'text/event-stream': { schema: z.string() } },
    },
    ...refusals,
  },
})

export function addAudit(api: Api, plane: ControlPlane, limits: ApiLimits): void {
  const { audit, record, rules, clock, stopping, observer, authenticator } = plane
  const open = new Map<string, number>()

  /** Asked again of a stream that is open. A store that does not answer now takes it from nobody. */
  const isStillGood = (authorization: string | undefined): Promise<boolean> =>
    authenticator.identify(authorization).then(
      (by) => isAuditor(rules, by),
      (error: unknown) => !(error instanceof Failure && error.code === 'unauthenticated'),
    )

  api.openapi(list, async (c) => {
    const by = callerOf(c)
    requireAuditor(by, rules)
    const { limit, cursor, ...wanted } = c.req.valid('query')
    const filter = filterOf(wanted)
    await record(auditReadRecord({ by, how: 'events', filter }))
    const { items, next } = await audit.events(filter, { limit, cursor })
    return c.json({ items: [...items], next }, 200)
  })

  api.openapi(stream, async (c) => {
    const by = callerOf(c)
    requireAuditor(by, rules)
    const filter = filterOf(c.req.valid('query'))
    const mine = open.get(by.principal) ?? 0
    const all = [...open.values()].reduce((sum, count) => sum + count, 0)
    if (mine >= limits.streamsOfOne || all >= limits.streams) {
      throw tooMany('too many streams are open', 60_000)
    }
    const headers = { 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' }
    // Nobody would read the body of an answer to HEAD, and nothing would end it.
    if (c.req.raw.method === 'HEAD') return c.body(null, 200, headers)

    open.set(by.principal, mine + 1)
    const over = new AbortController()
    const expiry = setTimeout(
      () => over.abort('your credential has expired'),
      Math.min(Math.max(0, by.expiresAt - clock.now()), longestTimer),
    )
    const authorization = c.req.header('authorization')
    const recheck = setInterval(() => {
      isStillGood(authorization).then((good) => {
        if (!good) over.abort('your credential is not good for this any more')
      }, observer.defect)
    }, limits.recheckMs)
    const stop = (): void => over.abort('pgwarden stops')
    stopping.addEventListener('abort', stop, { once: true })
    const onEnd = (error?: unknown): void => {
      clearTimeout(expiry)
      clearInterval(recheck)
      stopping.removeEventListener('abort', stop)
      over.abort()
      const left = (open.get(by.principal) ?? 1) - 1
      if (left === 0) open.delete(by.principal)
      else open.set(by.principal, left)
      if (error !== undefined) observer.defect(error)
    }
    try {
      await record(auditReadRecord({ by, how: 'stream', filter }))
      const events = audit.stream(filter, c.req.valid('header')['last-event-id'], over.signal)
      const { heartbeatMs, slowReaderMs } = limits
      const body = eventStream(events, { heartbeatMs, slowReaderMs, signal: over.signal, onEnd })
      return c.body(body, 200, headers)
    } catch (error) {
      onEnd()
      throw error
    }
  })
}

/** A timer that is set for longer fires at once. */
const longestTimer = 2 ** 31 - 1

/** Absent is what was not given. */
function filterOf(
  given: {
    readonly [Name in keyof AuditFilter]?: AuditFilter[Name] | undefined
  },
): AuditFilter {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
}
