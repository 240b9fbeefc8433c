// Changes in the store: one row for each, in the transaction of what it changes. Who reads them in their order
// misses none. Ignorant of what a change means.

import type { Change } from '../access/change.ts'
import type { Statements } from './database.ts'

/** Its number. */
export async function insertChange(
  statements: Statements,
  change: Change,
  at: number,
): Promise<number> {
  const { requestId, grantId, principal } = subjectOf(change)
  const [row] = await statements.rows<{ readonly id: string }>(
    `insert into pgwarden.changes (at, type, request_id, grant_id, principal, body)
     values ($1, $2, $3, $4, $5, $6) returning id`,
    [new Date(at), change.type, requestId ?? null, grantId ?? null, principal, change],
  )
  if (row === undefined) throw new Error('a change was not written')
  return Number(row.id)
}

/** Who revoked the grant last, as the changes tell. */
export async function revokedBy(
  statements: Statements,
  grantId: string,
): Promise<string | undefined> {
  const [row] = await statements.rows<{ readonly principal: string }>(
    `select body->'by'->>'principal' as principal from pgwarden.changes
      where grant_id = $1 and type = 'grant.revoked' order by id desc limit 1`,
    [grantId],
  )
  return row?.principal
}

interface Subject {
  readonly requestId?: string | undefined
  readonly grantId?: string | undefined
  readonly principal: string
}

/** What and whom it is about. */
function subjectOf(change: Change): Subject {
  switch (change.type) {
    case 'request.created':
    case 'request.endorsed':
    case 'request.denied':
    case 'request.withdrawn':
    case 'request.expired':
      return { requestId: change.request.id, principal: change.request.principal }
    case 'request.approved':
      return {
        requestId: change.request.id,
        grantId: change.grant.id,
        principal: change.request.principal,
      }
    case 'grant.extended':
    case 'grant.ending':
    case 'grant.revoked':
    case 'grant.expired':
    case 'token.issued':
    case 'session.ended':
      return { grantId: change.grant.id, principal: change.grant.principal }
    case 'login.locked':
    case 'login.unlocked':
    case 'key.created':
    case 'key.revoked':
      return { principal: change.principal }
  }
}
