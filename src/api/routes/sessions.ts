// /sessions, on all replicas, and /lockouts. Everybody sees sessions of their own, administrators and
// auditors all of them; who may end which is decided behind the port.

import { createRoute } from '@hono/zod-openapi'
import { isAdministrator, isAuditor } from '../../access/sight.ts'
import { Failure } from '../../errors.ts'
import { type Api, type ControlPlane, callerOf } from '../context.ts'
import { json, nothingInQuery, refusals } from '../schemas/common.ts'
import {
  endQuery,
  foreignIdInPath,
  lockOuts as lockOutList,
  sessionEnd,
  sessions as sessionList,
  wantedSessions,
} from '../schemas/others.ts'
import { instant } from '../schemas/requests.ts'
import { requireAdministrator } from '../who.ts'

const list = createRoute({
  method: 'get',
  path: '/sessions',
  operationId: 'listSessions',
  summary: 'Sessions that are open: yours, or all for administrators and auditors',
  tags: ['sessions'],
  request: { query: wantedSessions },
  responses: { 200: json('All of them.', sessionList), ...refusals },
})
const end = createRoute({
  method: 'delete',
  path: '/sessions/{id}',
  operationId: 'endSession',
  summary: 'End a session, whatever it is doing',
  tags: ['sessions'],
  request: { params: foreignIdInPath, query: endQuery },
  responses: {
    200: json('It has ended.', sessionEnd),
    202: json('It was told to end, and has not said yet that it did.', sessionEnd),
    ...refusals,
  },
})
const listLockOuts = createRoute({
  method: 'get',
  path: '/lockouts',
  operationId: 'listLockOuts',
  summary: 'Principals and addresses that failed to log in too often',
  tags: ['sessions'],
  request: { query: nothingInQuery },
  responses: { 200: json('All of them.', lockOutList), ...refusals },
})
const lift = createRoute({
  method: 'delete',
  path: '/lockouts/{id}',
  operationId: 'liftLockOut',
  summary: 'Let them try again',
  tags: ['sessions'],
  request: { params: foreignIdInPath, query: nothingInQuery },
  responses: { 204: { description: 'It is lifted.' }, ...refusals },
})

export function addSessions(api: Api, { sessions, lockOuts, rules }: ControlPlane): void {
  api.openapi(list, async (c) => {
    const by = callerOf(c)
    const { principal, target, grantId } = c.req.valid('query')
    const all = isAdministrator(rules, by) || isAuditor(rules, by)
    if (!all && principal !== undefined && principal !== by.principal) {
      throw new Failure('forbidden', {
        message: "others' sessions are for administrators and auditors to see",
        hint: 'Leave out principal to see yours.',
      })
    }
    const whose = all ? principal : by.principal
    const found = await sessions.list({
      ...(whose === undefined ? {} : { principal: whose }),
      ...(target === undefined ? {} : { target }),
      ...(grantId === undefined ? {} : { grantId }),
    })
    const items = found.map((session) => ({ ...session, startedAt: instant(session.startedAt) }))
    return c.json({ items }, 200)
  })

  api.openapi(end, async (c) => {
    const { id } = c.req.valid('param')
    const ended = await sessions.end(callerOf(c), id, c.req.valid('query').reason)
    return ended ? c.json({ id, ended }, 200) : c.json({ id, ended }, 202)
  })

  api.openapi(listLockOuts, async (c) => {
    requireAdministrator(callerOf(c), rules)
    const found = await lockOuts.list()
    const items = found.map((lockOut) => ({ ...lockOut, until: instant(lockOut.until) }))
    return c.json({ items }, 200)
  })

  api.openapi(lift, async (c) => {
    const by = callerOf(c)
    requireAdministrator(by, rules)
    if (!(await lockOuts.lift(by, c.req.valid('param').id))) {
      throw new Failure('not_found', {
        message: 'there is no such lock-out',
        hint: 'It may be over.',
      })
    }
    return c.body(null, 204)
  })
}
