// Access requests in the store, each with what was said of it and the grant that it became. One statement reads
// all of it, so that what is shown fits together. Ignorant of who may see them.

import type { Claims, RelationRules } from '../access/access.ts'
import type { RequestSearch, StoredRequest } from '../access/desk-store.ts'
import type { PrincipalKind } from '../access/identity.ts'
import type { AccessRequest, Approval, RequestState } from '../access/request.ts'
import type { Statements } from './database.ts'
import { type GrantInJson, grantInJson, grantOfJson } from './grants.ts'
import { ending } from './search.ts'

interface RequestRow {
  readonly id: string
  readonly principal: string
  readonly kind: PrincipalKind
  readonly groups: string[]
  readonly target: string
  readonly role: string
  readonly reason: string
  readonly duration_ms: string
  readonly starts_at: Date | null
  readonly relations: RelationRules | null
  readonly claims: Claims
  readonly extends: string | null
  readonly created_at: Date
  readonly expires_at: Date
  readonly state: RequestState
  readonly decided_at: Date | null
  readonly grant_id: string | null
}

interface ApprovalInJson {
  readonly approver: string
  readonly groups: readonly string[]
  readonly decision: Approval['decision']
  readonly comment: string | null
  readonly at: number
}

interface WholeRow extends RequestRow {
  readonly approvals: readonly ApprovalInJson[]
  readonly became: GrantInJson | null
}

const requestColumns = `r.id, r.principal, r.kind, r.groups, r.target, r.role, r.reason,
  r.duration_ms, r.starts_at, r.relations, r.claims, r.extends, r.created_at, r.expires_at, r.state,
  r.decided_at, r.grant_id`

const selectWhole = `
  select ${requestColumns},
         (select coalesce(json_agg(json_build_object(
                   'approver', a.approver, 'groups', a.groups, 'decision', a.decision,
                   'comment', a.comment, 'at', extract(epoch from a.at) * 1000)
                   order by a.at, a.approver), '[]')
            from pgwarden.approvals a where a.request_id = r.id) as approvals,
         (select ${grantInJson} from pgwarden.grants g where g.id = r.grant_id) as became
    from pgwarden.requests r`

export async function findRequest(
  statements: Statements,
  id: string,
): Promise<StoredRequest | undefined> {
  const [row] = await statements.rows<WholeRow>(`${selectWhole} where r.id = $1`, [id])
  return row && wholeOf(row)
}

/** Newest first. One whose time is over counts as expired, whatever its row still says. */
export async function listRequests(
  statements: Statements,
  search: RequestSearch,
): Promise<readonly StoredRequest[]> {
  const { text, values } = ending('r', 'created_at', search, (parameter) => {
    const now = new Date(search.now)
    switch (search.state) {
      case undefined:
        return []
      case 'pending':
        return ["r.state = 'pending'", `r.expires_at > ${parameter(now)}`]
      case 'expired':
        return ["r.state in ('expired', 'pending')", `r.expires_at <= ${parameter(now)}`]
      default:
        return [`r.state = ${parameter(search.state)}`]
    }
  })
  const rows = await statements.rows<WholeRow>(`${selectWhole} ${text}`, values)
  return rows.map(wholeOf)
}

/**
 * Locks the request before anything else of it is read: what a statement reads beside the row that it waits for
 * is as old as the statement, and would miss the approval that it has waited for.
 */
export async function lockRequest(
  statements: Statements,
  id: string,
): Promise<StoredRequest | undefined> {
  const locked = await statements.run(
    'select from pgwarden.requests where id = $1 for no key update',
    [id],
  )
  return locked === 0 ? undefined : findRequest(statements, id)
}

export async function insertRequest(statements: Statements, request: AccessRequest): Promise<void> {
  await statements.run(
    `insert into pgwarden.requests
       (id, principal, kind, groups, target, role, reason, duration_ms, starts_at, relations, claims,
        extends, created_at, expires_at, state, decided_at, grant_id)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`,
    [
      request.id,
      request.principal,
      request.kind,
      request.groups,
      request.target,
      request.role,
      request.reason,
      request.durationMs,
      dateOf(request.startsAt),
      request.relations ?? null,
      request.claims,
      request.extends ?? null,
      dateOf(request.createdAt),
      dateOf(request.expiresAt),
      request.state,
      dateOf(request.decidedAt),
      request.grantId ?? null,
    ],
  )
}

