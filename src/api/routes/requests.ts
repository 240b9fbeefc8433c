// /requests: to ask, to look, to decide, to take back. All decisions are the desk's.

import { createRoute } from '@hono/zod-openapi'
import type { RequestView } from '../../access/desk.ts'
import { type Api, type ApiContext, type ControlPlane, callerOf } from '../context.ts'
import { isKnown, requireMatch } from '../etag.ts'
import {
  bodyOf,
  idInPath,
  json,
  nothingInQuery,
  notModified,
  object,
  onGetObject,
  onPost,
  onPostToObject,
  refusals,
} from '../schemas/common.ts'
import {
  accessRequest,
  decision,
  newRequest,
  relationsOf,
  requestJson,
  requestPage,
  wantedRequests,
} from '../schemas/requests.ts'

const tags = ['requests']

const ask = createRoute({
  method: 'post',
  path: '/requests',
  operationId: 'createRequest',
  summary: 'Ask for access',
  description: 'It comes back approved where the rules ask for nobody.',
  tags,
  request: { headers: onPost, query: nothingInQuery, body: bodyOf(newRequest) },
  responses: { 201: object('The request.', accessRequest), ...refusals },
})
const list = createRoute({
  method: 'get',
  path: '/requests',
  operationId: 'listRequests',
  summary: 'Requests that are yours, or yours to decide or to see; newest first',
  tags,
  request: { query: wantedRequests },
  responses: { 200: json('A page of them.', requestPage), ...refusals },
})
const look = createRoute({
  method: 'get',
  path: '/requests/{id}',
  operationId: 'getRequest',
  summary: 'One request',
  tags,
  request: { params: idInPath, headers: onGetObject, query: nothingInQuery },
  responses: { 200: object('The request.', accessRequest), 304: notModified, ...refusals },
})

function change(verb: 'approve' | 'deny', summary: string) {
  return createRoute({
    method: 'post',
    path: `/requests/{id}/${verb}`,
    operationId: `${verb}Request`,
    summary,
    tags,
    request: {
      params: idInPath,
      headers: onPostToObject,
      query: nothingInQuery,
      body: { ...bodyOf(decision), required: false },
    },
    responses: { 200: object('The request as it is now.', accessRequest), ...refusals },
  })
}
const approve = change('approve', 'Approve; it stays pending while others must as well')
const deny = change('deny', 'Deny')
const withdraw = createRoute({
  method: 'post',
  path: '/requests/{id}/withdraw',
  operationId: 'withdrawRequest',
  summary: 'Take back a request of your own',
  tags,
  request: { params: idInPath, headers: onPostToObject, query: nothingInQuery },
  responses: { 200: object('The request as it is now.', accessRequest), ...refusals },
})

export function addRequests(api: Api, { desk }: ControlPlane): void {
  const unchanged = (c: ApiContext, id: string): Promise<void> =>
    requireMatch(c, async () => requestJson(await desk.findRequest(callerOf(c), id)))
  const shown = (c: ApiContext, view: RequestView) => {
    const body = requestJson(view)
    isKnown(c, body)
    return body
  }

  api.openapi(ask, async (c) => {
    const { durationSeconds, relations, ...terms } = c.req.valid('json')
    const view = await desk.request(callerOf(c), {
      ...terms,
      durationMs: durationSeconds === undefined ? undefined : durationSeconds * 1000,
      relations: relationsOf(relations),
    })
    c.header('location', `/api/v1/requests/${view.request.id}`)
    return c.json(shown(c, view), 201)
  })

  api.openapi(list, async (c) => {
    const { cursor: after, ...wanted } = c.req.valid('query')
    const { items, next } = await desk.listRequests(callerOf(c), { ...wanted, after })
    return c.json({ items: items.map(requestJson), next }, 200)
  })

  api.openapi(look, async (c) => {
    const body = requestJson(await desk.findRequest(callerOf(c), c.req.valid('param').id))
    return isKnown(c, body) ? c.body(null, 304) : c.json(body, 200)
  })

  api.openapi(approve, async (c) => {
    const { id } = c.req.valid('param')
    await unchanged(c, id)
    const view = await desk.approve(callerOf(c), id, c.req.valid('json').comment)
    return c.json(shown(c, view), 200)
  })

  api.openapi(deny, async (c) => {
    const { id } = c.req.valid('param')
    await unchanged(c, id)
    const view = await desk.deny(callerOf(c), id, c.req.valid('json').comment)
    return c.json(shown(c, view), 200)
  })

  api.openapi(withdraw, async (c) => {
    const { id } = c.req.valid('param')
    await unchanged(c, id)
    return c.json(shown(c, await desk.withdraw(callerOf(c), id)), 200)
  })
}
