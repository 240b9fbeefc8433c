// What people do to requests: make, approve, deny, withdraw, look at them. Each is one transaction: the request
// is locked, then the grant that it prolongs, then it is decided on what was read behind the locks. Ignorant of
// what the rules say (requesting.ts, deciding.ts).

import { Failure } from '../errors.ts'
import { unfilled } from './approval.ts'
import { actorOf, byRule, type Change } from './change.ts'
import { approve, type Decided, deny, requestAt, withdraw } from './deciding.ts'
import type { Desk, RequestView } from './desk.ts'
import type { DeskStore, DeskTransaction, StoredRequest } from './desk-store.ts'
import type { Identity } from './identity.ts'
import { type Done, type LedgerPorts, transact } from './ledger.ts'
import { pageOf } from './paging.ts'
import { ask } from './requesting.ts'
import type { AccessRules } from './rules.ts'
import {
  approvers,
  checkScope,
  mayDecide,
  maySeeRequest,
  needsOfRequest,
  sightOf,
} from './sight.ts'
import { commentOf } from './terms.ts'

export interface RequestDeskPorts extends LedgerPorts {
  readonly store: DeskStore
  readonly rules: AccessRules
}

type RequestDesk = Pick<
  Desk,
  'request' | 'approve' | 'deny' | 'withdraw' | 'findRequest' | 'listRequests'
>

/** A program that asks in a loop must not bury what people asked for. */
const mostPending = 20
/** Of grants that are not over: one that holds so many gets no other without somebody's approval. */
const mostHeld = 100

export function requestDesk(ports: RequestDeskPorts): RequestDesk {
  const { store, rules, clock } = ports

  /** Locks the request, decides, writes what was decided. */
  const decide = (
    by: Identity,
    id: string,
    decision: (stored: StoredRequest, transaction: DeskTransaction) => Promise<Decided>,
  ): Promise<RequestView> =>
    transact(ports, async (transaction): Promise<Done<RequestView>> => {
      const stored = await transaction.lockRequest(id)
      if (stored === undefined || !maySeeRequest(rules, by, stored.request)) throw noRequest(id)
      const decided = await decision(stored, transaction)
      await write(transaction, decided)
      const { request, approval, grant } = decided
      const approvals = [...stored.approvals, ...(approval === undefined ? [] : [approval])]
      const now = { request, approvals, grant: grant?.grant }
      return { result: viewOf(rules, by, now, clock.now()), changes: decided.changes }
    })

  return {
    async request(by, terms) {
      checkScope(by, 'access')
      return transact(ports, async (transaction) => {
        await checkRoom(transaction, by.principal, clock.now())
        const now = clock.now()
        const { request, grant } = ask(rules, by, terms, now)
        if (grant !== undefined) {
          await checkHeld(transaction, by.principal, now)
          await transaction.insertGrant(grant)
        }
        await transaction.insertRequest(request)
        const changes: Change[] = [{ type: 'request.created', request, by: actorOf(by) }]
        if (grant !== undefined) {
          changes.push({ type: 'request.approved', request, grant, by: byRule, comment: undefined })
        }
        return { result: viewOf(rules, by, { request, approvals: [], grant }, now), changes }
      })
    },

    async approve(by, id, text) {
      const comment = commentOf(text)
      return decide(by, id, async (stored, transaction) => {
        const { extends: prolonged } = stored.request
        const held = prolonged === undefined ? undefined : await transaction.lockGrant(prolonged)
        return approve(rules, stored, held?.grant, by, comment, clock.now())
      })
    },

    async deny(by, id, text) {
      const comment = commentOf(text)
      return decide(by, id, (stored) =>
        Promise.resolve(deny(rules, stored, by, comment, clock.now())),
      )
    },

    async withdraw(by, id) {
      checkScope(by, 'access')
      return decide(by, id, (stored) => Promise.resolve(withdraw(stored, by, clock.now())))
    },

    async findRequest(by, id) {
      const stored = await store.findRequest(id)
      if (stored === undefined || !maySeeRequest(rules, by, stored.request)) throw noRequest(id)
      return viewOf(rules, by, stored, clock.now())
    },

    async listRequests(by, wanted) {
      const { decidable = false, limit, after, principal, target, role } = wanted
      const now = clock.now()
      const state = decidable ? 'pending' : wanted.state
      const search = { state, principal, target, role, sight: sightOf(rules, by), now }
      return pageOf<StoredRequest, RequestView>({
        limit,
        after,
        read: (from, count) => store.listRequests({ ...search, after: from, limit: count }),
        positionOf: ({ request }) => ({ at: request.createdAt, id: request.id }),
        show: (stored) => {
          if (!maySeeRequest(rules, by, stored.request)) return undefined
          const view = viewOf(rules, by, stored, now)
          return decidable && !view.mayDecide ? undefined : view
        },
      })
    },
  }
}

/** What somebody is shown of a request at this moment. */
export function viewOf(
  rules: AccessRules,
  by: Identity,
  stored: StoredRequest,
  now: number,
): RequestView {
  const { approvals, grant } = stored
  const request = requestAt(stored.request, now)
  return {
    request,
    approvals,
    missing:
      request.state === 'pending'
        ? unfilled(needsOfRequest(rules, request), approvers(stored))
        : [],
    mayDecide: mayDecide(rules, by, { request, approvals }),
    grant,
  }
}

/** Holds up other requests of the same principal until this one is there to be counted. */
export async function checkRoom(
  transaction: DeskTransaction,
  principal: string,
  now: number,
): Promise<void> {
  if ((await transaction.countPending(principal, now)) < mostPending) return
  throw new Failure('too_many_requests', {
    message: `you have ${mostPending} pending requests already`,
    hint: 'Wait for a decision, or withdraw those that are not needed any more.',
  })
}

/** What nobody looks at must not fill the store, the audit and the channels. */
async function checkHeld(
  transaction: DeskTransaction,
  principal: string,
  now: number,
): Promise<void> {
  if ((await transaction.countHeld(principal, now)) < mostHeld) return
  throw new Failure('too_many_requests', {
    message: `you hold ${mostHeld} grants already`,
    hint: 'Use one of them, or revoke those that are not needed any more.',
  })
}

async function write(transaction: DeskTransaction, decided: Decided): Promise<void> {
  const { request, approval, grant } = decided
  if (approval !== undefined) await transaction.insertApproval(approval)
  if (grant?.type === 'made') await transaction.insertGrant(grant.grant)
  if (grant?.type === 'moved') await transaction.updateGrant(grant.grant)
  if (request.state !== 'pending') await transaction.updateRequest(request)
}

/** The same for one that is not theirs to see. */
function noRequest(id: string): Failure {
  return new Failure('not_found', {
    message: `there is no request "${id}"`,
    hint: 'See those that there are with: pgwarden requests',
  })
}