export async function updateRequest(statements: Statements, request: AccessRequest): Promise<void> {
  const { id, state, decidedAt, grantId } = request
  await statements.run(
    'update pgwarden.requests set state = $2, decided_at = $3, grant_id = $4 where id = $1',
    [id, state, dateOf(decidedAt), grantId ?? null],
  )
}

export async function insertApproval(statements: Statements, approval: Approval): Promise<void> {
  const { requestId, approver, groups, decision, comment, at } = approval
  await statements.run(
    `insert into pgwarden.approvals (request_id, approver, groups, decision, comment, at)
     values ($1, $2, $3, $4, $5, $6)`,
    [requestId, approver, groups, decision, comment ?? null, dateOf(at)],
  )
}

/** Everybody's. */
export async function countAllPending(statements: Statements, now: number): Promise<number> {
  const [found] = await statements.rows<{ readonly pending: number }>(
    `select count(*)::int as pending from pgwarden.requests
      where state = 'pending' and expires_at > $1`,
    [dateOf(now)],
  )
  return found?.pending ?? 0
}

/** The lock is the principal's: two requests of one principal are counted one after the other. */
export async function countPending(
  statements: Statements,
  principal: string,
  now: number,
): Promise<number> {
  await statements.run("select pg_advisory_xact_lock(hashtextextended('pgwarden ' || $1, 0))", [
    principal,
  ])
  const [found] = await statements.rows<{ readonly pending: number }>(
    `select count(*)::int as pending from pgwarden.requests
      where principal = $1 and state = 'pending' and expires_at > $2`,
    [principal, dateOf(now)],
  )
  return found?.pending ?? 0
}

/** Also one whose time is over: until it is expired no other can take its place. */
export async function pendingExtension(
  statements: Statements,
  grantId: string,
): Promise<AccessRequest | undefined> {
  const [row] = await statements.rows<RequestRow>(
    `select ${requestColumns} from pgwarden.requests r where r.extends = $1 and r.state = 'pending'`,
    [grantId],
  )
  return row && requestOf(row)
}

export async function lockOverdue(
  statements: Statements,
  now: number,
  limit: number,
): Promise<readonly AccessRequest[]> {
  const rows = await statements.rows<RequestRow>(
    `select ${requestColumns} from pgwarden.requests r
      where r.state = 'pending'
        and (r.expires_at <= $1
             or exists (select from pgwarden.grants g
                         where g.id = r.extends and g.revoked_at is not null))
      order by r.expires_at limit $2 for no key update skip locked`,
    [dateOf(now), limit],
  )
  return rows.map(requestOf)
}

function wholeOf(row: WholeRow): StoredRequest {
  return {
    request: requestOf(row),
    approvals: row.approvals.map(({ comment, ...approval }) => ({
      ...approval,
      requestId: row.id,
      comment: comment ?? undefined,
    })),
    grant: row.became === null ? undefined : grantOfJson(row.became),
  }
}

function requestOf(row: RequestRow): AccessRequest {
  return {
    id: row.id,
    principal: row.principal,
    kind: row.kind,
    groups: row.groups,
    target: row.target,
    role: row.role,
    reason: row.reason,
    // The driver gives a bigint as text.
    durationMs: Number(row.duration_ms),
    startsAt: row.starts_at?.getTime(),
    relations: row.relations ?? undefined,
    claims: row.claims,
    extends: row.extends ?? undefined,
    createdAt: row.created_at.getTime(),
    expiresAt: row.expires_at.getTime(),
    state: row.state,
    decidedAt: row.decided_at?.getTime(),
    grantId: row.grant_id ?? undefined,
  }
}

function dateOf(time: number | undefined): Date | null {
  return time === undefined ? null : new Date(time)
}
