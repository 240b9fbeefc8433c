// API keys in the store. Ignorant of a key's text: only its hash comes here, and leaves again for one
// comparison.

import type { Claims } from '../access/access.ts'
import type { ApiKey, StoredApiKey } from '../access/api-key.ts'
import { type PrincipalKind, type Scope, scopes } from '../access/identity.ts'
import type { Statements } from './database.ts'

interface ApiKeyRow {
  readonly id: string
  readonly hash: Buffer
  readonly principal: string
  readonly kind: PrincipalKind
  readonly groups: readonly string[]
  readonly claims: Claims
  readonly scopes: readonly Scope[]
  readonly created_at: Date
  readonly expires_at: Date
  readonly revoked_at: Date | null
  readonly last_used_at: Date | null
}

export interface WantedApiKeys {
  readonly now: number
  /** Also those that are over. */
  readonly all: boolean
  readonly limit: number
}

const columns = `id, hash, principal, kind, groups, claims, scopes,
                 created_at, expires_at, revoked_at, last_used_at`

export async function insertApiKey(statements: Statements, key: StoredApiKey): Promise<void> {
  await statements.run(
    `insert into pgwarden.api_keys
       (id, hash, principal, kind, groups, claims, scopes, created_at, expires_at)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
    [
      key.id,
      key.hash,
      key.principal,
      key.kind,
      key.groups,
      key.claims,
      key.scopes,
      new Date(key.createdAt),
      new Date(key.expiresAt),
    ],
  )
}

export async function findApiKey(
  statements: Statements,
  id: string,
): Promise<StoredApiKey | undefined> {
  const [row] = await statements.rows<ApiKeyRow>(
    `select ${columns} from pgwarden.api_keys where id = $1`,
    [id],
  )
  return row && { ...keyOf(row), hash: row.hash }
}

/** Newest first. */
export async function listApiKeys(
  statements: Statements,
  { now, all, limit }: WantedApiKeys,
): Promise<readonly ApiKey[]> {
  const rows = await statements.rows<ApiKeyRow>(
    `select ${columns} from pgwarden.api_keys
      where $2 or (revoked_at is null and expires_at > $1)
      order by created_at desc, id limit $3`,
    [new Date(now), all, limit],
  )
  return rows.map(keyOf)
}

/** The key, revoked; undefined when there is none, or it was revoked before. */
export async function revokeApiKey(
  statements: Statements,
  id: string,
  now: number,
): Promise<ApiKey | undefined> {
  const [row] = await statements.rows<ApiKeyRow>(
    `update pgwarden.api_keys set revoked_at = $2
      where id = $1 and revoked_at is null returning ${columns}`,
    [id, new Date(now)],
  )
  return row && keyOf(row)
}

export async function apiKeyUsed(statements: Statements, id: string, at: number): Promise<void> {
  await statements.run(
    `update pgwarden.api_keys set last_used_at = greatest(last_used_at, $2) where id = $1`,
    [id, new Date(at)],
  )
}

function keyOf(row: ApiKeyRow): ApiKey {
  return {
    id: row.id,
    principal: row.principal,
    kind: row.kind,
    groups: row.groups,
    claims: row.claims,
    // A scope that a later version knows gives nothing here.
    scopes: scopes.filter((scope) => row.scopes.includes(scope)),
    createdAt: row.created_at.getTime(),
    expiresAt: row.expires_at.getTime(),
    revokedAt: row.revoked_at?.getTime(),
    lastUsedAt: row.last_used_at?.getTime(),
  }
}
