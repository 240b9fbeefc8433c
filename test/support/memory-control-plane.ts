// The API with everything behind it in memory: a desk that does as it is told and checks nothing, callers
// by name, an audit of a few records. What a test wants otherwise it puts in its place.

import type { Grant, TokenKind } from '../../src/access/access.ts'
import type { Desk, GrantView, RequestView } from '../../src/access/desk.ts'
import { type Identity, scopes } from '../../src/access/identity.ts'
import { issueToken } from '../../src/access/token.ts'
import { createApi } from '../../src/api/api.ts'
import type { ControlPlane } from '../../src/api/context.ts'
import type { AnsweredRequest, IdempotencyKeys, KeyStanding } from '../../src/api/ports.ts'
import { createV1 } from '../../src/api/v1.ts'
import { systemClock } from '../../src/clock.ts'
import { Failure } from '../../src/errors.ts'

export const requestId = 'aaaaaaaaaaaaaaaa'
export const grantId = 'bbbbbbbbbbbbbbbb'
const start = Date.UTC(2030, 0, 2, 3, 4, 5, 678)

export const grant: Grant = {
  id: grantId,
  principal: 'alice',
  target: 'shop',
  role: 'read_only',
  startsAt: start,
  endsAt: start + 3_600_000,
  revokedAt: undefined,
  reason: 'wrong total',
  requestId,
  relations: { read: ['shop.*'] },
  claims: { uid: '42' },
}

const requestView: RequestView = {
  request: {
    id: requestId,
    principal: 'alice',
    kind: 'person',
    groups: ['developers'],
    target: 'shop',
    role: 'read_limited_write',
    reason: 'wrong total',
    durationMs: 7_200_000,
    startsAt: undefined,
    relations: undefined,
    claims: { uid: '42' },
    extends: undefined,
    createdAt: start,
    expiresAt: start + 28_800_000,
    state: 'pending',
    decidedAt: undefined,
    grantId: undefined,
  },
  approvals: [],
  missing: [{ function: 'manager', groups: ['managers'] }],
  mayDecide: false,
  grant: undefined,
}

const grantView: GrantView = { grant, state: 'active', openLeases: 1 }

/** Knows one request and one grant, and finds nothing wrong with anybody. */
export function obligingDesk(): Desk {
  const known = (id: string, wanted: string): void => {
    if (id !== wanted) throw new Failure('not_found', { message: `there is no "${id}"` })
  }
  const decided = (id: string, state: 'approved' | 'denied' | 'withdrawn'): RequestView => {
    known(id, requestId)
    const { request } = requestView
    return { ...requestView, missing: [], request: { ...request, state, decidedAt: start } }
  }
  const role = {
    name: 'read_only',
    needs: [{ function: 'manager', groups: ['managers'] }],
    automaticMs: 86_400_000,
    longestMs: 2_592_000_000,
  }
  return {
    request: async (by, terms) => ({
      ...requestView,
      request: {
        ...requestView.request,
        principal: by.principal,
        target: terms.target,
        role: terms.role,
        reason: terms.reason,
        durationMs: terms.durationMs ?? 86_400_000,
        startsAt: terms.startsAt,
        relations: terms.relations,
      },
    }),
    approve: async (_, id) => decided(id, 'approved'),
    deny: async (_, id) => decided(id, 'denied'),
    withdraw: async (_, id) => decided(id, 'withdrawn'),
    findRequest: async (_, id) => {
      known(id, requestId)
      return requestView
    },
    listRequests: async () => ({ items: [requestView], next: 'more' }),
    findGrant: async (_, id) => {
      known(id, grantId)
      return grantView
    },
    listGrants: async () => ({ items: [grantView], next: undefined }),
    extend: async (_, id, { durationMs }) => {
      known(id, grantId)
      return durationMs > 86_400_000
        ? { type: 'requested', view: requestView }
        : { type: 'extended', grant: { ...grant, endsAt: grant.endsAt + durationMs } }
    },
    revoke: async (_, id) => {
      known(id, grantId)
      return { ...grant, revokedAt: start + 1_000 }
    },
    issueToken: async (_, id, kind: TokenKind) => {
      known(id, grantId)
      return { token: await issueToken(grant, kind, start, { redeemWithinMs: 600_000 }), grant }
    },
    requestable: () => [{ name: 'shop', production: false, roles: [role] }],
    roles: () => [role],
  }
}

const groups: Readonly<Record<string, readonly string[]>> = {
  alice: ['developers'],
  bob: ['managers'],
  carol: ['security-audit'],
  dave: ['pgwarden-admins'],
}

