// Access tokens in the store, each with its grant. What a login may do is decided in one UPDATE, so that any
// number of processes can share the tables. Ignorant of a token's text: only its hash and its SCRAM
// verifier come here.

import type { TokenKind } from '../access/access.ts'
import type { TokenRecord } from '../access/token.ts'
import type { ProvableToken, Redemption, StoredToken, TokenSearch } from '../access/token-store.ts'
import type { Database, Statements } from './database.ts'
import { type GrantRow, grantOf } from './grants.ts'

export async function insertToken(database: Statements, token: TokenRecord): Promise<void> {
  await database.run(
    `insert into pgwarden.access_tokens
       (id, grant_id, kind, hash, issued_at, redeem_by,
        scram_salt, scram_iterations, scram_stored_key, scram_server_key)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
    [
      token.id,
      token.grantId,
      token.kind,
      token.hash,
      new Date(token.issuedAt),
      new Date(token.redeemBy),
      token.verifier?.salt,
      token.verifier?.iterations,
      token.verifier?.storedKey,
      token.verifier?.serverKey,
    ],
  )
}

interface TokenRow extends Omit<GrantRow, 'revoked_at'> {
  readonly grant_id: string
  readonly kind: TokenKind
  readonly hash: Buffer
  readonly issued_at: Date
  readonly redeem_by: Date
  readonly redeemed_at: Date | null
  readonly token_revoked_at: Date | null
  readonly sitting_address: string | null
  readonly sitting_until: Date | null
  readonly sitting_logins: number
  readonly scram_salt: Buffer | null
  readonly scram_iterations: number | null
  readonly scram_stored_key: Buffer | null
  readonly scram_server_key: Buffer | null
  readonly grant_revoked_at: Date | null
  readonly groups: readonly string[] | null
}

const tokensWithGrants = `
  select t.id, t.grant_id, t.kind, t.hash, t.issued_at, t.redeem_by, t.redeemed_at,
         t.revoked_at as token_revoked_at, t.sitting_address, t.sitting_until, t.sitting_logins,
         t.scram_salt, t.scram_iterations, t.scram_stored_key, t.scram_server_key,
         g.principal, g.target, g.role, g.starts_at, g.ends_at,
         g.revoked_at as grant_revoked_at, g.reason, g.request_id,
         g.relations, g.claims, r.groups
    from pgwarden.access_tokens t
         join pgwarden.grants g on g.id = t.grant_id
         left join pgwarden.requests r on r.id = g.request_id`

export async function findToken(database: Database, id: string): Promise<StoredToken | undefined> {
  const [row] = await database.rows<TokenRow>(`${tokensWithGrants} where t.id = $1`, [id])
  return row && tokenOf(row)
}

/** The order only matters to a principal with more tokens than `limit`. */
export async function findProvable(
  database: Database,
  { principal, tokenId, target, now, endedAfter, limit }: TokenSearch,
): Promise<readonly ProvableToken[]> {
  const rows = await database.rows<TokenRow>(
    `${tokensWithGrants}
      where g.principal = $1 and g.ends_at > $5 and t.scram_stored_key is not null
        and ($2::text is null or t.id = $2)
      order by (g.target = $3) desc nulls last,
               (t.revoked_at is null and g.revoked_at is null and g.ends_at > $4
                and (t.kind = 'reusable' or (t.redeemed_at is null and t.redeem_by > $4)
                     or coalesce(t.sitting_until > $4, false))) desc,
               t.issued_at desc, t.id
      limit $6`,
    [principal, tokenId ?? null, target ?? null, new Date(now), new Date(endedAfter), limit],
  )
  return rows.map(tokenOf).flatMap((token) => {
    const { verifier } = token
    return verifier === undefined ? [] : [{ ...token, verifier }]
  })
}

export async function grantedTargets(
  database: Database,
  principal: string,
  now: number,
  limit: number,
): Promise<readonly string[]> {
  const rows = await database.rows<{ readonly target: string }>(
    `select distinct target from pgwarden.grants
      where principal = $1 and revoked_at is null and starts_at <= $2 and $2 < ends_at
      order by target limit $3`,
    [principal, new Date(now), limit],
  )
  return rows.map(({ target }) => target)
}

/**
 * The login itself. Of two at the same moment the second waits for the first one's row and then sees
 * its result (READ COMMITTED re-evaluates the condition), so exactly one redeems a single-use token.
 */
export async function redeem(database: Database, login: Redemption): Promise<boolean> {
  const counted = await database.run(
    `update pgwarden.access_tokens t
        set redeemed_at = coalesce(t.redeemed_at, $2),
            sitting_address = case when t.kind = 'one-time' then $3 end,
            sitting_until = case when t.kind = 'one-time' then greatest(t.sitting_until, $4) end,
            sitting_logins = t.sitting_logins + case when t.kind = 'one-time' then 1 else 0 end
       from pgwarden.grants g
      where t.id = $1 and g.id = t.grant_id
        and t.revoked_at is null and g.revoked_at is null
        and g.starts_at <= $2 and $2 < g.ends_at
        and (t.kind = 'reusable'
             or (t.redeemed_at is null and $2 < t.redeem_by)
             or (t.kind = 'one-time' and t.sitting_address = $3
                 and $2 < t.sitting_until and t.sitting_logins < $5))`,
    [
      login.tokenId,
      new Date(login.now),
      login.address,
      new Date(login.sittingUntil),
      login.sittingLogins,
    ],
  )
  return counted > 0
}

export async function keepSittings(
  database: Database,
  tokenIds: readonly string[],
  until: number,
): Promise<void> {
  await database.run(
    `update pgwarden.access_tokens set sitting_until = $2
      where id = any($1) and sitting_until < $2`,
    [tokenIds, new Date(until)],
  )
}

function tokenOf(row: TokenRow): StoredToken {
  return {
    id: row.id,
    grantId: row.grant_id,
    kind: row.kind,
    hash: row.hash,
    verifier: verifierOf(row),
    issuedAt: row.issued_at.getTime(),
    redeemBy: row.redeem_by.getTime(),
    redeemedAt: row.redeemed_at?.getTime(),
    revokedAt: row.token_revoked_at?.getTime(),
    sitting:
      row.sitting_address === null || row.sitting_until === null
        ? undefined
        : {
            address: row.sitting_address,
            until: row.sitting_until.getTime(),
            logins: row.sitting_logins,
          },
    grant: grantOf({ ...row, id: row.grant_id, revoked_at: row.grant_revoked_at }),
    groups: row.groups ?? undefined,
  }
}

function verifierOf(row: TokenRow): TokenRecord['verifier'] {
  const {
    scram_salt: salt,
    scram_iterations: iterations,
    scram_stored_key: storedKey,
    scram_server_key: serverKey,
  } = row
  if (salt === null || iterations === null || storedKey === null || serverKey === null) {
    return undefined
  }
  return { salt, iterations, storedKey, serverKey }
}
