// What people do to grants: look at them, ask for more time, take them back, get tokens. Each change is one
// transaction that locks the grant first. Ignorant of sessions and logins, which follow the grant by themselves.

import { Failure } from '../errors.ts'
import type { Grant, TokenKind } from './access.ts'
import { actorOf } from './change.ts'
import type { Desk, Extension, GrantView, TokenOfGrant } from './desk.ts'
import type { DeskStore, DeskTransaction, StoredGrant } from './desk-store.ts'
import { checkNotOver, revocation, stateOf } from './granting.ts'
import type { Identity } from './identity.ts'
import { type Done, type LedgerPorts, transact } from './ledger.ts'
import { pageOf } from './paging.ts'
import { checkRoom, viewOf } from './request-desk.ts'
import { askForMore } from './requesting.ts'
import type { AccessRules } from './rules.ts'
import { checkScope, couldApprove, isAdministrator, maySeeGrant, sightOf } from './sight.ts'
import { reasonOf } from './terms.ts'
import { issueToken, type TokenRules } from './token.ts'

export interface GrantDeskPorts extends LedgerPorts {
  readonly store: DeskStore
  readonly rules: AccessRules
  readonly tokens: Pick<TokenRules, 'redeemWithinMs'>
}

type GrantDesk = Pick<Desk, 'findGrant' | 'listGrants' | 'extend' | 'revoke' | 'issueToken'>

export function grantDesk(ports: GrantDeskPorts): GrantDesk {
  const { store, rules, clock } = ports

  const visible = (by: Identity, id: string, stored: StoredGrant | undefined): StoredGrant => {
    if (stored !== undefined && maySeeGrant(rules, by, stored)) return stored
    throw noGrant(id)
  }

  /** Locked, and not over. */
  const lock = async (
    transaction: DeskTransaction,
    by: Identity,
    id: string,
    may: (stored: StoredGrant) => void,
  ): Promise<Grant> => {
    const stored = visible(by, id, await transaction.lockGrant(id))
    may(stored)
    const { grant } = stored
    const revokedBy =
      grant.revokedAt === undefined ? undefined : await transaction.revokedBy(grant.id)
    checkNotOver(grant, clock.now(), revokedBy)
    return grant
  }

  return {
    async findGrant(by, id) {
      return shown(visible(by, id, await store.findGrant(id)), clock.now())
    },

    async listGrants(by, wanted) {
      const { limit, after, ...filters } = wanted
      const { state, principal, target, role } = filters
      const now = clock.now()
      const search = { state, principal, target, role, sight: sightOf(rules, by), now }
      return pageOf<StoredGrant, GrantView>({
        limit,
        after,
        read: (from, count) => store.listGrants({ ...search, after: from, limit: count }),
        positionOf: ({ grant }) => ({ at: grant.startsAt, id: grant.id }),
        show: (stored) => (maySeeGrant(rules, by, stored) ? shown(stored, now) : undefined),
      })
    },

    async extend(by, id, terms) {
      checkScope(by, 'access')
      return transact(ports, async (transaction): Promise<Done<Extension>> => {
        const grant = await lock(transaction, by, id, (stored) => checkHolder(by, stored))
        const now = clock.now()
        const pending = await transaction.pendingExtension(id)
        if (pending !== undefined) {
          const message = 'more time was asked for already'
          const detail = `Request ${pending.id} is pending.`
          const hint = `Wait for it, or take it back with: pgwarden withdraw ${pending.id}`
          throw new Failure('conflict', { message, detail, hint })
        }
        const asked = askForMore(rules, by, grant, terms, now)
        if (asked.type === 'extended') {
          const { reason, grant: longer } = asked
          await transaction.updateGrant(longer)
          const change = { grant: longer, by: actorOf(by), reason, endedAt: grant.endsAt }
          return {
            result: { type: 'extended', grant: longer },
            changes: [{ type: 'grant.extended', ...change }],
          }
        }
        const { request } = asked
        await checkRoom(transaction, by.principal, now)
        await transaction.insertRequest(request)
        const view = viewOf(rules, by, { request, approvals: [], grant: undefined }, now)
        return {
          result: { type: 'requested', view },
          changes: [{ type: 'request.created', request, by: actorOf(by) }],
        }
      })
    },

    async revoke(by, id, text) {
      const reason = reasonOf(text)
      return transact(ports, async (transaction): Promise<Done<Grant>> => {
        const held = await lock(transaction, by, id, (stored) => checkMayRevoke(rules, by, stored))
        const { grant, change } = revocation(held, actorOf(by), reason, clock.now())
        await transaction.updateGrant(grant)
        return { result: grant, changes: [change] }
      })
    },

    async issueToken(by, id, kind) {
      checkScope(by, 'access')
      const found = visible(by, id, await store.findGrant(id))
      checkHolder(by, found)
      // Its verifier takes milliseconds to compute: before the grant is locked.
      const token = await issueToken(found.grant, kind, clock.now(), ports.tokens)
      return transact(ports, async (transaction): Promise<Done<TokenOfGrant>> => {
        const grant = await lock(transaction, by, id, (stored) => checkHolder(by, stored))
        await transaction.insertToken(token.record)
        const change = tokenIssued(grant, by, token.record.id, kind)
        return { result: { token, grant }, changes: [change] }
      })
    },
  }
}

function tokenIssued(grant: Grant, by: Identity, tokenId: string, kind: TokenKind) {
  return { type: 'token.issued', grant, by: actorOf(by), tokenId, kind } as const
}

function shown({ grant, openLeases }: StoredGrant, now: number): GrantView {
  return { grant, state: stateOf(grant, now), openLeases }
}

function checkHolder(by: Identity, { grant }: StoredGrant): void {
  if (by.principal === grant.principal) return
  throw new Failure('forbidden', { message: `this is for ${grant.principal}, whose grant it is` })
}

function checkMayRevoke(rules: AccessRules, by: Identity, { grant, groups }: StoredGrant): void {
  const own = by.principal === grant.principal && by.scopes.has('access')
  if (own || isAdministrator(rules, by) || couldApprove(rules, by, grant, groups)) return
  throw new Failure('forbidden', {
    message: 'this grant is not yours to revoke',
    detail: 'Its holder can, administrators, and whoever could approve it.',
  })
}

/** The same for one that is not theirs to see. */
function noGrant(id: string): Failure {
  return new Failure('not_found', {
    message: `there is no grant "${id}"`,
    hint: 'See those that there are with: pgwarden grants',
  })
}
