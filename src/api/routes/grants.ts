// /grants: to look, to prolong, to revoke and see it through, and to get a token. All decisions are the
// desk's; here is waited until a revoke has taken effect.

import { setTimeout as sleep } from 'node:timers/promises'
import { createRoute } from '@hono/zod-openapi'
import { connectionLines } from '../../access/connection-lines.ts'
import type { GrantView } from '../../access/desk.ts'
import { waitUntilGone } from '../../access/revocation.ts'
import { type Api, type ApiContext, type ControlPlane, callerOf } from '../context.ts'
import { isKnown, requireMatch } from '../etag.ts'
import {
  bodyOf,
  idInPath,
  json,
  nothingInQuery,
  notModified,
  object,
  onChange,
  onGetObject,
  onPost,
  onPostToObject,
  refusals,
} from '../schemas/common.ts'
import {
  extended,
  extension,
  extensionRequested,
  grant,
  grantJson,
  grantPage,
  loginJson,
  newToken,
  revocation,
  revocationQuery,
  token,
  wantedGrants,
} from '../schemas/grants.ts'
import { instant, requestJson } from '../schemas/requests.ts'

const tags = ['grants']

const list = createRoute({
  method: 'get',
  path: '/grants',
  operationId: 'listGrants',
  summary: 'Grants that are yours, or yours to see; newest first',
  tags,
  request: { query: wantedGrants },
  responses: { 200: json('A page of them.', grantPage), ...refusals },
})
const look = createRoute({
  method: 'get',
  path: '/grants/{id}',
  operationId: 'getGrant',
  summary: 'One grant',
  tags,
  request: { params: idInPath, headers: onGetObject, query: nothingInQuery },
  responses: { 200: object('The grant.', grant), 304: notModified, ...refusals },
})
const extend = createRoute({
  method: 'post',
  path: '/grants/{id}/extend',
  operationId: 'extendGrant',
  summary: 'Prolong a grant of your own',
  description: 'At once where the rules ask for nobody; else it becomes a request.',
  tags,
  request: {
    params: idInPath,
    headers: onPostToObject,
    query: nothingInQuery,
    body: bodyOf(extension),
  },
  responses: {
    200: json('It ends later.', extended),
    202: json('Somebody must approve it.', extensionRequested),
    ...refusals,
  },
})
const revoke = createRoute({
  method: 'delete',
  path: '/grants/{id}',
  operationId: 'revokeGrant',
  summary: 'Revoke a grant, and wait until its sessions are closed and its logins gone',
  tags,
  request: { params: idInPath, headers: onChange, query: revocationQuery },
  responses: {
    200: json('It is revoked, and nothing of it is left.', revocation),
    202: json('It is revoked, and this is not known to be gone yet.', revocation),
    ...refusals,
  },
})
const issue = createRoute({
  method: 'post',
  path: '/grants/{id}/tokens',
  operationId: 'createToken',
  summary: 'A token of a grant of your own',
  description: 'It is shown once. The answer is not kept for a repetition.',
  tags,
  request: { params: idInPath, headers: onPost, query: nothingInQuery, body: bodyOf(newToken) },
  responses: { 201: json('The token, and lines to connect with.', token), ...refusals },
})

export function addGrants(api: Api, plane: ControlPlane): void {
  const { desk, progress, clock, proxy } = plane
  const unchanged = (c: ApiContext, id: string): Promise<void> =>
    requireMatch(c, async () => viewJson(await desk.findGrant(callerOf(c), id)))

  api.openapi(list, async (c) => {
    const { cursor: after, ...wanted } = c.req.valid('query')
    const { items, next } = await desk.listGrants(callerOf(c), { ...wanted, after })
    return c.json({ items: items.map(viewJson), next }, 200)
  })

  api.openapi(look, async (c) => {
    const body = viewJson(await desk.findGrant(callerOf(c), c.req.valid('param').id))
    return isKnown(c, body) ? c.body(null, 304) : c.json(body, 200)
  })

  api.openapi(extend, async (c) => {
    const { id } = c.req.valid('param')
    const { durationSeconds, reason } = c.req.valid('json')
    await unchanged(c, id)
    const terms = { durationMs: durationSeconds * 1000, reason }
    const extension = await desk.extend(callerOf(c), id, terms)
    switch (extension.type) {
      case 'extended': {
        const view = await desk.findGrant(callerOf(c), id)
        return c.json({ outcome: 'extended' as const, grant: viewJson(view) }, 200)
      }
      case 'requested': {
        const request = requestJson(extension.view)
        return c.json({ outcome: 'requested' as const, request }, 202)
      }
    }
  })

  api.openapi(revoke, async (c) => {
    const { id } = c.req.valid('param')
    const { reason, waitSeconds } = c.req.valid('query')
    const by = callerOf(c)
    await unchanged(c, id)
    const revoked = await desk.revoke(by, id, reason)
    const wait = { waitMs: waitSeconds * 1000, clock, sleep: (ms: number) => sleep(ms) }
    const { complete, sessions, logins } = await waitUntilGone(progress, id, wait)
    const open = logins.filter(({ ended }) => ended === undefined).length
    const body = {
      grant: grantJson(revoked, 'revoked', open),
      complete,
      sessions: sessions.map((session) => session.id),
      logins: logins.map(loginJson),
    }
    return complete ? c.json(body, 200) : c.json(body, 202)
  })

  api.openapi(issue, async (c) => {
    const { id } = c.req.valid('param')
    const { kind } = c.req.valid('json')
    const issued = await desk.issueToken(callerOf(c), id, kind)
    const { record, text } = issued.token
    const { principal: user, target: database, endsAt } = issued.grant
    const connection = { ...proxy, database, user }
    c.set('secret', true)
    const body = {
      id: record.id,
      kind: record.kind,
      token: text.reveal(),
      redeemBy: record.kind === 'reusable' ? undefined : instant(record.redeemBy),
      grantId: id,
      expiresAt: instant(endsAt),
      connection,
      lines: connectionLines(connection, text),
    }
    return c.json(body, 201)
  })
}

function viewJson({ grant, state, openLeases }: GrantView) {
  return grantJson(grant, state, openLeases)
}
