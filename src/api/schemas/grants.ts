// Grants, what came of revoking one, and tokens on the wire.

import { z } from '@hono/zod-openapi'
import type { Grant } from '../../access/access.ts'
import type { GrantState } from '../../access/desk.ts'
import type { LeaseStanding } from '../../access/lease.ts'
import { durationSeconds, id, name, page, pageOf, reason, time, wholeNumber } from './common.ts'
import { accessRequest, instant, relationsJson } from './requests.ts'

const grantState = z.enum(['scheduled', 'active', 'revoked', 'expired'])

export const wantedGrants = z.strictObject({
  state: grantState.optional(),
  principal: name.optional(),
  target: name.optional(),
  role: name.optional(),
  ...page,
})

export const grant = z
  .object({
    id,
    principal: z.string(),
    target: z.string(),
    role: z.string(),
    reason: z.string(),
    state: grantState,
    startsAt: time,
    endsAt: time,
    revokedAt: time.optional(),
    requestId: id.optional(),
    relations: z
      .object({
        read: z.array(z.string()).optional(),
        write: z.array(z.string()).optional(),
        deny: z.array(z.string()).optional(),
      })
      .optional(),
    openLogins: z
      .int()
      .openapi({ description: 'Database logins on it that are not known to be gone.' }),
  })
  .openapi('Grant')

export const grantPage = pageOf(grant).openapi('GrantPage')

export const extension = z.strictObject({ durationSeconds, reason }).openapi('NewExtension')
export const extended = z.object({ outcome: z.literal('extended'), grant }).openapi('Extended')
export const extensionRequested = z
  .object({ outcome: z.literal('requested'), request: accessRequest })
  .openapi('ExtensionRequested')

export const revocationQuery = z.strictObject({ reason, waitSeconds: wholeNumber(0, 30, 10) })
export const revocation = z
  .object({
    grant,
    complete: z.boolean().openapi({ description: 'No session is open and no login left.' }),
    sessions: z.array(z.string()).openapi({ description: 'Those that are still open.' }),
    logins: z.array(
      z.object({
        lease: id,
        engine: z.string(),
        databaseRole: z.string().optional(),
        state: z.enum(['confirmed', 'unconfirmed', 'open']),
      }),
    ),
  })
  .openapi('Revocation')

const tokenKind = z.enum(['one-time', 'single-use', 'reusable'])
export const newToken = z
  .strictObject({ kind: tokenKind.default('one-time') })
  .openapi('NewToken', { example: { kind: 'one-time' } })
export const token = z
  .object({
    id,
    kind: tokenKind,
    token: z.string().openapi({ description: 'Shown here, once.' }),
    redeemBy: time.optional(),
    grantId: id,
    expiresAt: time,
    connection: z.object({
      host: z.string(),
      port: z.int(),
      database: z.string(),
      user: z.string(),
      sslmode: z.enum(['disable', 'require']),
    }),
    lines: z
      .object({
        psql: z.string(),
        uri: z.string(),
        jdbc: z.string(),
        dbeaver: z.string(),
        pgadmin: z.string(),
        pgpass: z.string(),
      })
      .openapi({ description: 'The same connection, ready to be pasted.' }),
  })
  .openapi('Token')

export function grantJson(
  given: Grant,
  state: GrantState,
  openLogins: number,
): z.input<typeof grant> {
  return {
    id: given.id,
    principal: given.principal,
    target: given.target,
    role: given.role,
    reason: given.reason,
    state,
    startsAt: instant(given.startsAt),
    endsAt: instant(given.endsAt),
    revokedAt: instant(given.revokedAt),
    requestId: given.requestId,
    relations: given.relations && relationsJson(given.relations),
    openLogins,
  }
}

export function loginJson({ id: lease, engine, databaseRole, ended }: LeaseStanding) {
  return { lease, engine, databaseRole, state: ended ?? ('open' as const) }
}
