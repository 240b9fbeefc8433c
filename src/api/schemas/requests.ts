// Access requests on the wire. A request's JSON is made of what the desk shows of it.

import { z } from '@hono/zod-openapi'
import type { RelationRules } from '../../access/access.ts'
import type { RequestView } from '../../access/desk.ts'
import { durationSeconds, id, name, page, pageOf, reason, text, time, timeGiven } from './common.ts'

/** Two names or stars with one dot between them. */
const pattern = text(256)
  .refine(
    (given) => /^(\*|[^.*]+)\.(\*|[^.*]+)$/.test(given),
    'expected schema.name, or a * for one',
  )
  .openapi({ pattern: '^(\\*|[^.*\\u0000-\\u001f]+)\\.(\\*|[^.*\\u0000-\\u001f]+)$' })
const patterns = z.array(pattern).max(100)
const relationsGiven = z
  .strictObject({
    read: patterns.optional(),
    write: patterns.optional(),
    deny: patterns.optional(),
  })
  .openapi('Relations', { example: { read: ['shop.*'], write: ['shop.orders'] } })

export const newRequest = z
  .strictObject({
    target: name.openapi({ example: 'shop' }),
    role: name.openapi({ example: 'read_only' }),
    reason,
    durationSeconds: durationSeconds.optional(),
    startsAt: timeGiven.optional(),
    relations: relationsGiven.optional(),
  })
  .openapi('NewRequest', {
    example: { target: 'shop', role: 'read_only', reason: 'wrong total', durationSeconds: 7200 },
  })

export const decision = z.strictObject({ comment: text(1000).optional() }).openapi('Decision')

const requestState = z.enum(['pending', 'approved', 'denied', 'withdrawn', 'expired'])

export const wantedRequests = z.strictObject({
  state: requestState.optional(),
  principal: name.optional(),
  target: name.optional(),
  role: name.optional(),
  decidable: z
    .enum(['true', 'false'])
    .transform((written) => written === 'true')
    .optional()
    .openapi({ type: 'boolean', description: 'Only those that you may decide now.' }),
  ...page,
})

export const need = z
  .object({ function: z.string(), groups: z.array(z.string()) })
  .openapi('Need', { example: { function: 'manager', groups: ['managers'] } })

export const accessRequest = z
  .object({
    id,
    principal: z.string(),
    kind: z.enum(['person', 'service']),
    target: z.string(),
    role: z.string(),
    reason: z.string(),
    durationSeconds: z.number(),
    startsAt: time.optional(),
    relations: relationsGiven.optional(),
    extends: id.optional().openapi({ description: 'The grant that it would prolong.' }),
    state: requestState,
    createdAt: time,
    expiresAt: time,
    decidedAt: time.optional(),
    grantId: id.optional(),
    approvals: z.array(
      z.object({
        approver: z.string(),
        decision: z.enum(['approve', 'deny']),
        comment: z.string().optional(),
        at: time,
      }),
    ),
    missing: z.array(need).openapi({ description: 'Who must still approve it.' }),
    mayDecide: z.boolean().openapi({ description: 'Whether you may.' }),
  })
  .openapi('Request')

export const requestPage = pageOf(accessRequest).openapi('RequestPage')

export function requestJson(view: RequestView): z.input<typeof accessRequest> {
  const { request, approvals, missing, mayDecide } = view
  return {
    id: request.id,
    principal: request.principal,
    kind: request.kind,
    target: request.target,
    role: request.role,
    reason: request.reason,
    durationSeconds: request.durationMs / 1000,
    startsAt: instant(request.startsAt),
    relations: request.relations && relationsJson(request.relations),
    extends: request.extends,
    state: request.state,
    createdAt: instant(request.createdAt),
    expiresAt: instant(request.expiresAt),
    decidedAt: instant(request.decidedAt),
    grantId: request.grantId,
    approvals: approvals.map(({ approver, decision, comment, at }) => ({
      approver,
      decision,
      comment,
      at: instant(at),
    })),
    missing: missing.map((one) => ({ function: one.function, groups: [...one.groups] })),
    mayDecide,
  }
}

export function relationsOf(
  given: z.output<typeof relationsGiven> | undefined,
): RelationRules | undefined {
  if (given === undefined) return undefined
  const { read, write, deny } = given
  return { ...(read && { read }), ...(write && { write }), ...(deny && { deny }) }
}

export function relationsJson({ read, write, deny }: RelationRules) {
  return {
    ...(read && { read: [...read] }),
    ...(write && { write: [...write] }),
    ...(deny && { deny: [...deny] }),
  }
}

export function instant(at: number): string
export function instant(at: number | undefined): string | undefined
export function instant(at: number | undefined): string | undefined {
  return at === undefined ? undefined : new Date(at).toISOString()
}
