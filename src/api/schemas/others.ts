// Who calls, what may be asked for, sessions, lock-outs and audit records on the wire.

import { z } from '@hono/zod-openapi'
import type { RequestableRole } from '../../access/desk.ts'
import { relationForm } from '../../audit/filter.ts'
import type { Reload } from '../ports.ts'
import { name, page, pageOf, reason, text, time, timeGiven } from './common.ts'
import { need } from './requests.ts'

export const me = z
  .object({
    principal: z.string(),
    kind: z.enum(['person', 'service']),
    groups: z.array(z.string()),
    scopes: z.array(z.enum(['access', 'approve', 'administer', 'audit'])),
    via: z.string().openapi({ description: '`oidc`, or the id of an API key.' }),
    expiresAt: time,
    administrator: z.boolean(),
    auditor: z.boolean(),
  })
  .openapi('Me')

export const loginOffer = z
  .object({
    issuer: z.string().optional(),
    clientId: z.string().optional(),
    scopes: z.array(z.string()).optional(),
  })
  .openapi('LoginOffer')

const role = z
  .object({
    name: z.string(),
    needs: z.array(need).openapi({ description: 'Who must approve it; each another person.' }),
    automaticSeconds: z
      .number()
      .optional()
      .openapi({ description: 'Up to here nobody has to approve it.' }),
    longestSeconds: z.number(),
  })
  .openapi('Role')
const target = z
  .object({ name: z.string(), production: z.boolean(), roles: z.array(role) })
  .openapi('Target')
export const roles = z.object({ items: z.array(role) }).openapi('Roles')
export const targets = z.object({ items: z.array(target) }).openapi('Targets')

export function roleJson({ name, needs, automaticMs, longestMs }: RequestableRole) {
  return {
    name,
    needs: needs.map((one) => ({ function: one.function, groups: [...one.groups] })),
    automaticSeconds: automaticMs === undefined ? undefined : automaticMs / 1000,
    longestSeconds: longestMs / 1000,
  }
}

/** Of what other rooms have named. */
const foreignId = z.string().regex(/^[A-Za-z0-9_-]{1,128}$/, 'expected an id')
export const foreignIdInPath = z.object({ id: foreignId })

export const wantedSessions = z.strictObject({
  principal: name.optional(),
  target: name.optional(),
  grantId: foreignId.optional(),
})
const session = z
  .object({
    id: z.string(),
    principal: z.string(),
    target: z.string(),
    role: z.string(),
    grantId: z.string(),
    client: z.string().openapi({ example: '192.0.2.7:51234' }),
    application: z.string().optional(),
    startedAt: time,
  })
  .openapi('Session')
export const sessions = z.object({ items: z.array(session) }).openapi('Sessions')
export const endQuery = z.strictObject({ reason })
export const sessionEnd = z
  .object({ id: z.string(), ended: z.boolean() })
  .openapi('SessionEnd', { example: { id: 'k3jx7qp2mz5vwa4t', ended: true } })

const lockOut = z
  .object({
    id: z.string(),
    principal: z.string(),
    address: z.string(),
    failures: z.int(),
    until: time,
  })
  .openapi('LockOut')
export const lockOuts = z.object({ items: z.array(lockOut) }).openapi('LockOuts')

/** As many as anybody reads; the whole is in the file. */
const mostChanges = 200
const setting = z.string().openapi({ example: 'targets.shop.limits.idleTimeout' })
const settingChange = z
  .object({
    path: setting,
    from: z.string().optional().openapi({ description: 'Not there: it was not written.' }),
    to: z.string().optional().openapi({ description: 'Not there: it is not written any more.' }),
  })
  .openapi('SettingChange')
export const reloaded = z
  .object({
    changes: z.array(settingChange),
    changeCount: z
      .int()
      .openapi({ description: `How many there are; at most ${mostChanges} are told.` }),
    restart: z.array(setting).openapi({ description: 'What has changed and waits for a restart.' }),
  })
  .openapi('Reloaded')

export function reloadedJson({ changes, restart }: Awaited<ReturnType<Reload>>) {
  return {
    changes: changes.slice(0, mostChanges).map((change) => ({ ...change })),
    changeCount: changes.length,
    restart: restart.slice(0, mostChanges),
  }
}

const filters = {
  chain: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,63}$/, 'expected the name of a chain')
    .optional()
    .openapi({
      description: 'Who wrote it: `main` for the proxy, `operator` for the command line.',
    }),
  type: z
    .string()
    .regex(/^[a-z.]{1,64}$/, 'expected the type of a record')
    .optional()
    .openapi({ description: '`grant.revoked`, or all below one: `grant`.' }),
  principal: name.optional().openapi({ description: 'Of whom it tells, or who did it.' }),
  target: name.optional(),
  role: name.optional(),
  session: foreignId.optional(),
  grantId: foreignId.optional(),
  relation: z
    .string()
    .regex(relationForm, 'expected schema.table or table, and perhaps :read, :write or :maintain')
    .optional()
    .openapi({ description: '`orders`, `shop.orders`, `shop.orders:write`.' }),
  fingerprint: foreignId.optional(),
  decision: z.enum(['allow', 'deny']).optional(),
  since: timeGiven.optional(),
  until: timeGiven.optional(),
  text: text(256).optional().openapi({ description: 'Anywhere in the record.' }),
}
export const auditFilter = z.strictObject(filters)
export const wantedEvents = z.strictObject({ ...filters, ...page })
const auditEvent = z
  .looseObject({ chain: z.string(), seq: z.int(), time, type: z.string() })
  .openapi('AuditEvent', { description: 'A record; docs/audit.md lists the fields of each type.' })
export const auditPage = pageOf(auditEvent).openapi('AuditPage')
export const onStream = z.object({
  'last-event-id': z
    .string()
    .max(512)
    .optional()
    .openapi({ description: 'The id of the event to go on behind.' }),
})
