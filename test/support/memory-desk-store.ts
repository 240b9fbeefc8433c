// A DeskStore in memory: one transaction after the other, and what one did is gone when it fails.

import type { Grant } from '../../src/access/access.ts'
import type { Change } from '../../src/access/change.ts'
import type {
  DeskStore,
  DeskTransaction,
  GrantSearch,
  RequestSearch,
  StoredGrant,
  StoredRequest,
} from '../../src/access/desk-store.ts'
import { stateOf } from '../../src/access/granting.ts'
import type { AccessRequest, Approval } from '../../src/access/request.ts'
import type { TokenRecord } from '../../src/access/token.ts'

interface Rows {
  readonly requests: Map<string, AccessRequest>
  readonly approvals: Approval[]
  readonly grants: Map<string, Grant>
  readonly tokens: TokenRecord[]
  readonly changes: Change[]
  readonly told: Set<string>
}

export class MemoryDeskStore implements DeskStore {
  #rows: Rows = {
    requests: new Map(),
    approvals: [],
    grants: new Map(),
    tokens: [],
    changes: [],
    told: new Set(),
  }
  #last: Promise<unknown> = Promise.resolve()
  /** What the next commit fails with. */
  commitError: Error | undefined

  get rows(): Rows {
    return this.#rows
  }

  transaction<T>(work: (transaction: DeskTransaction) => Promise<T>): Promise<T> {
    const run = async (): Promise<T> => {
      const { requests, approvals, grants, tokens, changes, told } = this.#rows
      const copy: Rows = {
        requests: new Map(requests),
        approvals: [...approvals],
        grants: new Map(grants),
        tokens: [...tokens],
        changes: [...changes],
        told: new Set(told),
      }
      const result = await work(transactionOn(copy))
      const error = this.commitError
      this.commitError = undefined
      if (error !== undefined) throw error
      this.#rows = copy
      return result
    }
    const result = this.#last.then(run, run)
    this.#last = result.catch(() => undefined)
    return result
  }

  findRequest(id: string) {
    return Promise.resolve(storedRequest(this.#rows, id))
  }

  findGrant(id: string) {
    return Promise.resolve(storedGrant(this.#rows, id))
  }

  listRequests(search: RequestSearch) {
    const { state, now } = search
    const found = [...this.#rows.requests.values()]
      .filter((request) => {
        const overdue = request.state === 'pending' && request.expiresAt <= now
        return state === undefined || state === (overdue ? 'expired' : request.state)
      })
      .filter((request) => matches(request, search))
      .map((request) => ({ at: request.createdAt, ...request }))
    return Promise.resolve(
      page(found, search).flatMap(({ id }) => storedRequest(this.#rows, id) ?? []),
    )
  }

  listGrants(search: GrantSearch) {
    const found = [...this.#rows.grants.values()]
      .filter((grant) => search.state === undefined || search.state === stateOf(grant, search.now))
      .filter((grant) => matches(grant, search))
      .map((grant) => ({ at: grant.startsAt, ...grant }))
    return Promise.resolve(
      page(found, search).flatMap(({ id }) => storedGrant(this.#rows, id) ?? []),
    )
  }
}

type Filters = Pick<RequestSearch, 'principal' | 'target' | 'role' | 'sight'>
type Subject = Pick<Grant, 'principal' | 'target' | 'role'>

function matches(row: Subject, { principal, target, role, sight }: Filters): boolean {
  return (
    (principal === undefined || principal === row.principal) &&
    (target === undefined || target === row.target) &&
    (role === undefined || role === row.role) &&
    (sight === undefined ||
      sight.principal === row.principal ||
      sight.approves.some((there) => there.target === row.target && there.role === row.role))
  )
}

function page<Row extends { readonly at: number; readonly id: string }>(
  rows: readonly Row[],
  { after, limit }: Pick<RequestSearch, 'after' | 'limit'>,
): readonly Row[] {
  return rows
    .toSorted((a, b) => b.at - a.at || (a.id < b.id ? 1 : -1))
    .filter(
      ({ at, id }) => after === undefined || at < after.at || (at === after.at && id < after.id),
    )
    .slice(0, limit)
}

function storedRequest(rows: Rows, id: string): StoredRequest | undefined {
  const request = rows.requests.get(id)
  return (
    request && {
      request,
      approvals: rows.approvals.filter(({ requestId }) => requestId === id),
      grant: rows.grants.get(request.grantId ?? ''),
    }
  )
}

function storedGrant(rows: Rows, id: string): StoredGrant | undefined {
  const grant = rows.grants.get(id)
  const groups = rows.requests.get(grant?.requestId ?? '')?.groups ?? []
  return grant && { grant, groups, openLeases: 0 }
}

function transactionOn(rows: Rows): DeskTransaction {
  const pending = () => [...rows.requests.values()].filter(({ state }) => state === 'pending')
  const take = (mark: string, due: (grant: Grant) => boolean): readonly Grant[] => {
    const found = [...rows.grants.values()].filter(
      (grant) =>
        grant.revokedAt === undefined && due(grant) && !rows.told.has(`${mark} ${grant.id}`),
    )
    for (const { id } of found) rows.told.add(`${mark} ${id}`)
    return found
  }
  return {
    lockRequest: async (id) => storedRequest(rows, id),
    lockGrant: async (id) => storedGrant(rows, id),
    countPending: async (principal, now) =>
      pending().filter((each) => each.principal === principal && each.expiresAt > now).length,
    countHeld: async (principal, now) =>
      [...rows.grants.values()].filter(
        (each) => each.principal === principal && each.revokedAt === undefined && each.endsAt > now,
      ).length,
    pendingExtension: async (id) => pending().find((request) => request.extends === id),
    revokedBy: async (id) =>
      rows.changes.find((change) => change.type === 'grant.revoked' && change.grant.id === id)?.by
        .principal,
    lockOverdue: async (now) =>
      pending().filter(
        (request) =>
          request.expiresAt <= now ||
          rows.grants.get(request.extends ?? '')?.revokedAt !== undefined,
      ),
    lockEnded: async (now) => take('ended', ({ endsAt }) => endsAt <= now),
    lockEnding: async (now, until) =>
      take('ending', ({ startsAt, endsAt }) => startsAt <= now && endsAt > now && endsAt <= until),
    insertRequest: async (request) => void rows.requests.set(request.id, request),
    insertApiKey: () => Promise.reject(new Error('no keys here')),
    revokeApiKey: () => Promise.reject(new Error('no keys here')),
    updateRequest: async (request) => void rows.requests.set(request.id, request),
    insertApproval: async (approval) => void rows.approvals.push(approval),
    insertGrant: async (grant) => void rows.grants.set(grant.id, grant),
    updateGrant: async (grant) => void rows.grants.set(grant.id, grant),
    insertToken: async (token) => void rows.tokens.push(token),
    insertChange: async (change) => rows.changes.push(change),
  }
}
