// Who calls, what may be asked for, and how one logs in: questions without an object of their own.

import { createRoute } from '@hono/zod-openapi'
import { isAdministrator, isAuditor } from '../../access/sight.ts'
import { type Api, type ControlPlane, callerOf } from '../context.ts'
import { json, nothingInQuery, refusals } from '../schemas/common.ts'
import { loginOffer, me, roleJson, roles, targets } from '../schemas/others.ts'
import { instant } from '../schemas/requests.ts'

const login = createRoute({
  method: 'get',
  path: '/login',
  operationId: 'getLogin',
  summary: 'How a person logs in: the identity provider and the client of the command line',
  tags: ['about'],
  security: [],
  request: { query: nothingInQuery },
  responses: { 200: json('Empty where there is no identity provider.', loginOffer), ...refusals },
})
const whoAmI = createRoute({
  method: 'get',
  path: '/me',
  operationId: 'getMe',
  summary: 'Who you are, here',
  tags: ['about'],
  request: { query: nothingInQuery },
  responses: { 200: json('You.', me), ...refusals },
})
const listTargets = createRoute({
  method: 'get',
  path: '/targets',
  operationId: 'listTargets',
  summary: 'What you may ask for',
  tags: ['about'],
  request: { query: nothingInQuery },
  responses: { 200: json('By target.', targets), ...refusals },
})
const listRoles = createRoute({
  method: 'get',
  path: '/roles',
  operationId: 'listRoles',
  summary: 'The roles that you may ask for on one target or another',
  tags: ['about'],
  request: { query: nothingInQuery },
  responses: { 200: json('By role.', roles), ...refusals },
})

/** Open to everybody: who has no credential yet asks how to get one. */
export function addLogin(api: Api, { login: { scopes, ...offer } }: ControlPlane): void {
  const body = { ...offer, scopes: scopes && [...scopes] }
  api.openapi(login, (c) => c.json(body, 200))
}

export function addAbout(api: Api, { desk, rules }: ControlPlane): void {
  api.openapi(whoAmI, (c) => {
    const by = callerOf(c)
    const body = {
      principal: by.principal,
      kind: by.kind,
      groups: [...by.groups],
      scopes: [...by.scopes],
      via: by.via,
      expiresAt: instant(by.expiresAt),
      administrator: isAdministrator(rules, by),
      auditor: isAuditor(rules, by),
    }
    return c.json(body, 200)
  })

  api.openapi(listTargets, (c) => {
    const items = desk
      .requestable(callerOf(c))
      .map((target) => ({ ...target, roles: target.roles.map(roleJson) }))
    return c.json({ items }, 200)
  })

  api.openapi(listRoles, (c) => c.json({ items: desk.roles(callerOf(c)).map(roleJson) }, 200))
}
