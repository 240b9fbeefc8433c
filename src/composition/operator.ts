// What operators do to grants on the command line: issue, list, revoke, past all rules of access. Each is a process
// of its own beside the proxies: it writes into the store they share, and into a chain of its own in the journal.
// A second composition root, besides server.ts: ignorant of the proxies but for one notice to them.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Grant } from '../access/access.ts'
import { newGrant, standing } from '../access/grant.ts'
import { revocation } from '../access/granting.ts'
import type { LeaseStanding } from '../access/lease.ts'
import { type LedgerPorts, transact } from '../access/ledger.ts'
import { waitUntilGone } from '../access/revocation.ts'
import { issueToken } from '../access/token.ts'
import { changeRecord, changeUndoneRecord } from '../audit/change-record.ts'
import type { Journal } from '../audit/journal.ts'
import type {
  IssuedToken,
  ListedGrants,
  Revocation,
  RevocationRequest,
  TokenRequest,
} from '../cli/operations.ts'
import { type Clock, systemClock } from '../clock.ts'
import type { Config } from '../config/config.ts'
import { reachableProxy } from '../config/reachable.ts'
import { Failure } from '../errors.ts'
import { tellOnce } from '../store/notices.ts'
import { Store } from '../store/store.ts'
import { lastCheckpoint } from './checkpoints.ts'
import { operator, recordAsOperator } from './operator-journal.ts'

const clock: Clock = systemClock
/** More than a person reads. */
const mostListed = 1_000
const lookInList =
  'Whether logins of it are still open is shown by: pgwarden grant list --config FILE'

/** A grant and a token of it, on the word of whoever may read the configuration. */
export async function issue(
  config: Config,
  request: Omit<TokenRequest, 'configFile'>,
): Promise<IssuedToken> {
  const { principal, target, role, forMs, kind, reason, claims } = request
  const roles = new Set(config.roles.map(({ name }) => name))
  const now = clock.now()
  const grant = newGrant(
    { principal, target, role, startsAt: now, durationMs: forMs, reason, claims: claims ?? {} },
    { roles, targets: config.targets },
  )
  const token = await issueToken(grant, kind, now, config.tokens)
  await withStore(config, (store) =>
    transact(ledger(config, store), async (transaction) => {
      await transaction.insertGrant(grant)
      await transaction.insertToken(token.record)
      const change = { grant, by: operator(), tokenId: token.record.id, kind }
      return { result: undefined, changes: [{ type: 'token.issued', ...change }] }
    }),
  )
  return {
    token: token.text,
    tokenId: token.record.id,
    grantId: grant.id,
    endsAt: grant.endsAt,
    redeemBy: kind === 'reusable' ? undefined : token.record.redeemBy,
    connection: {
      ...reachableProxy(config),
      database: target,
      user: principal,
    },
  }
}

export function listGrants(config: Config, all: boolean): Promise<ListedGrants> {
  return withStore(config, async (store) => {
    const now = clock.now()
    const found = await store.listGrants({ now, all, limit: mostListed + 1 })
    const grants = found.slice(0, mostListed)
    return {
      grants: grants.map((grant) => ({ ...grant, standing: standing(grant, now) })),
      more: found.length > mostListed,
    }
  })
}

/**
 * Revokes, tells the proxies, and waits until no login of the grant is left, or for as long as it may.
 * @throws Failure not_found; invalid_parameter when there is nothing to revoke any more.
 */
export function revoke(config: Config, request: RevocationRequest): Promise<Revocation> {
  const { grantId, waitMs, onWaiting } = request
  const reason = request.reason.trim()
  if (reason === '') {
    throw new Failure('invalid_parameter', { message: 'a revocation needs a reason' })
  }
  return withStore(config, async (store) => {
    const startedAt = clock.elapsed()
    const grant = await transact(ledger(config, store), async (transaction) => {
      const stored = await transaction.lockGrant(grantId)
      const held = revocable(grantId, stored?.grant)
      const revoked = revocation(held, operator(), reason, clock.now())
      await transaction.updateGrant(revoked.grant)
      return { result: revoked.grant, changes: [revoked.change] }
    })
    const told = await tellOnce(config.store.url, 'grant.revoked', { grant: grantId }).then(
      () => true,
      () => false,
    )
    const remains = {
      of: async () => ({ sessions: [], logins: await loginsOf(store, grantId) }),
    }
    const effect = await waitUntilGone(remains, grantId, { waitMs, clock, sleep, onWaiting })
    const tookMs = clock.elapsed() - startedAt
    return { grant, revokedAt: grant.revokedAt ?? clock.now(), told, logins: effect.logins, tookMs }
  })
}

async function loginsOf(store: Store, grantId: string): Promise<readonly LeaseStanding[]> {
  try {
    return await store.loginsOf(grantId, mostListed)
  } catch (cause) {
    const message = `grant ${grantId} is revoked, but the store did not say which logins were out`
    throw new Failure('cannot_connect_now', { message, hint: lookInList }, { cause })
  }
}

function revocable(id: string, grant: Grant | undefined): Grant {
  if (grant === undefined) {
    throw new Failure('not_found', {
      message: `there is no grant "${id}"`,
      hint: 'See them with: pgwarden grant list --config FILE',
    })
  }
  const { revokedAt, endsAt } = grant
  const now = clock.now()
  if (standing(grant, now) === 'in_force' || standing(grant, now) === 'not_yet') return grant
  const [how, when] = revokedAt === undefined ? ['ended', endsAt] : ['was revoked', revokedAt]
  throw new Failure('invalid_parameter', {
    message: `grant ${id} ${how} at ${new Date(when).toISOString()} already`,
    hint: lookInList,
  })
}

/** Changes by operators: in the store, and in their chain of the journal. */
export function ledger(config: Config, store: Store): LedgerPorts {
  const signed = (journal: Journal): Promise<void> => lastCheckpoint(config, journal)
  return {
    store: store.desk,
    clock,
    record: (changes) =>
      recordAsOperator(
        config.journal,
        changes.map(({ number, change }) => changeRecord(number, change)),
        signed,
      ),
    undone: (changes, result) =>
      recordAsOperator(
        config.journal,
        changes.map(({ number, change }) => changeUndoneRecord(number, change, result)),
        signed,
      ),
    // The proxies are told by a notice, where they have to act.
    committed: () => undefined,
  }
}

export async function withStore<T>(config: Config, work: (store: Store) => Promise<T>): Promise<T> {
  const store = await Store.open({ ...config.store, connections: 1, onProblem: () => undefined })
  try {
    return await work(store)
  } finally {
    await store.close()
  }
}
