// What the control plane's answers hold, as far as this program reads them. More than that is kept: what a
// newer server adds is in the output for programs.

import * as z from 'zod'

const time = z.iso.datetime({ offset: true })
const texts = z.array(z.string())

const relations = z.object({
  read: texts.optional(),
  write: texts.optional(),
  deny: texts.optional(),
})

/** Who must approve: a function, and the groups that have it. */
const need = z.looseObject({ function: z.string(), groups: texts })

export const me = z.looseObject({
  principal: z.string(),
  kind: z.enum(['person', 'service']),
  groups: texts,
  scopes: texts,
  via: z.string(),
  expiresAt: time,
  administrator: z.boolean(),
  auditor: z.boolean(),
})

/** Absent where the server has no identity provider: it takes API keys only. */
export const loginTerms = z.object({
  issuer: z.string().optional(),
  clientId: z.string().optional(),
  scopes: texts.optional(),
})

export const request = z.looseObject({
  id: z.string(),
  principal: z.string(),
  target: z.string(),
  role: z.string(),
  reason: z.string(),
  durationSeconds: z.number(),
  startsAt: time.optional(),
  relations: relations.optional(),
  extends: z.string().optional(),
  state: z.enum(['pending', 'approved', 'denied', 'withdrawn', 'expired']),
  createdAt: time,
  expiresAt: time,
  grantId: z.string().optional(),
  approvals: z.array(
    z.looseObject({
      approver: z.string(),
      decision: z.enum(['approve', 'deny']),
      comment: z.string().optional(),
      at: time,
    }),
  ),
  missing: z.array(need),
  mayDecide: z.boolean(),
})

export const grant = z.looseObject({
  id: z.string(),
  principal: z.string(),
  target: z.string(),
  role: z.string(),
  reason: z.string(),
  state: z.enum(['scheduled', 'active', 'revoked', 'expired']),
  startsAt: time,
  endsAt: time,
  revokedAt: time.optional(),
  requestId: z.string().optional(),
  relations: relations.optional(),
  openLogins: z.number(),
})

export const extension = z.discriminatedUnion('outcome', [
  z.looseObject({ outcome: z.literal('extended'), grant }),
  z.looseObject({ outcome: z.literal('requested'), request }),
])

export const revocation = z.looseObject({
  grant,
  complete: z.boolean(),
  /** Those that are not known to have ended. */
  sessions: z.array(z.unknown()),
  logins: z.array(
    z.looseObject({
      lease: z.string(),
      engine: z.string(),
      databaseRole: z.string().optional(),
      state: z.enum(['confirmed', 'unconfirmed', 'open']),
    }),
  ),
})

export const token = z.looseObject({
  id: z.string(),
  kind: z.string(),
  token: z.string(),
  redeemBy: time.optional(),
  grantId: z.string(),
  expiresAt: time,
  connection: z.looseObject({
    host: z.string(),
    port: z.number(),
    database: z.string(),
    user: z.string(),
    sslmode: z.string(),
  }),
  lines: z.object({
    psql: z.string(),
    uri: z.string(),
    jdbc: z.string(),
    dbeaver: z.string(),
    pgadmin: z.string(),
    pgpass: z.string(),
  }),
})

const session = z.looseObject({
  id: z.string(),
  principal: z.string(),
  target: z.string(),
  role: z.string(),
  grantId: z.string(),
  client: z.string(),
  application: z.string().optional(),
  startedAt: time,
})

export const reloaded = z.looseObject({
  changes: z.array(
    z.looseObject({ path: z.string(), from: z.string().optional(), to: z.string().optional() }),
  ),
  changeCount: z.number(),
  restart: z.array(z.string()),
})

export const ending = z.looseObject({ id: z.string(), ended: z.boolean() })

const role = z.looseObject({
  name: z.string(),
  needs: z.array(need),
  automaticSeconds: z.number().optional(),
  longestSeconds: z.number(),
})

const target = z.looseObject({
  name: z.string(),
  production: z.boolean(),
  roles: z.array(role),
})

/** A record of the journal; docs/audit.md lists the fields of each type. */
export const auditEvent = z.looseObject({
  chain: z.string(),
  seq: z.number(),
  time: z.string(),
  type: z.string(),
})

export const auditPage = z.object({ items: z.array(auditEvent), next: z.string().optional() })
export const sessions = z.object({ items: z.array(session) })
export const roles = z.object({ items: z.array(role) })
export const targets = z.object({ items: z.array(target) })
export const requestPage = z.object({ items: z.array(request), next: z.string().optional() })
export const grantPage = z.object({ items: z.array(grant), next: z.string().optional() })

export type Me = z.infer<typeof me>
export type LoginTerms = z.infer<typeof loginTerms>
export type AuditEvent = z.infer<typeof auditEvent>
export type Need = z.infer<typeof need>
export type AccessRequest = z.infer<typeof request>
export type Grant = z.infer<typeof grant>
export type Extension = z.infer<typeof extension>
export type Revocation = z.infer<typeof revocation>
export type Token = z.infer<typeof token>
export type Session = z.infer<typeof session>
export type Reloaded = z.infer<typeof reloaded>
export type Role = z.infer<typeof role>
export type Target = z.infer<typeof target>