/** `Bearer alice` is alice. */
export function callerNamed(principal: string): Identity {
  return {
    principal,
    kind: 'person',
    groups: groups[principal] ?? [],
    claims: {},
    scopes: new Set(scopes),
    via: 'oidc',
    expiresAt: systemClock.now() + 3_600_000,
  }
}

class MemoryKeys implements IdempotencyKeys {
  readonly #rows = new Map<string, { readonly hash: Buffer; standing: KeyStanding }>()

  async take({ principal, key, hash }: Parameters<IdempotencyKeys['take']>[0]) {
    const row = this.#rows.get(`${principal} ${key}`)
    if (row === undefined) {
      this.#rows.set(`${principal} ${key}`, { hash, standing: { type: 'unanswered' } })
      return { type: 'new' } as const
    }
    return row.hash.equals(hash) ? row.standing : ({ type: 'other' } as const)
  }

  async keep(
    { principal, key, hash }: Parameters<IdempotencyKeys['keep']>[0],
    answer: Parameters<IdempotencyKeys['keep']>[1],
  ) {
    const standing: KeyStanding =
      answer === undefined ? { type: 'withheld' } : { type: 'answered', answer }
    this.#rows.set(`${principal} ${key}`, { hash, standing })
  }

  async release({ principal, key }: Parameters<IdempotencyKeys['release']>[0]) {
    this.#rows.delete(`${principal} ${key}`)
  }
}

export function controlPlane(other: Partial<ControlPlane> = {}) {
  const answered: AnsweredRequest[] = []
  const defects: unknown[] = []
  const recorded: string[] = []
  const event = { chain: 'main', seq: 7, time: '2030-01-02T03:04:05.678Z', type: 'login' }
  const plane: ControlPlane = {
    desk: obligingDesk(),
    authenticator: {
      identify: async (authorization) => {
        const [, name] = /^Bearer ([a-z]+)$/.exec(authorization ?? '') ?? []
        if (name !== undefined && name in groups) return callerNamed(name)
        throw new Failure('unauthenticated', { message: 'this credential is none' })
      },
    },
    sessions: {
      list: async () => [
        {
          id: 's1',
          principal: 'alice',
          target: 'shop',
          role: 'read_only',
          grantId,
          client: '192.0.2.7:51234',
          application: undefined,
          startedAt: start,
        },
      ],
      end: async (_, id) => id === 's1',
    },
    reload: async () => ({
      changes: [{ path: 'limits.idleTimeout', from: undefined, to: '5m' }],
      restart: ['listen.port'],
    }),
    progress: {
      of: async () => ({
        sessions: [],
        logins: [
          {
            id: 'cccccccccccccccc',
            engine: 'broker',
            databaseRole: 'pgw_x',
            ended: 'confirmed',
          },
        ],
      }),
    },
    lockOuts: {
      list: async () => [
        { id: 'l1', principal: 'mallory', address: '192.0.2.66', failures: 20, until: start },
      ],
      lift: async (_, id) => id === 'l1',
    },
    audit: {
      events: async () => ({ items: [event], next: 'main:1:0' }),
      stream: async function* () {
        yield { id: 'main:7', event }
      },
    },
    record: async (fields) => recorded.push(fields),
    note: (fields) => recorded.push(fields),
    keys: new MemoryKeys(),
    rules: { administrators: ['pgwarden-admins'], auditors: ['security-audit'] },
    proxy: { host: 'db.example', port: 6432, sslmode: 'require' },
    login: { issuer: 'https://id.example', clientId: 'pgwarden', scopes: ['openid'] },
    peers: { mayComePlain: () => true, networkOf: (address) => address },
    clock: systemClock,
    version: '0.0.0',
    observer: {
      answered: (request) => answered.push(request),
      defect: (error) => defects.push(error),
    },
    stopping: new AbortController().signal,
    ...other,
  }
  const app = createApi({
    checks: [],
    metrics: { contentType: 'text/plain', text: async () => '' },
    v1: createV1(plane),
    onDefect: (error) => defects.push(error),
  })
  return {
    app,
    answered,
    defects,
    recorded,
    /** `path` below /api/v1. */
    call: async (
      method: string,
      path: string,
      options: { by?: string; body?: unknown; headers?: Record<string, string> } = {},
    ) => {
      const { by = 'alice', body, headers = {} } = options
      return app.request(`/api/v1${path}`, {
        method,
        headers: {
          authorization: `Bearer ${by}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined
          ? {}
          : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      })
    },
  }
}
